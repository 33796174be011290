"""All pairs of documents with an exact Jaccard similarity of at least t, by a set-similarity join.

A document is the set of its shingles (64-bit hashes of the cleaned text, or whatever the caller makes of a text). Two
sets of similarity t share a shingle among the rarest (1 - t) of each, so only these prefixes are indexed and looked up
(prefix filter), sets of too different size are passed over (size filter), and what is left is intersected to the end
unless it can no longer reach t. Nothing is estimated. Shingles of one document alone are counted but not stored: they
fill up prefixes and match nothing. Over 185 MB of text in 33,000 documents this takes about two minutes and 4 GB.
Rejected: comparing all pairs (500 million intersections), and LSH with many bands (it is what is being judged).

Every bound is a ratio of whole numbers, so that a pair at exactly t is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.text.cleaning import clean_code_points

__all__ = ["Pairs", "ShingleSets", "character_shingles", "distinct", "join", "shingle_sets"]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_SLICE_BITS = 4
"""Shingles are counted in 16 slices by their upper bits, so that sorting takes a sixteenth of the memory."""


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """n sets. ``sizes`` ``int64[n]``: different shingles of each. ``shared[starts[i]:starts[i + 1]]`` ``int32``: those
    of set i that another set holds too, as ranks in ascending order, the rarest shingle of all first."""

    sizes: NDArray[np.int64]
    starts: NDArray[np.int64]
    shared: NDArray[np.int32]

    def jaccard(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        """``float64[m]``, the similarities of the pairs of sets ``left[i]``, ``right[i]``, both ``int64[m]``."""
        common = np.empty(left.size, dtype=np.int64)
        _intersections(left, right, self.starts, self.shared, common)
        union = np.maximum(self.sizes[left] + self.sizes[right] - common, 1)
        similarities: NDArray[np.float64] = common / union
        return similarities


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of sets ``left[i] < right[i]``, ``int64[m]``, and how many shingles they share."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    common: NDArray[np.int64]

    def at_least(self, sizes: NDArray[np.int64], percent: int) -> Pairs:
        """Those with a similarity of at least ``percent`` hundredths."""
        union = sizes[self.left] + sizes[self.right] - self.common
        enough = 100 * self.common >= percent * union
        return Pairs(self.left[enough], self.right[enough], self.common[enough])


@kernel
def _polynomials(points: NDArray[np.uint32], length: int) -> NDArray[np.uint64]:
    count = max(0, points.size - length + 1)
    hashes = np.empty(count, dtype=np.uint64)
    for start in range(count):
        value = np.uint64(0)
        for place in range(start, start + length):
            value = value * _BASE + np.uint64(points[place])
        hashes[start] = value * _BASE
    return hashes


def character_shingles(text: str, length: int = 13) -> NDArray[np.uint64]:
    """The different shingles of ``length`` code points of the cleaned text, ``uint64[m]`` in ascending order."""
    hashes: NDArray[np.uint64] = _polynomials(clean_code_points(text), length)
    return distinct(hashes)


def distinct(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The different values, in ascending order. ``numpy.unique`` takes ten times as long."""
    hashes = np.sort(hashes)
    first = np.ones(hashes.size, dtype=np.bool_)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    return hashes[first]


def shingle_sets(
    texts: Iterable[str], shingles: Callable[[str], NDArray[np.uint64]] = character_shingles
) -> ShingleSets:
    """The sets of ``texts``; ``shingles`` gives the different shingles of one."""
    each = [shingles(text) for text in texts]
    sizes = np.array([one.size for one in each], dtype=np.int64)
    values = np.concatenate([*each, np.empty(0, dtype=np.uint64)])
    del each
    # Shingles that several documents hold are numbered; the others are -1.
    numbers = np.full(values.size, -1, dtype=np.int32)
    frequencies = []
    named = 0
    for part in range(1 << _SLICE_BITS):
        places = np.flatnonzero(values >> np.uint64(64 - _SLICE_BITS) == part)
        _, inverse, counts = np.unique(values[places], return_inverse=True, return_counts=True)
        several = counts > 1
        number = np.where(several, named + np.cumsum(several) - 1, -1).astype(np.int32)
        numbers[places] = number[inverse]
        frequencies.append(counts[several].astype(np.int32))
        named += int(several.sum())
    del values
    rarest_first = np.argsort(np.concatenate(frequencies), kind="stable")
    rank = np.empty(named, dtype=np.int32)
    rank[rarest_first] = np.arange(named, dtype=np.int32)
    kept = numbers >= 0
    kept_before = np.zeros(kept.size + 1, dtype=np.int64)
    np.cumsum(kept, out=kept_before[1:])
    ends = np.zeros(sizes.size + 1, dtype=np.int64)
    np.cumsum(sizes, out=ends[1:])
    starts = kept_before[ends]
    shared = rank[numbers[kept]]
    _sort_each(starts, shared)
    return ShingleSets(sizes, starts, shared)


@kernel
def _sort_each(starts: NDArray[np.int64], shared: NDArray[np.int32]) -> None:
    for number in range(starts.size - 1):
        part = shared[starts[number] : starts[number + 1]]
        part.sort()


@kernel
def _intersections(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    starts: NDArray[np.int64],
    shared: NDArray[np.int32],
    common: NDArray[np.int64],
) -> None:
    for pair in range(left.size):
        common[pair] = _common(left[pair], right[pair], starts, shared, 0)


@kernel
def _common(one: int, other: int, starts: NDArray[np.int64], shared: NDArray[np.int32], needed: int) -> int:
    """How many shingles two sets share, or -1 once it is known to be fewer than ``needed``."""
    first, last = starts[one], starts[one + 1]
    second, end = starts[other], starts[other + 1]
    common = 0
    while first < last and second < end:
        if common + min(last - first, end - second) < needed:
            return -1
        if shared[first] == shared[second]:
            common += 1
            first += 1
            second += 1
        elif shared[first] < shared[second]:
            first += 1
        else:
            second += 1
    return common if common >= needed else -1


@kernel
def _prefix(size: int, unshared: int, times: int, parts: int) -> int:
    """Stored shingles in the prefix of a set: all but times/parts of it and one, less those of this set alone."""
    must = (times * size + parts - 1) // parts
    return max(0, size - must + 1 - unshared)


@kernel
def _join(
    order: NDArray[np.int64],
    sizes: NDArray[np.int64],
    starts: NDArray[np.int64],
    shared: NDArray[np.int32],
    ranks: int,
    percent: int,
) -> NDArray[np.int64]:
    """``int64[m, 3]``: two sets and what they share. ``order`` has the sets by ascending size."""
    # A smaller set is found in the index by a larger one, so its prefix may be shorter than the one looked up.
    ends = np.zeros(ranks + 1, dtype=np.int64)
    for one in order:
        length = starts[one + 1] - starts[one]
        indexed = min(length, _prefix(sizes[one], sizes[one] - length, 2 * percent, 100 + percent))
        for place in range(starts[one], starts[one] + indexed):
            ends[shared[place] + 1] += 1
    for rank in range(ranks):
        ends[rank + 1] += ends[rank]
    begins = ends[:-1].copy()
    ends = begins.copy()
    posted = np.empty(0 if ranks == 0 else _total(order, sizes, starts, percent), dtype=np.int32)
    found = np.empty((1024, 3), dtype=np.int64)
    count = 0
    seen = np.full(sizes.size, -1, dtype=np.int64)
    for one in order:
        size = sizes[one]
        length = starts[one + 1] - starts[one]
        looked_up = min(length, _prefix(size, size - length, percent, 100))
        indexed = min(length, _prefix(size, size - length, 2 * percent, 100 + percent))
        for place in range(starts[one], starts[one] + looked_up):
            rank = shared[place]
            while begins[rank] < ends[rank] and 100 * sizes[posted[begins[rank]]] < percent * size:
                begins[rank] += 1
            for entry in range(begins[rank], ends[rank]):
                other = posted[entry]
                if seen[other] == one:
                    continue
                seen[other] = one
                needed = (percent * (size + sizes[other]) + 99 + percent) // (100 + percent)
                common = _common(one, other, starts, shared, needed)
                if common >= 0:
                    if count == found.shape[0]:
                        wider = np.empty((2 * count, 3), dtype=np.int64)
                        wider[:count] = found
                        found = wider
                    found[count, 0] = min(one, other)
                    found[count, 1] = max(one, other)
                    found[count, 2] = common
                    count += 1
        for place in range(starts[one], starts[one] + indexed):
            rank = shared[place]
            posted[ends[rank]] = one
            ends[rank] += 1
    return found[:count]


@kernel
def _total(order: NDArray[np.int64], sizes: NDArray[np.int64], starts: NDArray[np.int64], percent: int) -> int:
    total = 0
    for one in order:
        length = starts[one + 1] - starts[one]
        total += min(length, _prefix(sizes[one], sizes[one] - length, 2 * percent, 100 + percent))
    return total


def join(sets: ShingleSets, percent: int) -> Pairs:
    """All pairs of sets with a similarity of at least ``percent`` hundredths (1 to 100), sorted by their numbers.

    Empty sets are in no pair.
    """
    order = np.argsort(sets.sizes, kind="stable")
    order = order[sets.sizes[order] > 0]
    ranks = int(sets.shared.max(initial=-1)) + 1
    found: NDArray[np.int64] = _join(order, sets.sizes, sets.starts, sets.shared, ranks, percent)
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    return Pairs(found[:, 0].copy(), found[:, 1].copy(), found[:, 2].copy())
