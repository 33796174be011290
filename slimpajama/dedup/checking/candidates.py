"""Which documents of a bucket are compared: each with the first ones that stay and come before it.

A bucket holds the documents that agree in one band. Comparing all of its pairs would be quadratic, and comparing each
document with the bucket's first alone would miss twins that come later. So rounds are made: in each, every document
that still stays is compared with the first ``window`` documents of its bucket that stay, in all sources and in its own;
the window grows from round to round. Pairs that were compared before come up again and are left out by whoever compares
(:mod:`slimpajama.dedup.checking.similarity`). Pages of one template may share a bucket by the million and all stay: the
largest buckets keep a window of one where wider ones would make more than ``PAIRS_PER_DOCUMENT`` of all documents, so
that time and memory are linear. Costs 160 bytes for each document of a range of keys. Rejected: one round with a wide
window (most of its comparisons are with documents that do not stay), and remembering for each document and bucket how
far it came (14 positions a document).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.union_find import Links
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.kernels import kernel

__all__ = ["Bucketed", "Candidates", "buckets_of", "candidates_of", "pair_up", "windows_of"]


@dataclass(frozen=True, slots=True)
class Bucketed:
    """The n documents of all buckets of a band and range: ``ids`` ``uint64[n]`` ascending, ``buckets`` ``int32[n]``."""

    ids: NDArray[np.uint64]
    buckets: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """m pairs to compare: each of ``documents`` ``uint64[m]`` with one of ``candidates`` ``uint64[m]``, which comes
    before it. ``left_out``: comparisons within a bucket that the window left out."""

    documents: NDArray[np.uint64]
    candidates: NDArray[np.uint64]
    left_out: int


def buckets_of(links: Links) -> Bucketed:
    """The buckets behind ``links``, in which the first of a source is linked to the first of all."""
    anchors, documents = links.anchors, links.documents
    if not documents.size:
        return Bucketed(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int32))
    places = np.minimum(np.searchsorted(documents, anchors), documents.size - 1)
    linked = documents[places] == anchors  # the first of a source, not of all
    bucket_of_anchor = np.where(linked, links.anchor_of[places], np.arange(anchors.size, dtype=np.int32))
    ids = np.concatenate([documents, anchors[~linked]])
    buckets = np.concatenate([bucket_of_anchor[links.anchor_of], np.flatnonzero(~linked).astype(np.int32)])
    order = np.argsort(ids, kind="stable")
    return Bucketed(ids[order], buckets[order].astype(np.int32))


def candidates_of(
    bucketed: Bucketed,
    kept_global: NDArray[np.bool_],
    kept_local: NDArray[np.bool_],
    sources: SourceRanges,
    window: int,
    first_id: int = 0,
    precedence: NDArray[np.int64] | None = None,
) -> Candidates:
    """The pairs of one round.

    ``kept_global``, ``kept_local`` ``bool[n]``: whether a document of a bucket stays, as far as is known. Documents
    with ids below ``first_id`` are of an earlier run: others are compared with them, and they with none.
    ``precedence`` ``int64[n]``: the order in which documents come first; that of their ids without it.
    """
    own = sources.local_of_ascending(bucketed.ids)
    windows = windows_of(bucketed.buckets, kept_global, kept_local, window)
    place = np.arange(bucketed.ids.size) if precedence is None else precedence
    order = np.lexsort((place, bucketed.buckets))
    ids, buckets, own = bucketed.ids[order], bucketed.buckets[order], own[order]
    kept_global, kept_local = kept_global[order], kept_local[order]
    count = int(own.max(initial=0)) + 1
    firsts = np.empty((1 + count, int(windows.max(initial=0))), dtype=np.int64)
    own_kept = np.zeros(count, dtype=np.int64)
    given = (ids, buckets, own, kept_global, kept_local, windows, first_id, firsts, own_kept)
    counted = pair_up(*given, _NOTHING, _NOTHING)
    found = int(counted[0])
    documents, candidates = (np.empty(found, dtype=np.uint64) for _ in range(2))
    if found:
        pair_up(*given, documents, candidates)
    order = np.lexsort((candidates, documents))
    documents, candidates = documents[order], candidates[order]
    fresh = np.ones(found, dtype=np.bool_)
    fresh[1:] = (documents[1:] != documents[:-1]) | (candidates[1:] != candidates[:-1])
    return Candidates(documents[fresh], candidates[fresh], int(counted[1]))


PAIRS_PER_DOCUMENT = 2
SOME_PAIRS = 1 << 16
"""So many pairs are always made, however few documents there are."""


def windows_of(
    buckets: NDArray[np.int32], kept_global: NDArray[np.bool_], kept_local: NDArray[np.bool_], window: int
) -> NDArray[np.int64]:
    """``int64[buckets]``: ``window``, or one for the largest buckets, if all would make too many pairs."""
    count = int(buckets.max(initial=-1)) + 1
    in_global, in_local = (np.bincount(buckets[kept], minlength=count) for kept in (kept_global, kept_local))
    pairs = in_global * np.minimum(in_global, window) + in_local * np.minimum(in_local, window)
    order = np.argsort(pairs, kind="stable")
    fits = np.cumsum(pairs[order]) <= PAIRS_PER_DOCUMENT * buckets.size + SOME_PAIRS
    windows = np.ones(count, dtype=np.int64)
    windows[order[fits]] = window
    return windows


_NOTHING: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)


@kernel
def pair_up(
    ids: NDArray[np.uint64],
    buckets: NDArray[np.int32],
    sources: NDArray[np.uint16],
    kept_global: NDArray[np.bool_],
    kept_local: NDArray[np.bool_],
    windows: NDArray[np.int64],
    first_id: int,
    firsts: NDArray[np.int64],
    own_kept: NDArray[np.int64],
    documents: NDArray[np.uint64],
    candidates: NDArray[np.uint64],
) -> tuple[int, int]:
    """Pair up the documents of each bucket; ``ids`` in order of bucket and precedence.

    ``firsts`` ``int64[1 + sources, largest window]`` and ``own_kept`` ``int64[sources]`` are scratch.
    Returns how many pairs there are, which are written where there is room for them, and how many the window left out.
    """
    found = left_out = 0
    begin = 0
    while begin < ids.size:
        end = begin
        window = windows[buckets[begin]]
        while end < ids.size and buckets[end] == buckets[begin]:
            own_kept[sources[end]] = 0
            end += 1
        kept = 0
        for at in range(begin, end):
            is_new = ids[at] >= np.uint64(first_id)
            source = sources[at]
            if kept_global[at]:
                if is_new:
                    for before in range(min(kept, window)):
                        if documents.size:
                            documents[found] = ids[at]
                            candidates[found] = ids[firsts[0, before]]
                        found += 1
                    left_out += max(0, kept - window)
                if kept < window:
                    firsts[0, kept] = at
                kept += 1
            if kept_local[at]:
                before_it = own_kept[source]
                if is_new:
                    for before in range(min(before_it, window)):
                        if documents.size:
                            documents[found] = ids[at]
                            candidates[found] = ids[firsts[1 + source, before]]
                        found += 1
                    left_out += max(0, before_it - window)
                if before_it < window:
                    firsts[1 + source, before_it] = at
                own_kept[source] = before_it + 1
        begin = end
    return found, left_out
