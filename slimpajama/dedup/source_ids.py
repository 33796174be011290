"""Which source an id is of: ranges of shards, each of one source.

A run's own sources are a range each, in their order. The sources of an earlier run that it is compared with come before
them; there, a source counts as the same as one of this run's if it has the same name, so that local deduplication sees
both, but reports call all of them by one number, the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS

__all__ = ["SourceRanges"]


@dataclass(frozen=True, slots=True)
class SourceRanges:
    """``first_shards``: where each range begins, ascending; ``local``: the same number for the same source;
    ``reported``: the number of the source in reports."""

    first_shards: tuple[int, ...]
    local: tuple[int, ...]
    reported: tuple[int, ...]

    @classmethod
    def of(
        cls, names: Sequence[str], first_shards: Sequence[int], earlier: Sequence[tuple[str, int]] = ()
    ) -> SourceRanges:
        """The ranges of sources ``names``, after those of an ``earlier`` run as (name, first shard)."""
        every = [*earlier, *zip(names, first_shards, strict=True)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in every))}
        return cls(
            tuple(first for _, first in every),
            tuple(numbers[name] for name, _ in every),
            (len(names),) * len(earlier) + tuple(range(len(names))),
        )

    @property
    def reported_count(self) -> int:
        """Numbers in reports."""
        return max(self.reported) + 1

    def local_of_ascending(self, ids: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """``uint16[n]``: the source of each of ids that ascend, as one number for one name, at the price of writing
        it down."""
        firsts = np.array(self.first_shards[1:], dtype=np.uint64) << np.uint64(POSITION_BITS)
        ends = np.append(np.searchsorted(ids, firsts), ids.size)
        return np.repeat(np.array(self.local, dtype=np.uint16), np.diff(ends, prepend=0))

    def local_of(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """``int64[n]``: the source of each id, as one number for one name."""
        return self._numbers_of(ids, self.local)

    def reported_of(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """``int64[n]``: the source of each id, as reports number them."""
        return self._numbers_of(ids, self.reported)

    def _numbers_of(self, ids: NDArray[np.uint64], numbers: Sequence[int]) -> NDArray[np.int64]:
        firsts = np.array(self.first_shards, dtype=np.uint64)
        ranges = np.searchsorted(firsts, ids >> np.uint64(POSITION_BITS), side="right") - 1
        found: NDArray[np.int64] = np.array(numbers, dtype=np.int64)[ranges]
        return found
