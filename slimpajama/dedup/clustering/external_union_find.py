"""The root of every linked document, globally and within its source, with one range of ids in memory at a time.

Links go down, from a document to a smaller id. Ranges are taken from the highest: the links inside a range are joined
in memory; of the links that leave a component downwards, the one to the smallest id becomes its parent, and the others
are put aside as links between their ends, for the lower range of the upper end. What they connected stays connected.
Then ranges are taken from the lowest: each root is known when its children ask for it, and their ranges are told. Local
links are those between documents of one source; they are a subset of all links, so each local cluster lies inside a
global one, and who is kept globally is kept locally. Holds ``BYTES_PER_LINKED`` for each document of a range and one
file of links; each link is read once, and where there is one range, nothing is put aside. Rejected: parents in a memory
map larger than memory (a random read of the disk per link), and passes until nothing changes, as in map-reduce.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.id_ranges import ranges_of_links
from slimpajama.dedup.clustering.spill import Column, IdRange, Scratch, Spill
from slimpajama.dedup.clustering.union_find import (
    GLOBAL,
    LOCAL,
    NO_PLACE,
    NOWHERE,
    SOURCE,
    Links,
    flatten,
    join,
    join_links,
    keep_smallest,
    places,
    roots_now,
)
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.heartbeat import beat

__all__ = ["BYTES_PER_LINKED", "SCRATCH_PER_LINKED", "SPILLED_PER_LINKED", "Roots", "roots_of_links"]

BYTES_PER_LINKED = 24
"""Held for each document of a range: its id, two parents, and the smallest id outside."""

SCRATCH_PER_LINKED = 24
"""Bytes on disk meanwhile, for each linked document: its columns."""

SPILLED_PER_LINKED = 90
"""Bytes on disk beside them where there are ranges: pairs that leave one. The most seen, for clusters of ten in three
ranges; clusters of two spill 61 there and 18 in twenty."""

SCOPES = {"global": GLOBAL, "local": LOCAL}


@dataclass(frozen=True, slots=True)
class Roots:
    """``ranges`` of all linked documents, in columns: of each its id, and the ids of its roots."""

    ranges: list[IdRange]
    ids: Column
    global_roots: Column
    local_roots: Column

    @property
    def linked(self) -> int:
        """Documents that occur in a link."""
        return sum(part.size for part in self.ranges)


def roots_of_links(
    files: Sequence[Callable[[], Links]], sources: SourceRanges, scratch: Scratch, capacity: int
) -> Roots:
    """Find all roots. ``files``: each opens one file of links; ``capacity``: documents of a range."""
    ids = Column(scratch, "ids")
    ranges = ranges_of_links(files, ids, max(1, min(capacity, int(NO_PLACE))))
    scopes = [_Scope(name, column, scratch, ids, ranges) for name, column in SCOPES.items()]
    for number in reversed(range(len(ranges))):
        _contract(files, sources, ids, ranges[number], number, scopes, scratch.batch)
    for number in range(1, len(ranges)):
        for scope in scopes:
            scope.resolve(number)
    return Roots(ranges, ids, *(scope.roots for scope in scopes))


def _contract(
    files: Sequence[Callable[[], Links]],
    sources: SourceRanges,
    ids: Column,
    part: IdRange,
    number: int,
    scopes: Sequence[_Scope],
    batch: int,
) -> None:
    """Join the documents of a range, and find each one's parent, in both scopes."""
    own = ids.read(part.first, part.size)
    parents = np.repeat(np.arange(part.size, dtype=np.uint32), 2).reshape(-1, 2)
    for opened in files:
        links = opened()
        first, last = part.part_of(links.documents)
        begin, end = part.part_of(links.anchors)
        anchor_sources = sources.local_of_ascending(links.anchors[:end])
        anchors = np.full((end, 3), NO_PLACE)
        roots_now(parents, places(own, links.anchors[begin:end]), anchors[begin:])
        anchors[:, SOURCE] = anchor_sources
        for at in range(first, last, batch):
            beat()
            documents = links.documents[at : min(at + batch, last)]
            anchor_of = links.anchor_of[at : min(at + batch, last)]
            start = int(np.searchsorted(own, documents[0]))
            of_documents = sources.local_of_ascending(documents)
            outside = np.empty(documents.size, dtype=np.int64)
            count = join_links(own, documents, of_documents, anchor_of, anchors, parents, start, outside)
            leaving = outside[:count]
            if count:
                same = leaving[of_documents[leaving] == anchor_sources[anchor_of[leaving]]]
                for scope, chosen in zip(scopes, (leaving, same), strict=True):
                    scope.leave(documents[chosen], links.anchors[anchor_of[chosen]])
    for scope in scopes:
        scope.take_in(number, parents, own)
    flatten(parents)
    for scope in scopes:
        scope.finish(number, parents[:, scope.column], own)


class _Scope:
    """One of the two problems, which differ in their links alone."""

    def __init__(self, name: str, column: int, scratch: Scratch, ids: Column, ranges: Sequence[IdRange]) -> None:
        self.column = column
        self.roots = Column(scratch, f"{name}-roots")
        self._batch = scratch.batch
        self._ids = ids
        self._ranges = ranges
        self._leaving = Spill(scratch, f"{name}-leaving", ranges)
        self._edges = Spill(scratch, f"{name}-edges", ranges)
        self._children = Spill(scratch, f"{name}-children", ranges)
        self._answers = Spill(scratch, f"{name}-answers", ranges)

    def leave(self, documents: NDArray[np.uint64], anchors: NDArray[np.uint64]) -> None:
        """Put aside links that leave the range of their documents."""
        self._leaving.append(documents, anchors)

    def take_in(self, number: int, parents: NDArray[np.uint32], own: NDArray[np.uint64]) -> None:
        """Join, in a range, what higher ranges put aside for it."""
        low = np.uint64(self._ranges[number].low)
        for documents, anchors in self._edges.pairs(number):
            beat()
            inside = anchors >= low
            left, right = (np.searchsorted(own, ends[inside]) for ends in (documents, anchors))
            join(parents, left, right, self.column)
            self.leave(documents[~inside], anchors[~inside])
        self._edges.remove(number)

    def finish(self, number: int, parents: NDArray[np.uint32], own: NDArray[np.uint64]) -> None:
        """Write the parent, in a lower range, or the root of each document ``own`` of a range."""
        part = self._ranges[number]
        smallest = self._smallest_outside(number, parents, own)
        for begin in range(0, part.size, self._batch):
            roots = parents[begin : begin + self._batch]
            found = own[roots]
            if smallest is not None:
                outside = smallest[roots] != NOWHERE
                found[outside] = smallest[roots[outside]]
                self._children.append(found[outside], own[begin : begin + self._batch][outside])
            self.roots.write(part.first + begin, found)

    def _smallest_outside(
        self, number: int, parents: NDArray[np.uint32], own: NDArray[np.uint64]
    ) -> NDArray[np.uint64] | None:
        """For each root in a range, the smallest id its links lead to below; the other links are handed down."""
        if number == 0:
            return None
        smallest = np.full(own.size, NOWHERE)
        for documents, anchors in self._leaving.pairs(number):
            beat()
            keep_smallest(smallest, parents[np.searchsorted(own, documents)].astype(np.int64), anchors)
        for documents, anchors in self._leaving.pairs(number):
            beat()
            parent = smallest[parents[np.searchsorted(own, documents)]]
            others = parent != anchors
            self._edges.append(*_distinct(anchors[others], parent[others]))
        self._leaving.remove(number)
        return smallest

    def resolve(self, number: int) -> None:
        """Tell the children of the range below their roots, and take in what the lower ranges told this one."""
        self._tell(number - 1)
        part = self._ranges[number]
        own = self._ids.read(part.first, part.size)
        roots = self.roots.read(part.first, part.size)
        for documents, told in self._answers.pairs(number):
            beat()
            roots[np.searchsorted(own, documents)] = told
        self._answers.remove(number)
        self.roots.write(part.first, roots)

    def _tell(self, number: int) -> None:
        part = self._ranges[number]
        own = self._ids.read(part.first, part.size)
        roots = self.roots.read(part.first, part.size)
        for asked, children in self._children.pairs(number):
            beat()
            self._answers.append(children, roots[np.searchsorted(own, asked)])
        self._children.remove(number)


def _distinct(ids: NDArray[np.uint64], values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Pairs without repeats."""
    order = np.lexsort((values, ids))
    ids, values = ids[order], values[order]
    new = np.ones(ids.size, dtype=np.bool_)
    new[1:] = (ids[1:] != ids[:-1]) | (values[1:] != values[:-1])
    return ids[new], values[new]
