"""ALiBi inside PyTorch's FlexAttention: the attention of whole sequences on a GPU, without their bias in memory.

A bias takes ``heads * length * length`` numbers that every layer reads forward and backward, and ``batch`` times as
many where tokens look at their own document only. FlexAttention computes it inside the kernel from two positions, and
leaves out blocks that are masked as a whole: half of all, and more with documents. That holds where it is compiled;
uncompiled it gives the same numbers from whole score matrices. Rejected: the kernels of flash-attention, which know
ALiBi but are a package that users would have to compile.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

__all__ = ["LEAST_HEAD_WIDTH", "FlexAlibi", "flex_alibi", "flex_attend"]

LEAST_HEAD_WIDTH = 16
"""Of a head that FlexAttention's kernel takes."""


class FlexAlibi(NamedTuple):
    """``slopes`` ``float32[heads]``, and the blocks of queries and keys that are not masked as a whole."""

    slopes: Tensor
    blocks: BlockMask


def flex_alibi(slopes: Tensor, length: int, documents: Tensor | None = None) -> FlexAlibi:
    """What :func:`flex_attend` takes; the same as :func:`~slimpajama.study.model.alibi.alibi_bias` of these."""
    if documents is None:
        return FlexAlibi(slopes, _causal_blocks(length, slopes.device))

    def within_document(row: Tensor, head: Tensor, place: Tensor, other: Tensor) -> Tensor:
        return (place >= other) & (documents[row, place] == documents[row, other])

    return FlexAlibi(
        slopes, create_block_mask(within_document, len(documents), None, length, length, device=slopes.device)
    )


def flex_attend(query: Tensor, keys: Tensor, values: Tensor, alibi: FlexAlibi, scale: float) -> Tensor:
    """Attention ``[batch, heads, tokens, head width]`` with scores that fall off with distance."""
    slopes = alibi.slopes

    def falling(score: Tensor, row: Tensor, head: Tensor, place: Tensor, other: Tensor) -> Tensor:
        return score - slopes[head] * (place - other)

    out: Tensor = flex_attention(query, keys, values, score_mod=falling, block_mask=alibi.blocks, scale=scale)
    return out


@functools.lru_cache(maxsize=8)
def _causal_blocks(length: int, device: torch.device) -> BlockMask:
    def earlier(row: Tensor, head: Tensor, place: Tensor, other: Tensor) -> Tensor:
        return place >= other

    return create_block_mask(earlier, None, None, length, length, device=device)
