"""The cache of one layer: keys and values of the tokens that are kept, and no others.

A layer's tensors have a slot for each kept token and one for the token that comes next. After the prompt, the kept
tokens are gathered into tensors of that size and the rest is freed. From then on a step moves nothing: the token with
the lowest score leaves an empty slot, and the next token is written into it. So slots are in no order, each head has
tokens of its own, and a token's place in its row is looked up in ``positions``. A mask over a full cache was rejected:
it saves neither memory nor time.

Rows of a batch may have prompts of different lengths, padded on the left. Each row has the budget that its own prompt
gives, so it keeps the tokens it would keep alone; the tensors are as wide as the largest budget of the batch, and the
slots a row does not use are empty.

A step costs the attention over the kept tokens and a dozen small operations. Counts that decide shapes are kept in
Python, so a GPU is never waited for. Numbers that a scorer wants of each token for good (``marks``) are computed when
they are first read, and then for some of the tokens to come at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.kvcache.scorers import LayerTokens, MarkingScorer

SPARE_SLOTS = 16
"""A cache that grows gets room for an eighth of its tokens and this many more at a time."""
MARKS_AHEAD = 64
"""Tokens to come whose marks are computed at a time."""


@dataclass(frozen=True, slots=True)
class CacheBytes:
    """Memory of a cache: keys and values, and what is known of each slot (its place, its sum and its marks)."""

    keys_and_values: int
    bookkeeping: int

    def __add__(self, other: CacheBytes) -> CacheBytes:
        return CacheBytes(self.keys_and_values + other.keys_and_values, self.bookkeeping + other.bookkeeping)


class ShrinkingLayer:
    """Call ``reserve``, ``write``, attend to ``keys`` and ``values``, then ``evict``, once for each step."""

    def __init__(self, layer: int, eviction: Eviction) -> None:
        self.layer = layer
        self.eviction = eviction
        self._held: list[int] = []  # tokens in each row's slots
        self._seen: list[int] = []  # tokens each row has been given
        self._limits: list[int] = []
        self._step = 0
        self._queries = 0
        self._used = 0
        self._slot: torch.Tensor | int = 0  # what the next token is written to: one a head, or the same for all
        self._free: torch.Tensor | None = None  # the slot that each head emptied last
        self._marks: torch.Tensor | None = None
        self._marks_ahead: torch.Tensor | None = None  # of the tokens from step _ahead_from on
        self._ahead_from = 0
        self.reserved = False
        """Whether slots wait to be written."""

    @property
    def rows(self) -> int:
        """Rows of the batch."""
        return len(self._seen)

    @property
    def seen(self) -> int:
        """Tokens the longest row has been given."""
        return max(self._seen, default=0)

    @property
    def empty(self) -> bool:
        """Whether no token has been given yet."""
        return not self._seen

    @property
    def keys(self) -> torch.Tensor:
        """(batch, kv_heads, slots, width): keys to attend to; those of empty slots must be masked."""
        return self._keys[:, :, : self._used]

    @property
    def values(self) -> torch.Tensor:
        """(batch, kv_heads, slots, width): values to attend to."""
        return self._values[:, :, : self._used]

    @property
    def positions(self) -> torch.Tensor:
        """(batch, kv_heads, slots): each token's place in its own row, -1 for an empty slot."""
        return self._positions[:, :, : self._used]

    @property
    def query_positions(self) -> torch.Tensor:
        """(batch, queries): places of the tokens given last; padding has a negative one."""
        return self._lengths[:, None] + torch.arange(-self._queries, 0, device=self._lengths.device)

    @property
    def has_empty_slots(self) -> bool:
        """Whether some row attends to a slot that must be masked."""
        return min(self._held) < self._used

    def visible(self) -> torch.Tensor | None:
        """(batch, kv_heads, queries, slots): whether a query may see a slot; None if each may see all."""
        if self._queries == 1 and not self.has_empty_slots:
            return None
        positions = self.positions[:, :, None]
        return (positions >= 0) & (positions <= self.query_positions[:, None, :, None])

    def reserve(self, batch: int, kv_heads: int, count: int, device: torch.device, padding: list[int]) -> None:
        """Make slots for ``count`` tokens a row; ``padding`` is how many of a prompt's are padding, row by row."""
        self._queries = count
        self.reserved = True
        if self.empty:
            self._begin(batch, kv_heads, count, device, padding)
        else:
            self._step += count
            self._seen = [seen + count for seen in self._seen]
            self._held = [held + count for held in self._held]
            self._lengths += count
            if count == 1:
                self._reserve_one()
            else:
                self._reserve_many(count)

    def _begin(self, batch: int, kv_heads: int, count: int, device: torch.device, padding: list[int]) -> None:
        if any(pads >= count for pads in padding):
            raise ConfigError(f"a prompt of {count} tokens is padding in whole; give every row at least one token")
        self._seen = [count - pads for pads in padding]
        self._held = list(self._seen)
        budget = self.eviction.budget
        self._limits = [budget.for_prompt(length) for length in self._seen] if budget else []
        self._lengths = torch.tensor(self._seen, device=device)
        self._limits_there = torch.tensor(self._limits, device=device)
        places = torch.arange(count, device=device) - torch.tensor(padding, device=device)[:, None]
        self._positions = places.clamp(min=-1).int()[:, None].repeat(1, kv_heads, 1)
        self._sums = torch.zeros(batch, kv_heads, count, device=device)
        self._used = count

    def _reserve_one(self) -> None:
        grows = max(self._held) > self._used  # every slot of some row is taken
        if grows:
            if self._used == self._positions.shape[2]:
                self._resize(self._used + self._used // 8 + SPARE_SLOTS)
            self._used += 1
        if grows and not self.has_empty_slots:
            self._slot = self._used - 1
        else:
            self._slot = self.positions.argmin(-1, keepdim=True) if self._free is None else self._free  # -1 is empty
        self._free = None
        if len(set(self._seen)) == 1:
            self._fill(self._positions, self._seen[0] - 1)
        else:
            self._fill(self._positions, (self._lengths - 1)[:, None, None])
        self._fill(self._sums, 0)
        if self._marks is not None:
            self._fill(self._marks, self._mark_of_one())

    def _fill(self, of_slots: torch.Tensor, value: torch.Tensor | float) -> None:
        """Put ``value`` into the reserved slots of a tensor (batch, heads, slots)."""
        if isinstance(self._slot, int):
            of_slots[:, :, self._slot : self._slot + 1] = value
            return
        slot = self._slot.repeat_interleave(of_slots.shape[1] // self._slot.shape[1], 1)
        if isinstance(value, torch.Tensor):
            of_slots.scatter_(2, slot, value.to(of_slots.dtype).expand(slot.shape))
        else:
            of_slots.scatter_(2, slot, value)

    def _mark_of_one(self) -> torch.Tensor:
        """(batch, heads, 1): the marks of the newest token."""
        ahead, column = self._marks_ahead, self._step - self._ahead_from
        if ahead is None or not 0 <= column < MARKS_AHEAD:
            places = (self._lengths - 1)[:, None] + torch.arange(MARKS_AHEAD, device=self._lengths.device)
            ahead = self._marks_of(places[:, None].expand(-1, self._positions.shape[1], -1))
            if ahead is None:
                raise TypeError("a scorer gave marks of some tokens and none of others")
            self._marks_ahead, self._ahead_from, column = ahead, self._step, 0
        return ahead[:, :, column : column + 1]

    def _marks_of(self, positions: torch.Tensor) -> torch.Tensor | None:
        scorer = self.eviction.scorer
        return scorer.marks(self.layer, positions, self._heads) if isinstance(scorer, MarkingScorer) else None

    def _reserve_many(self, count: int) -> None:
        batch, heads = self._positions.shape[:2]
        places = self.query_positions.int()[:, None].expand(batch, heads, count)
        self._positions = torch.cat((self.positions, places), 2)
        self._sums = torch.cat((self._sums[:, :, : self._used], self._sums.new_zeros(batch, heads, count)), 2)
        self._used += count
        self._marks = self._free = None

    def write(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Fill the slots that were reserved: (batch, kv_heads, count, width)."""
        self.reserved = False
        count = keys.shape[2]
        if count == self._used:  # the prompt
            self._keys, self._values = keys, values
        elif count == 1:
            if isinstance(self._slot, int):
                self._keys[:, :, self._slot : self._slot + 1] = keys
                self._values[:, :, self._slot : self._slot + 1] = values
            else:
                self._keys.scatter_(2, self._slot[..., None].expand(keys.shape), keys)
                self._values.scatter_(2, self._slot[..., None].expand(values.shape), values)
        else:
            self._keys = torch.cat((self._keys[:, :, : self._used - count], keys), 2)
            self._values = torch.cat((self._values[:, :, : self._used - count], values), 2)

    def queries_read(self) -> int:
        """How many of the queries given last ``score`` must see the attention of."""
        scorer = self.eviction.scorer
        if scorer is None or (scorer.prompt_only and self._step):
            return 0
        return scorer.queries_read(self._queries)

    def score(
        self,
        attentions: torch.Tensor,
        before: int = 0,
        module: torch.nn.Module | None = None,
        hidden_states: torch.Tensor | None = None,
        logits: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Scores after queries ``before`` and on, as many as ``attentions`` has; None if nothing is ever dropped.

        ``logits``: what ``attentions`` is the softmax of, where it is at hand.
        """
        scorer = self.eviction.scorer
        if scorer is None or (scorer.prompt_only and self._step):
            return None
        queries = self.query_positions[:, before : before + attentions.shape[2]]
        if any(seen < self._queries for seen in self._seen):  # what padding attends to says nothing
            attentions = attentions.masked_fill((queries < 0)[:, None, :, None], 0.0)
            attentions[..., 0] += (queries < 0)[:, None, :]  # to one empty slot, so that a softmax is one
        first = self._step - self._queries + 1 + before if self._step else 0
        if self._marks is None:
            self._heads = attentions.shape[1]
            self._marks = self._marks_of(self._positions)
        tokens = LayerTokens(
            self.layer,
            self.positions,
            self._sums[:, :, : self._used],
            queries,
            self._lengths,
            self._limits_there,
            first,
            self._seen,
            self._limits,
            logits,
            None if self._marks is None else self._marks[:, :, : self._used],
        )
        return scorer.score(module, hidden_states, self.keys, self.values, attentions, tokens)

    def evict(self, scores: torch.Tensor | None) -> None:
        """Drop the tokens that ``scores`` rank below each row's budget; with None, drop nothing."""
        if scores is None:
            if self._keys.shape[2] == self._used and self._used == self._queries:  # a prompt: make room for more
                self._resize(self._used + self._used // 8 + SPARE_SLOTS)
            return
        excess = [held - limit for held, limit in zip(self._held, self._limits, strict=True)]
        whole = self._queries > 1 or self._used == self._queries
        if not whole and max(excess) <= 0:
            return
        if whole:
            self._keep_best(scores)
        else:
            self._drop_one(scores, excess)
        self._held = [min(held, limit) for held, limit in zip(self._held, self._limits, strict=True)]

    def _drop_one(self, scores: torch.Tensor, excess: list[int]) -> None:
        positions = self.positions
        if self.has_empty_slots:
            scores = torch.where(positions < 0, torch.inf, scores)
        lowest = scores == scores.amin(-1, keepdim=True)
        latest = torch.where(lowest, positions, -1).argmax(-1, keepdim=True)  # of equal scores the earlier token stays
        if min(excess) <= 0:  # a row within its budget drops nothing
            over = torch.tensor(excess, device=scores.device)[:, None, None] > 0
            kept = positions.gather(2, latest)
            positions.scatter_(2, latest, kept.masked_fill(over, -1))
        else:
            positions.scatter_(2, latest, -1)
            self._free = latest

    def _keep_best(self, scores: torch.Tensor) -> None:
        by_place = self.positions.argsort(-1)
        scores = scores.masked_fill(self.positions < 0, -torch.inf).gather(2, by_place)
        ranked = scores.sort(dim=-1, descending=True, stable=True).indices  # of equal scores the earlier token stays
        width = max(min(held, limit) for held, limit in zip(self._held, self._limits, strict=True))
        kept = by_place.gather(2, ranked[..., :width])
        positions = self.positions.gather(2, kept)
        rank = torch.arange(width, device=positions.device)
        positions = positions.masked_fill(rank >= self._limits_there[:, None, None], -1)
        room = width + 1 if width == max(self._limits) else width + width // 8 + SPARE_SLOTS
        here = kept[..., None]
        self._keys = with_room(self.keys.gather(2, here.expand(*kept.shape, self._keys.shape[-1])), room, 0)
        self._values = with_room(self.values.gather(2, here.expand(*kept.shape, self._values.shape[-1])), room, 0)
        self._sums = with_room(self._sums[:, :, : self._used].gather(2, kept), room, 0)
        self._positions = with_room(positions, room, -1)
        self._used = width
        self._marks = None

    def _resize(self, room: int) -> None:
        if self._limits and not (self.eviction.scorer and self.eviction.scorer.prompt_only):
            room = min(room, max(self._limits) + 1)
        self._keys = with_room(self._keys, room, 0)
        self._values = with_room(self._values, room, 0)
        self._sums = with_room(self._sums, room, 0)
        self._positions = with_room(self._positions, room, -1)
        self._marks = None

    def choose_rows(self, rows: torch.Tensor) -> None:
        """Row i becomes what row ``rows[i]`` was: beams that go on, stop and multiply."""
        if self.empty:
            return
        alike = len(set(zip(self._held, self._seen, strict=True))) == 1 and len(set(self._limits)) <= 1
        order = [0] * len(rows) if alike else rows.tolist()  # a GPU is not waited for
        self._held, self._seen = [self._held[row] for row in order], [self._seen[row] for row in order]
        self._limits = [self._limits[row] for row in order] if self._limits else []
        rows = rows.to(self._positions.device)
        self._lengths = self._lengths[rows]
        self._limits_there = self._limits_there[rows] if self._limits else self._limits_there
        self._keys, self._values = self._keys[rows], self._values[rows]
        self._positions, self._sums = self._positions[rows], self._sums[rows]
        self._free = None if self._free is None else self._free[rows]
        self._marks = None if self._marks is None else self._marks[rows]
        self._marks_ahead = None if self._marks_ahead is None else self._marks_ahead[rows]

    def bytes_used(self) -> CacheBytes:
        """Memory of this layer's tensors as they are allocated, empty slots included."""
        if self.empty:
            return CacheBytes(0, 0)
        known = [self._positions, self._sums, *([] if self._marks is None else [self._marks])]
        return CacheBytes(self._keys.nbytes + self._values.nbytes, sum(tensor.nbytes for tensor in known))

    def kept(self, row: int, kv_head: int) -> list[int]:
        """The places of the tokens in the cache, in order."""
        return sorted(place for place in self.positions[row, kv_head].tolist() if place >= 0)


def with_room(tensor: torch.Tensor, room: int, fill: int) -> torch.Tensor:
    """A copy with ``room`` slots in dimension 2, of which the last ones have ``fill``."""
    wide = tensor.new_full((*tensor.shape[:2], room, *tensor.shape[3:]), fill)
    wide[:, :, : tensor.shape[2]] = tensor
    return wide
