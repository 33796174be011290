"""Documents that have a key in common become links, in one pass over keys laid into buckets that fit the cache.

In each set of equal keys the smallest id of a source is the anchor of the source's others, and the smallest id of all
is the anchor of the other sources' smallest: a star, not all pairs, so a set of a million costs a million, and the
links between documents of one source join exactly what agrees within it. Documents are gone through in the order of
their ids, so the first of anything is the smallest, and links come out in that order without being sorted. Buckets hold
a small part of the key space; in each, an open-addressing table says which document was the first with a key, another
the first with a key and of a source. Costs some 60 ns a key, in any number of documents. Rejected: sorting the keys
(twice the time, and the links had to be sorted after), and one table for all (a miss of the cache per key).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.union_find import Links
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.kernels import kernel

__all__ = ["MOST_KEYS", "KeyedDocuments", "links_of_keys"]

MOST_KEYS = (1 << 32) - 1
"""Documents are numbered by 32 bits here."""

_NONE = np.uint32(MOST_KEYS)
_BUCKET_KEYS = 1 << 15
"""About so many keys a bucket: their tables stay in the cache of one core."""

_SLOTS = 1 << 17
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class KeyedDocuments:
    """n documents: ``keys`` and ``ids`` ``uint64[n]``. Linking takes the arrays out, to let go of each when it can."""

    keys: NDArray[np.uint64]
    ids: NDArray[np.uint64]

    def taken(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Both arrays in the order of ids, which are not kept here."""
        keys, ids = self.keys, self.ids
        self.keys = self.ids = np.empty(0, dtype=np.uint64)
        if not np.all(ids[1:] > ids[:-1]):
            order = np.argsort(ids).astype(np.uint32)
            keys = keys[order]
            ids = ids[order]
        return keys, ids


def links_of_keys(keyed: KeyedDocuments, sources: SourceRanges) -> Links:
    """The links of at most ``MOST_KEYS`` documents, which are taken out. Holds 28 bytes a key at most, theirs
    among them."""
    keys, ids = keyed.taken()
    laid, numbers, ends = _in_buckets(keys)
    del keys
    own = sources.local_of_ascending(ids)
    anchors = np.full(ids.size, _NONE)
    table = _Table(_SLOTS)
    for begin, end in pairwise((0, *ends.tolist())):
        while not table.link(laid[begin:end], numbers[begin:end], own, anchors):
            table = _Table(2 * table.slots)
    del laid, numbers, own, table
    ranks = np.zeros(ids.size, dtype=np.uint32)
    linked, anchoring = _mark_anchors(anchors, ranks)
    anchor_ids = np.empty(anchoring, dtype=np.uint64)
    _number_anchors(ids, ranks, anchor_ids)
    documents, anchor_of = np.empty(linked, dtype=np.uint64), np.empty(linked, dtype=np.int32)
    _collect_links(ids, anchors, ranks, documents, anchor_of)
    return Links(documents, anchor_ids, anchor_of)


class _Table:
    """Which document was the first with a key, and which the first with a key and of a source."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._shift = np.uint64(65 - slots.bit_length())
        self._keys = np.empty((2, slots), dtype=np.uint64)
        self._first = np.empty((2, slots), dtype=np.uint32)

    def link(
        self,
        keys: NDArray[np.uint64],
        numbers: NDArray[np.uint32],
        own: NDArray[np.uint16],
        anchors: NDArray[np.uint32],
    ) -> bool:
        """Note the anchors of one bucket; false if it has too many keys for this table."""
        self._first.fill(_NONE)
        return bool(_link_bucket(keys, numbers, own, self._keys, self._first, self._shift, anchors))


@kernel
def _link_bucket(
    keys: NDArray[np.uint64],
    numbers: NDArray[np.uint32],
    own: NDArray[np.uint16],
    table_keys: NDArray[np.uint64],
    table_first: NDArray[np.uint32],
    shift: np.uint64,
    anchors: NDArray[np.uint32],
) -> bool:
    mask = np.uint64(table_first.shape[1] - 1)
    room = table_first.shape[1] // 2
    entries = others = 0
    for at in range(keys.size):
        key, number = keys[at], numbers[at]
        slot = (key * _ODD) >> shift
        while table_first[0, slot] != _NONE and table_keys[0, slot] != key:
            slot = (slot + np.uint64(1)) & mask
        first = table_first[0, slot]
        if first == _NONE:
            entries += 1
            if entries > room:
                return False
            table_keys[0, slot] = key
            table_first[0, slot] = number
        elif own[number] == own[first]:
            anchors[number] = first
        else:
            slot = ((key + np.uint64(own[number])) * _ODD) >> shift
            while table_first[1, slot] != _NONE and (
                table_keys[1, slot] != key or own[table_first[1, slot]] != own[number]
            ):
                slot = (slot + np.uint64(1)) & mask
            if table_first[1, slot] == _NONE:
                others += 1
                if others > room:
                    return False
                table_keys[1, slot] = key
                table_first[1, slot] = number
                anchors[number] = first
            else:
                anchors[number] = table_first[1, slot]
    return True


def _in_buckets(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.int64]]:
    """The keys bucket by bucket, in their order, the number of each one's document, and where each bucket ends.

    By the lower half of a key: its upper half says which range it is in.
    """
    buckets = max(1, keys.size // _BUCKET_KEYS)
    ends = np.zeros(buckets, dtype=np.int64)
    laid, numbers = np.empty(keys.size, dtype=np.uint64), np.empty(keys.size, dtype=np.uint32)
    _count_buckets(keys, ends)
    ends = np.cumsum(ends) - ends
    _lay(keys, ends, laid, numbers)
    return laid, numbers, ends


@kernel
def _count_buckets(keys: NDArray[np.uint64], counts: NDArray[np.int64]) -> None:
    buckets = np.uint64(counts.size)
    for key in keys:
        counts[np.int64(((key & np.uint64(0xFFFFFFFF)) * buckets) >> np.uint64(32))] += 1


@kernel
def _lay(
    keys: NDArray[np.uint64], ends: NDArray[np.int64], laid: NDArray[np.uint64], numbers: NDArray[np.uint32]
) -> None:
    """Append each key and its number to its bucket, which ends so far where ``ends`` says."""
    buckets = np.uint64(ends.size)
    for at in range(keys.size):
        bucket = np.int64(((keys[at] & np.uint64(0xFFFFFFFF)) * buckets) >> np.uint64(32))
        place = ends[bucket]
        ends[bucket] = place + 1
        laid[place] = keys[at]
        numbers[place] = np.uint32(at)


@kernel
def _mark_anchors(anchors: NDArray[np.uint32], ranks: NDArray[np.uint32]) -> tuple[int, int]:
    """Set the ranks of all anchors to one; returns how many documents have an anchor, and how many are one."""
    linked = 0
    anchoring = 0
    for at in range(anchors.size):
        if anchors[at] != _NONE:
            linked += 1
            if ranks[anchors[at]] == 0:
                anchoring += 1
            ranks[anchors[at]] = 1
    return linked, anchoring


@kernel
def _number_anchors(ids: NDArray[np.uint64], ranks: NDArray[np.uint32], anchor_ids: NDArray[np.uint64]) -> None:
    """Number those of rank one in their order, and list their ids."""
    rank = 0
    for at in range(ranks.size):
        if ranks[at]:
            anchor_ids[rank] = ids[at]
            ranks[at] = np.uint32(rank)
            rank += 1


@kernel
def _collect_links(
    ids: NDArray[np.uint64],
    anchors: NDArray[np.uint32],
    ranks: NDArray[np.uint32],
    documents: NDArray[np.uint64],
    anchor_of: NDArray[np.int32],
) -> None:
    count = 0
    for at in range(anchors.size):
        if anchors[at] != _NONE:
            documents[count] = ids[at]
            anchor_of[count] = np.int32(ranks[anchors[at]])
            count += 1
