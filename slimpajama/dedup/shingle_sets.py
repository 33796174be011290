"""The sets of shingles of documents, and how much two of them share: what exact similarities are computed from.

A set is the distinct 32-bit hashes of a document's shingles, sorted, so that two are compared in one walk through both.
An article of 4 KB takes about 0.1 ms to become a set, most of it for sorting, and 0.03 ms to be compared with another.
Two shingles of a pair of documents have the same hash by accident once in 4 billion, which moves a similarity by far
less than a shingle does. Rejected: hash tables (slower than sorting at this size), and sets of the shingles themselves
(twenty times the memory).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.params import MinHashParams
from slimpajama.engine.kernels import kernel
from slimpajama.text.shingles import shingle_hashes

__all__ = ["ShingleSets", "containment", "jaccard", "shared", "shingle_sets"]


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """The sets of n documents: that of number i is ``hashes[offsets[i]:offsets[i + 1]]``, ascending, without repeats.

    ``hashes`` ``uint32``; ``offsets`` ``int64[n + 1]``. A document too short for a shingle has an empty set.
    """

    hashes: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, number: int) -> NDArray[np.uint32]:
        return self.hashes[self.offsets[number] : self.offsets[number + 1]]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``int64[n]``: distinct shingles of each document."""
        return np.diff(self.offsets)


def shingle_sets(texts: Sequence[str], params: MinHashParams) -> ShingleSets:
    """The sets of ``texts`` as they are stored, that is normalised already; shingles and cleaning are of ``params``."""
    unit, length, cleaning = params.shingle_unit, params.shingle_length, params.cleaning
    sets = [np.empty(0, dtype=np.uint32)]
    for text in texts:
        hashes = shingle_hashes(text, unit=unit, length=length, cleaning=cleaning)
        hashes.sort()  # by numpy, whose sort runs on vector units
        sets.append(hashes[: _without_repeats(hashes)])
    offsets = np.cumsum([one.size for one in sets], dtype=np.int64)
    return ShingleSets(np.concatenate(sets), offsets)


@kernel
def _without_repeats(hashes: NDArray[np.uint32]) -> int:
    """Move the distinct values of an ascending array to its beginning; returns how many."""
    count = 0
    for at in range(hashes.shape[0]):
        if at == 0 or hashes[at] != hashes[at - 1]:
            hashes[count] = hashes[at]
            count += 1
    return count


@kernel
def shared(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> int:
    """How many values two sets share; each ascends without repeats."""
    left, right, count = 0, 0, 0
    while left < one.shape[0] and right < other.shape[0]:
        first, second = one[left], other[right]
        count += np.int64(first == second)
        left += np.int64(first <= second)
        right += np.int64(second <= first)
    return count


def jaccard(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """Shared values as a share of all values of two sets; 0 where both are empty."""
    count = shared(one, other)
    return count / max(1, one.size + other.size - count)


def containment(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """The share of the first set that the second has, too; 0 where the first is empty."""
    return shared(one, other) / max(1, one.size)
