"""What an eviction method is: a scorer, which says what each cached token is worth.

The call has the shape that NVIDIA's kvpress made customary::

    score(module, hidden_states, keys, values, attentions, kwargs) -> (batch, kv_heads, tokens)

A higher score stays longer, ``inf`` is never dropped while something else can be. The cache keeps as many of the
highest scores as its budget allows, in each row and each head by itself; of equal scores the earlier token stays.
kvpress passes a dictionary as ``kwargs``; here it is a struct with the facts a scorer needs. A scorer holds settings
only. What it remembers of a token is in ``LayerTokens.sums``, which the cache moves and drops together with the token,
so one scorer serves any number of caches, rows and beams. A scorer that needs one number of a token for as long as the
token is cached is a ``MarkingScorer``: the cache asks for it once and keeps it beside the token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from slimpajama.study.kvcache.budget import part_of


@dataclass(frozen=True, slots=True)
class LayerTokens:
    """The tokens one layer attends to in this step."""

    layer: int
    positions: torch.Tensor
    """(batch, kv_heads, tokens): a token's place in its own row, counted from 0; -1 is an empty slot."""
    sums: torch.Tensor
    """(batch, kv_heads, tokens), float32: what the scorer adds up for a token; it adds in place; new tokens have 0."""
    queries: torch.Tensor
    """(batch, queries): the places of the tokens that ask; padding has a negative one."""
    lengths: torch.Tensor
    """(batch,): tokens each row has seen, those that ask included."""
    limits: torch.Tensor
    """(batch,): tokens each row may keep."""
    first_step: int
    """Which generated token the first query is, counted from 1; 0 for the prompt."""
    row_lengths: Sequence[int]
    """``lengths`` as numbers of Python, so that a GPU need not be waited for."""
    row_limits: Sequence[int]
    """``limits``, likewise."""
    logits: torch.Tensor | None = None
    """(batch, heads, queries, tokens), float32: what ``attentions`` is the softmax of, where the model has it."""
    marks: torch.Tensor | None = None
    """(batch, heads, tokens), float32: what :meth:`MarkingScorer.marks` gave for each token."""

    def newest(self, count: torch.Tensor | int) -> torch.Tensor:
        """(batch, kv_heads, tokens): whether a token is among the last ``count`` (one number, or one a row)."""
        if isinstance(count, int) and len(set(self.row_lengths)) == 1:
            return self.positions >= self.row_lengths[0] - count
        return self.positions >= (self.lengths - count)[:, None, None]

    def newest_share(self, share: float) -> torch.Tensor:
        """Whether a token is in the window that takes ``share`` of the budget, rounded down."""
        if len(set(self.row_limits)) == 1:
            return self.newest(part_of(share, self.row_limits[0]))
        return self.newest((self.limits.double() * share + 1e-9).long())


class Scorer(Protocol):
    """One eviction method."""

    @property
    def prompt_only(self) -> bool:
        """Whether it drops tokens after the prompt alone, so that every generated token stays."""
        ...

    def queries_read(self, queries: int) -> int:
        """How many of the newest ``queries`` it must see the attention of; it may be shown more."""
        ...

    def score(
        self,
        module: torch.nn.Module | None,
        hidden_states: torch.Tensor | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs: LayerTokens,
    ) -> torch.Tensor:
        """(batch, kv_heads, tokens), float32: the worth of each token.

        ``attentions`` is (batch, heads, queries, tokens), float32: the softmax over the tokens each query sees. A long
        prompt comes in several calls, each with some of the queries and all of the tokens; the scores of the last call
        count.
        """
        ...


@runtime_checkable
class MarkingScorer(Protocol):
    """A scorer that gives each token and head one number, which stays the same while the token is cached."""

    def marks(self, layer: int, positions: torch.Tensor, heads: int) -> torch.Tensor | None:
        """(batch, heads, tokens), float32, for ``positions`` (batch, kv_heads, tokens); None if there are none."""
        ...


def of_all_queries(attentions: torch.Tensor) -> torch.Tensor:
    """(batch, heads, queries, tokens) to (batch, heads, tokens): the sum; of one query nothing is copied."""
    return attentions[:, :, 0] if attentions.shape[2] == 1 else attentions.sum(2)


def mean_over_group(per_head: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """(batch, heads, tokens) to (batch, kv_heads, tokens): the heads that share a key head are averaged."""
    heads = per_head.shape[1]
    if heads == kv_heads:
        return per_head
    return per_head.unflatten(1, (kv_heads, heads // kv_heads)).mean(2)


def forever(scores: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """``scores``, with ``inf`` where ``kept``."""
    return torch.where(kept, torch.inf, scores)
