"""ALiBi: attention falls off linearly with distance, at a slope of its own for each head (Press et al., 2022).

Nothing is added to embeddings, so a model of 256 tokens can be run on 2,048. The bias of a whole sequence takes
``heads * length * length`` numbers and is made once for all layers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["alibi_bias", "alibi_slopes", "cached_bias"]


def alibi_slopes(heads: int) -> Tensor:
    """``float32[heads]``: 2^(-8/n), 2^(-16/n), … for n heads; where n is no power of two, the slopes of the next
    lower power and then every second one of the next higher, as published."""
    lower = 1 << (heads.bit_length() - 1)
    slopes = [2 ** (-8 * (head + 1) / lower) for head in range(lower)]
    slopes += [2 ** (-8 * (2 * head + 1) / (2 * lower)) for head in range(heads - lower)]
    return torch.tensor(slopes, dtype=torch.float32)


def alibi_bias(slopes: Tensor, length: int, documents: Tensor | None = None) -> Tensor:
    """What is added to the scores of whole sequences: ``[1, heads, length, length]``, minus infinity for later tokens.

    ``documents`` ``[batch, length]``: the number of each token's document; scores of two documents are minus infinity,
    too, and the result is ``[batch, heads, length, length]``.
    """
    places = torch.arange(length, device=slopes.device)
    distance = places[:, None] - places[None, :]
    bias = -slopes[:, None, None] * distance.to(slopes.dtype)
    bias = bias.masked_fill(distance < 0, -math.inf)[None]
    if documents is not None:
        other = documents[:, None, :, None] != documents[:, None, None, :]
        bias = bias.masked_fill(other, -math.inf)
    return bias


def cached_bias(slopes: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
    """``[batch, heads, queries, keys]`` for keys that are not all there any more, by their original positions.

    ``query_positions`` ``[batch, queries]``; ``key_positions`` ``[batch, heads, keys]``, or ``[keys]`` where all rows
    and heads have kept the same ones.
    """
    keys = key_positions if key_positions.dim() == 3 else key_positions[None, None]
    distance = query_positions[:, None, :, None] - keys[:, :, None, :]
    bias = -slopes[:, None, None] * distance.to(slopes.dtype)
    return bias.masked_fill(distance < 0, -math.inf)
