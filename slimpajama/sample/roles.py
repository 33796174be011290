"""What each document is: an original, a short text, or a copy of which original, from its index alone.

Every decision hashes (seed, source, document index), a whole shard at a time in numpy: about 1 µs a document.
A copy draws up to eight candidates and takes the first that is an original, which its own index tells; so any
shard knows its copies' originals without seeing another shard. Most originals that are copied are copied
once; one copy in seven goes to the first original of a stretch of 256, which makes clusters of several.
Rejected: a table of all documents (gigabytes for a large sample).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from slimpajama.sample.random_streams import derive_key, numbers_at
from slimpajama.sample.sources import KINDS, document_counts, mean_lengths

__all__ = ["COPY", "PLAIN", "SHORT", "Document", "Role", "SampleSpec", "documents", "roles"]

PLAIN, SHORT, COPY = 0, 1, 2

_ROLE, _LENGTH, _SOURCE, _CANDIDATE, _TARGET = range(1, 6)
_FEW = 40
"""A source with fewer documents has its roles by place, so that chance cannot leave it without a copy."""
_CANDIDATES = 8
_STRETCH = 256
_ODD_SHARE = 0.01
_SHORTEST = 300
_QUANTILES = 1024


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """All that a sample's bytes depend on."""

    seed: int
    docs: int

    def counts(self) -> tuple[int, ...]:
        """Documents per kind."""
        return document_counts(self.docs)


@dataclass(frozen=True, slots=True)
class Document:
    """What a document's own text is made from: kind (place in ``KINDS``), index, length in characters,
    flags."""

    kind: int
    index: int
    length: int
    short: bool
    odd: bool


@dataclass(frozen=True, slots=True)
class Role:
    """One document, and, where it is a copy, its original and the similarity wanted (``None`` and 0.0
    otherwise)."""

    document: Document
    original: Document | None
    target: float


def roles(recipe: SampleSpec, kind: int, start: int, stop: int) -> list[Role]:
    """The roles of documents ``start`` to ``stop - 1`` of a kind."""
    indices = np.arange(start, stop, dtype=np.uint64)
    own = documents(recipe, kind, indices)
    copies = np.flatnonzero(_role(recipe, kind, indices) == COPY)
    found = [Role(document, None, 0.0) for document in own]
    if copies.size:
        originals = _originals(recipe, kind, indices[copies])
        targets = _targets(recipe, kind, indices[copies])
        for place, original, target in zip(copies.tolist(), originals, targets, strict=True):
            if original is not None:
                found[place] = Role(own[place], original, target)
    return found


def documents(recipe: SampleSpec, kind: int, indices: NDArray[np.uint64]) -> list[Document]:
    """What the documents ``indices`` (``uint64[n]``) of a kind are made from."""
    numbers = numbers_at(derive_key(recipe.seed, kind, _LENGTH), indices)
    mean = mean_lengths(recipe.counts())[kind]
    lengths = mean * _lognormal(KINDS[kind].spread)[(numbers >> np.uint64(54)).astype(np.int64)]
    lengths = np.clip(lengths, _SHORTEST, KINDS[kind].longest).astype(np.int64)
    odd = (numbers & np.uint64(0xFFFF)) < np.uint64(int(_ODD_SHARE * 0x10000))
    short = _role(recipe, kind, indices) == SHORT
    return [
        Document(kind, index, length, is_short, is_odd)
        for index, length, is_short, is_odd in zip(
            indices.tolist(), lengths.tolist(), short.tolist(), odd.tolist(), strict=True
        )
    ]


@lru_cache(maxsize=16)
def _lognormal(spread: float) -> NDArray[np.float64]:
    """Quantiles of the lognormal distribution of mean 1: drawing one is drawing a place in this table."""
    normal = NormalDist()
    places = [(i + 0.5) / _QUANTILES for i in range(_QUANTILES)]
    return np.array([math.exp(spread * normal.inv_cdf(place) - spread * spread / 2) for place in places])


def _role(recipe: SampleSpec, kind: int, indices: NDArray[np.uint64]) -> NDArray[np.int64]:
    count = recipe.counts()[kind]
    role = np.zeros(indices.size, dtype=np.int64)
    if count < _FEW:
        role[indices % np.uint64(8) == 3] = COPY
        if KINDS[kind].short:
            role[indices % np.uint64(16) == 6] = SHORT
        return role
    chance = (numbers_at(derive_key(recipe.seed, kind, _ROLE), indices) >> np.uint64(11)) * (1.0 / (1 << 53))
    role[chance < KINDS[kind].copied + KINDS[kind].short] = SHORT
    role[chance < KINDS[kind].copied] = COPY
    return role


def _originals(recipe: SampleSpec, kind: int, indices: NDArray[np.uint64]) -> list[Document | None]:
    """The original of each copy; ``None`` in the rare case that all candidates are copies or short."""
    names = [other.name for other in KINDS]
    odds = KINDS[kind].originals
    bounds = np.cumsum([odds.get(name, 0.0) for name in names])
    chance = (numbers_at(derive_key(recipe.seed, kind, _SOURCE), indices) >> np.uint64(11)) * (1.0 / (1 << 53))
    other_kinds = np.searchsorted(bounds, chance * bounds[-1], side="right")
    found: list[Document | None] = [None] * indices.size
    for other in np.unique(other_kinds).tolist():
        members = np.flatnonzero(other_kinds == other)
        count = np.uint64(recipe.counts()[other])
        chosen = np.full(members.size, -1, dtype=np.int64)
        for attempt in range(_CANDIDATES):
            numbers = numbers_at(derive_key(recipe.seed, kind, _CANDIDATE, attempt), indices[members])
            first = numbers_at(derive_key(recipe.seed, kind, _CANDIDATE, 0), indices[members])
            candidate = ((numbers >> np.uint64(32)) * count) >> np.uint64(32)
            stretch = ((first >> np.uint64(32)) * count) >> np.uint64(32)
            stretch = (stretch - stretch % np.uint64(_STRETCH) + np.uint64(attempt)) % count
            candidate = np.where((first & np.uint64(0xFF)) < np.uint64(37), stretch, candidate)
            usable = (_role(recipe, other, candidate) == PLAIN) & (chosen < 0)
            chosen[usable] = candidate[usable].astype(np.int64)
        hits = np.flatnonzero(chosen >= 0)
        made = documents(recipe, other, chosen[hits].astype(np.uint64))
        for member, document in zip(members[hits].tolist(), made, strict=True):
            found[member] = document
    return found


def _targets(recipe: SampleSpec, kind: int, indices: NDArray[np.uint64]) -> list[float]:
    """Wanted similarities: a quarter exact copies (2.0), one in thirty in another layout (1.0), the rest
    below 1."""
    numbers = numbers_at(derive_key(recipe.seed, kind, _TARGET), indices)
    sort = (numbers & np.uint64(0xFFFF)).astype(np.float64) / 0x10000
    even = (numbers >> np.uint64(11)) * (1.0 / (1 << 53))
    near = np.select(
        [sort < 0.25, sort < 0.28, sort < 0.38, sort < 0.90],
        [np.full(even.size, 2.0), np.full(even.size, 1.0), 0.30 + 0.30 * even, 0.60 + 0.38 * even],
        0.98 + 0.019 * even,
    )
    targets: list[float] = near.tolist()
    return targets
