"""The shrinking cache for the study's own decoder, one object per layer.

The decoder hands in the queries, keys and values of new tokens and gets back their attention. The weights of a step are
computed once, for the output and for the score, by plain products: PyTorch's fused attention gives no weights, and for
one query at a time it takes a quarter (4,096 tokens) to three times (8,192) longer on a CPU. A prompt is read some
queries at a time, so a long one never needs the whole matrix of queries and keys; those that no scorer reads go through
the fused attention.

All rows have prompts of one length: the decoder has no padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.kvcache.shrinking_layer import CacheBytes, ShrinkingLayer
from slimpajama.study.model.alibi import cached_bias
from slimpajama.study.model.decoder import Decoder, attend

QUERIES_AT_ONCE = 256
"""Queries of a prompt whose attention is computed at a time."""
NEVER = 1 << 30
"""The place of an empty slot, as the decoder is told it: after every query, so that none sees it."""


class DecoderLayerCache:
    """The cache of one layer, as :class:`~slimpajama.study.model.decoder.LayerCache` asks for it."""

    def __init__(self, shrinking: ShrinkingLayer, slopes: torch.Tensor, scale: float, at_once: int) -> None:
        self.shrinking = shrinking
        self._slopes = slopes
        self._scale = scale
        self._at_once = at_once

    @property
    def seen(self) -> int:
        """Tokens handed in so far."""
        return self.shrinking.seen

    def attention(
        self, query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, positions: torch.Tensor
    ) -> torch.Tensor:
        """Take new tokens and attend to all that are cached, of which the lowest are dropped then."""
        shrinking = self.shrinking
        batch, heads, count, _ = keys.shape
        prompt = shrinking.empty
        shrinking.reserve(batch, heads, count, keys.device, [0] * batch)
        shrinking.write(keys, values)
        keys, values = shrinking.keys, shrinking.values
        if count == 1:
            distance = shrinking.positions - (shrinking.seen - 1)
            weights, logits = self._weights(query, keys, (distance * self._slopes[:, None])[:, :, None])
            shrinking.evict(shrinking.score(weights, logits=logits))
            return weights.to(values.dtype) @ values
        same = 1 if prompt else batch  # in a prompt, all rows and heads have the same places
        places = shrinking.positions[:same, :1] if prompt else shrinking.positions
        if shrinking.has_empty_slots:
            places = places.masked_fill(places < 0, NEVER)
        first_read = count - shrinking.queries_read()
        scores = None if first_read < count else shrinking.score(query.new_zeros(batch, heads, 0, places.shape[2]))
        outputs = []
        for first, last in spans(count, first_read, self._at_once):
            part = query[:, :, first:last]
            bias = cached_bias(self._slopes, positions[:same, first:last], places)
            if first < first_read:
                outputs.append(attend(part, keys, values, bias.to(part.dtype), self._scale))
                continue
            weights, logits = self._weights(part, keys, bias)
            scores = shrinking.score(weights, first, logits=logits)
            outputs.append(weights.to(values.dtype) @ values)
        shrinking.evict(scores)
        return torch.cat(outputs, 2)

    def _weights(
        self, query: torch.Tensor, keys: torch.Tensor, bias: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The attention of ``query``, and its logits, in single precision."""
        logits = torch.add(bias, (query @ keys.transpose(-1, -2)).float(), alpha=self._scale)
        return logits.softmax(-1), logits


def spans(count: int, first_read: int, at_once: int) -> Iterator[tuple[int, int]]:
    """Queries ``[first, last)``, at most ``at_once`` of them; none has queries before and after ``first_read``."""
    for begin, end in ((0, first_read), (first_read, count)):
        for first in range(begin, end, at_once):
            yield first, min(end, first + at_once)


class DecoderCaches:
    """The caches of all layers of a decoder, for one generation."""

    def __init__(self, decoder: Decoder, eviction: Eviction, queries_at_once: int = QUERIES_AT_ONCE) -> None:
        scale, slopes = decoder.configuration.attention_scale, decoder.slopes.float()
        self.layers = [
            DecoderLayerCache(ShrinkingLayer(layer, eviction), slopes, scale, queries_at_once)
            for layer in range(decoder.configuration.layers)
        ]

    def choose_rows(self, rows: torch.Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was."""
        for layer in self.layers:
            layer.shrinking.choose_rows(rows)

    def bytes_used(self) -> CacheBytes:
        """Memory of all layers."""
        return sum((layer.shrinking.bytes_used() for layer in self.layers), CacheBytes(0, 0))
