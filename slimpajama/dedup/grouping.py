"""The clusters of one range: which document of each stays, how many there are, and which sources share them.

Arithmetic on arrays; the stage that reads and writes them is :mod:`slimpajama.dedup.stages.group`. Members are sorted
by cluster once, and everything else goes along that order. A survivor is the first of its cluster by keys that are
compared one after the other, then by id. Where clusters already name their survivors, none is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.files.groups import Groups, source_words
from slimpajama.engine.kernels import kernel

__all__ = ["BYTES_PER_MEMBER", "Members", "Shared", "grouped", "in_range", "with_company"]

BYTES_PER_MEMBER = 128
"""Held for each document of a range, beside eight bytes for each key and for every 64 sources."""


@dataclass(frozen=True, slots=True)
class Members:
    """n documents in the order of their ids: ``ids`` and ``clusters`` ``uint64[n]``, ``similarity`` ``float32[n]``."""

    ids: NDArray[np.uint64]
    clusters: NDArray[np.uint64]
    similarity: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shared:
    """What s sources share, ``int64[s, s]`` each: ``clusters`` that hold documents of both (on the diagonal: any of the
    one); ``documents`` of the row's source whose cluster holds one of the column's (on the diagonal: another of its
    own), and their ``bytes``."""

    clusters: NDArray[np.int64]
    documents: NDArray[np.int64]
    bytes: NDArray[np.int64]

    @classmethod
    def nothing(cls, sources: int) -> Shared:
        """Before anything is counted."""
        return cls(*(np.zeros((sources, sources), dtype=np.int64) for _ in range(3)))


def in_range(clusters: NDArray[np.uint64], number: int, ranges: int) -> NDArray[np.bool_]:
    """Which ``clusters`` ``uint64[n]`` fall into range ``number`` of ``ranges``, by 32 bits that are even over all."""
    mixed = (clusters * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    chosen: NDArray[np.bool_] = (mixed * np.uint64(ranges)) >> np.uint64(32) == number
    return chosen


def with_company(members: Members) -> Members:
    """Those whose cluster holds another of them, too."""
    order = np.argsort(members.clusters, kind="stable")
    ordered = members.clusters[order]
    same = ordered[1:] == ordered[:-1]
    chosen = np.zeros(order.size, dtype=np.bool_)
    chosen[order[1:]] = same
    chosen[order[:-1]] |= same
    return Members(members.ids[chosen], members.clusters[chosen], members.similarity[chosen])


def grouped(
    members: Members,
    hashes: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    sources: NDArray[np.int64],
    keys: Sequence[NDArray[np.uint64]] | None,
    shared: Shared,
) -> Groups:
    """The groups of ``members`` of all clusters of a range, each of which has company, adding to ``shared``.

    Of each member: ``hashes`` ``uint64[n, 2]`` of its cleaned text, ``sizes`` in bytes, ``sources``; and ``keys``, of
    which smaller is preferred, the most important first; ``None`` where clusters name their survivors.
    """
    order = np.argsort(members.clusters, kind="stable")  # in each cluster by id
    ordered = members.clusters[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if order.size else np.empty(0, dtype=np.int64)
    counts = np.diff(np.append(starts, order.size))
    numbers = np.empty(order.size, dtype=np.int64)
    numbers[order] = np.repeat(np.arange(starts.size), counts)
    if keys is None:
        firsts = np.searchsorted(members.ids, ordered[starts])
    else:
        best = np.lexsort((members.ids, *reversed(keys), numbers)) if keys else order
        firsts = best[starts]
    del ordered
    survivor = firsts[numbers]
    stays = survivor == np.arange(order.size)
    equal = (hashes[:, 0] == hashes[survivor, 0]) & (hashes[:, 1] == hashes[survivor, 1])
    size, copies = (np.zeros(order.size, dtype=np.uint32) for _ in range(2))
    size[firsts] = counts
    copies[firsts] = np.bincount(numbers[equal], minlength=starts.size)
    marks = np.zeros((starts.size, source_words(len(shared.clusters))), dtype=np.uint64)
    scratch = np.zeros((3, len(shared.clusters)), dtype=np.int64)
    count_sources(
        order,
        np.append(starts, order.size),
        sources,
        sizes,
        marks,
        shared.clusters,
        shared.documents,
        shared.bytes,
        scratch,
    )
    of_sources = np.zeros((order.size, marks.shape[1]), dtype=np.uint64)
    of_sources[firsts] = marks
    return Groups(
        members.ids,
        members.ids[survivor],
        size,
        equal & ~stays,
        copies,
        of_sources.view(np.uint8),
        members.similarity,
    )


@kernel
def count_sources(
    order: NDArray[np.int64],
    bounds: NDArray[np.int64],
    sources: NDArray[np.int64],
    sizes: NDArray[np.int64],
    marks: NDArray[np.uint64],
    clusters: NDArray[np.int64],
    documents: NDArray[np.int64],
    bytes_: NDArray[np.int64],
    scratch: NDArray[np.int64],
) -> None:
    """Mark the sources of each cluster, whose members ``order`` lists between ``bounds``; count what they share.

    ``scratch``: ``int64[3, sources]`` of zeros.
    """
    counts, volumes, present = scratch[0], scratch[1], scratch[2]
    for cluster in range(bounds.size - 1):
        different = 0
        for place in range(bounds[cluster], bounds[cluster + 1]):
            source = sources[order[place]]
            if counts[source] == 0:
                present[different] = source
                different += 1
                marks[cluster, source // 64] |= np.uint64(1) << np.uint64(source % 64)
            counts[source] += 1
            volumes[source] += sizes[order[place]]
        for one in present[:different]:
            for other in present[:different]:
                clusters[one, other] += 1
                if one != other or counts[one] > 1:
                    documents[one, other] += counts[one]
                    bytes_[one, other] += volumes[one]
        for one in present[:different]:
            counts[one] = 0
            volumes[one] = 0
