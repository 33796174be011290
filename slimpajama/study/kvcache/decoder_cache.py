"""The shrinking cache for the study's own decoder, one object per layer.

The decoder hands in new keys, values and the queries that come with them, and attends to what it gets back. The cache
computes the attention that a scorer reads by itself, some queries at a time, so a long prompt never needs the whole
matrix of queries and keys. The second product of queries and keys is what that costs; methods that read no query do not
pay it.

All rows have prompts of one length: the decoder has no padding.
"""

from __future__ import annotations

import torch

from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.kvcache.shrinking_layer import CacheBytes, ShrinkingLayer
from slimpajama.study.model.alibi import cached_bias
from slimpajama.study.model.decoder import Decoder

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

    def update(
        self, layer: int, keys: torch.Tensor, values: torch.Tensor, query: torch.Tensor, positions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Take new tokens; give all keys, values and places to attend to, from which the lowest are dropped now."""
        shrinking = self.shrinking
        batch, heads, count, _ = keys.shape
        shrinking.reserve(batch, heads, count, keys.device, [0] * batch)
        shrinking.write(keys, values)
        places = shrinking.positions.masked_fill(shrinking.positions < 0, NEVER)
        attended = shrinking.keys, shrinking.values, places
        same = 1 if positions.shape[1] == places.shape[2] else batch  # in a prompt, all rows have the same places
        first = count - shrinking.queries_read()
        scores = None if first < count else shrinking.score(query.new_zeros(*query.shape[:2], 0, places.shape[2]))
        while first < count:
            last = min(count, first + self._at_once)
            part = query[:, :, first:last]
            bias = cached_bias(self._slopes, positions[:same, first:last], places[:same])
            logits = (part @ attended[0].transpose(-1, -2)).float() * self._scale + bias
            scores = shrinking.score(logits.softmax(-1), first)
            first = last
        shrinking.evict(scores)
        return attended


class DecoderCaches:
    """The caches of all layers of a decoder, for one generation."""

    def __init__(self, decoder: Decoder, eviction: Eviction, queries_at_once: int = QUERIES_AT_ONCE) -> None:
        scale = decoder.configuration.attention_scale
        self.layers = [
            DecoderLayerCache(ShrinkingLayer(layer, eviction), decoder.slopes, scale, queries_at_once)
            for layer in range(decoder.configuration.layers)
        ]

    def choose_rows(self, rows: torch.Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was."""
        for layer in self.layers:
            layer.shrinking.choose_rows(rows)

    def bytes_used(self) -> CacheBytes:
        """Memory of all layers."""
        return sum((layer.shrinking.bytes_used() for layer in self.layers), CacheBytes(0, 0))
