"""Which pieces of a source a stream is made of, and how often each comes in an epoch.

A value that a recipe gives to the token store: the documents that one scope of the deduplication keeps, all of them or
those that stand for a range of duplicates or have some value of a metadata column, each once or by its duplicates
several times. Costs a mask per bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.dedup import Scope
from slimpajama.tokens.columns import column_field, value_hash

__all__ = ["SCOPES", "Chosen", "DuplicateRange", "Selection", "Where"]

SCOPES: tuple[Scope, ...] = ("global", "local")

DuplicateRange = tuple[int, int | None]
"""The least and the most documents of a cluster, itself among them; ``None``: any number."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen ones of a bucket's rows: their ``places``, ascending, with a row that comes k times there k times;
    ``copies``: which time it is, from 0, or ``None`` where each comes once."""

    places: NDArray[np.int64]
    copies: NDArray[np.int64] | None


@dataclass(frozen=True, slots=True)
class Where:
    """The documents whose value of ``column`` is one of ``values``; with ``others``, those that have any other one."""

    column: str
    values: tuple[str, ...]
    others: bool = False

    def mask(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """``bool[n]``: which of n rows have it."""
        wanted = np.array([value_hash(value) for value in self.values], dtype=np.uint64)
        return np.isin(rows[column_field(self.column)], wanted, invert=self.others)


@dataclass(frozen=True, slots=True)
class Selection:
    """The documents that ``scope`` keeps; of these, where ``duplicates`` are given, the ones whose cluster is so large.

    ``repeats``: ranges of duplicates, and how often a document of each comes in an epoch; others come once. ``where``:
    what a metadata column of the documents holds.
    """

    scope: str
    duplicates: DuplicateRange | None = None
    repeats: tuple[tuple[DuplicateRange, int], ...] = ()
    where: Where | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all that the scope keeps, once."""
        return self.duplicates is None and not self.repeats and self.where is None

    def chosen(self, rows: NDArray[np.void]) -> Chosen:
        """The chosen ones of a bucket's rows."""
        mask: NDArray[np.bool_] = rows[f"kept_{self.scope}"]
        counts: NDArray[np.int64] = rows[f"duplicates_{self.scope}"]
        if self.duplicates is not None:
            mask = mask & _within(counts, self.duplicates)
        if self.where is not None:
            mask = mask & self.where.mask(rows)
        places = np.flatnonzero(mask)
        if not self.repeats:
            return Chosen(places, None)
        times = np.ones(places.size, dtype=np.int64)
        for wanted, copies in self.repeats:
            times[_within(counts[places], wanted)] = copies
        ends = np.cumsum(times)
        copy = np.arange(int(times.sum()), dtype=np.int64) - np.repeat(ends - times, times)
        return Chosen(np.repeat(places, times), copy)


def _within(counts: NDArray[np.int64], wanted: DuplicateRange) -> NDArray[np.bool_]:
    least, most = wanted
    found: NDArray[np.bool_] = counts >= least
    return found if most is None else found & (counts <= most)
