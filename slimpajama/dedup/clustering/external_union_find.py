"""The root of every linked document, globally and within its source, with one range of ids in memory at a time.

Links go down, from a document to a smaller id. Ranges are taken from the highest: the links inside a range are joined
in memory; of the links that leave a component downwards, the one to the smallest id becomes its parent, and the others
are put aside as links between their ends, for the lower range of the upper end. What they connected stays connected.
Then ranges are taken from the lowest: each root is known when its children ask for it, and their ranges are told. Local
links are those between documents of one source; they are a subset of all links, so each local cluster lies inside a
global one, and who is kept globally is kept locally. Each thread of a team takes a part of the documents of a range,
and the links that come from it, whatever other part they lead to. Holds ``BYTES_PER_LINKED`` for each document of a
range and one file of links; each link is read once. Where there is one range, nothing is put aside, and
``BYTES_IN_ONE_RANGE`` are held. Rejected: parents in a memory map larger than memory (a random read of the disk per
link), and passes until nothing changes, as in map-reduce.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.id_ranges import ranges_of_links
from slimpajama.dedup.clustering.spill import Column, IdRange, Scratch, Spill
from slimpajama.dedup.clustering.team import Team
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

__all__ = [
    "BYTES_IN_ONE_RANGE",
    "BYTES_PER_LINKED",
    "SCRATCH_PER_LINKED",
    "SPILLED_PER_LINKED",
    "LinkedDocuments",
    "linked_documents",
]

BYTES_PER_LINKED = 24
"""Held for each document of a range: its id, two parents, and the smallest id outside."""

BYTES_IN_ONE_RANGE = 16
"""Held for each document where one range holds all: its id and two parents."""

SCRATCH_PER_LINKED = 24
"""Bytes on disk meanwhile, for each linked document: its columns."""

SPILLED_PER_LINKED = 90
"""Bytes on disk beside them where there are ranges: pairs that leave one. The most seen, for clusters of ten in three
ranges; clusters of two spill 61 there and 18 in twenty."""

SCOPES = {"global": GLOBAL, "local": LOCAL}


Rows = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]
"""Ids, and their roots globally and locally."""


@dataclass(frozen=True, slots=True)
class LinkedDocuments:
    """How many documents are ``linked``, and the ``rows`` of all of them, in batches in the order of ids."""

    linked: int
    rows: Iterator[Rows]


def linked_documents(
    files: Sequence[Callable[[], Links]], sources: SourceRanges, scratch: Scratch, memory: int, team: Team
) -> LinkedDocuments:
    """Find all roots. ``files``: each opens one file of links; ``memory``: bytes that may be held."""
    ids = Column(scratch, "ids")
    capacity, most = (max(1, min(memory // held, int(NO_PLACE))) for held in (BYTES_PER_LINKED, BYTES_IN_ONE_RANGE))
    ranges = ranges_of_links(files, ids, capacity, most, team)
    linked = sum(part.size for part in ranges)
    work = _Contraction(files, sources, ids, scratch.batch, team)
    if len(ranges) == 1:
        return LinkedDocuments(linked, work.rows(ranges[0]))
    scopes = [_Scope(name, column, scratch, ids, ranges) for name, column in SCOPES.items()]
    for number in reversed(range(len(ranges))):
        work.contract(ranges[number], number, scopes)
    for number in range(1, len(ranges)):
        for scope in scopes:
            scope.resolve(number)
    return LinkedDocuments(linked, _resolved(ids, scopes, ranges))


def _resolved(ids: Column, scopes: Sequence[_Scope], ranges: Sequence[IdRange]) -> Iterator[Rows]:
    for part in ranges:
        for begin, own in ids.batches(part):
            beat()
            global_roots, local_roots = (scope.roots.read(part.first + begin, own.size) for scope in scopes)
            yield own, global_roots, local_roots


@dataclass(frozen=True, slots=True)
class _Contraction:
    """What all ranges are contracted with."""

    files: Sequence[Callable[[], Links]]
    sources: SourceRanges
    ids: Column
    batch: int
    team: Team

    def rows(self, part: IdRange) -> Iterator[Rows]:
        """Of the only range."""
        own, parents = self._joined(part, [])
        self._flatten(parents)
        begins = range(0, part.size, self.batch)
        for at in range(0, len(begins), self.team.threads):
            beat()
            yield from self.team.map(
                functools.partial(_rows_of, own, parents, self.batch), begins[at : at + self.team.threads]
            )

    def contract(self, part: IdRange, number: int, scopes: Sequence[_Scope]) -> None:
        """Join the documents of a range, and find each one's parent, in both scopes."""
        own, parents = self._joined(part, scopes)
        for scope in scopes:
            scope.take_in(number, parents, own)
        self._flatten(parents)
        for scope in scopes:
            scope.finish(number, parents[:, scope.column], own)

    def _joined(self, part: IdRange, scopes: Sequence[_Scope]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        own = self.ids.read(part.first, part.size)
        parents = np.repeat(np.arange(part.size, dtype=np.uint32), 2).reshape(-1, 2)
        for opened in self.files:
            beat()
            links = opened()
            first, last = part.part_of(links.documents)
            begin, end = part.part_of(links.anchors)
            anchors = np.full((end, 3), NO_PLACE)
            file = _File(links, own, parents, anchors, self.sources, self.batch)
            anchors[:begin, SOURCE] = self.sources.local_of_ascending(links.anchors[:begin])
            self.team.map(file.look_up, self.team.parts(begin, end))
            for leaving in self.team.map(file.join, self.team.parts(first, last)):
                for documents, ends, same in leaving:
                    whole, local = scopes
                    whole.leave(documents, ends)
                    local.leave(documents[same], ends[same])
        return own, parents

    def _flatten(self, parents: NDArray[np.uint32]) -> None:
        self.team.map(lambda part: flatten(parents, *part), self.team.parts(0, parents.shape[0]))


def _rows_of(own: NDArray[np.uint64], parents: NDArray[np.uint32], batch: int, begin: int) -> Rows:
    roots = parents[begin : begin + batch]
    return own[begin : begin + batch], own[roots[:, GLOBAL]], own[roots[:, LOCAL]]


Leaving = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]
"""Links that leave a range: their ends, and which are within a source."""


@dataclass(frozen=True, slots=True)
class _File:
    """The links of one file in one range, whose documents are ``own``; ``anchors`` as in :func:`join_links`."""

    links: Links
    own: NDArray[np.uint64]
    parents: NDArray[np.uint32]
    anchors: NDArray[np.uint32]
    sources: SourceRanges
    batch: int

    def look_up(self, part: tuple[int, int]) -> None:
        """Fill in the anchors of the range, in a part of them."""
        chosen = slice(*part)
        ids = self.links.anchors[chosen]
        roots_now(self.parents, places(self.own, ids), self.anchors[chosen])
        self.anchors[chosen, SOURCE] = self.sources.local_of_ascending(ids)

    def join(self, part: tuple[int, int]) -> list[Leaving]:
        """Join the ends of a part of the links, and return those that leave the range."""
        begin, end = part
        leaving: list[Leaving] = []
        for at in range(begin, end, self.batch):
            documents = self.links.documents[at : min(at + self.batch, end)]
            anchor_of = self.links.anchor_of[at : min(at + self.batch, end)]
            start = int(np.searchsorted(self.own, documents[0]))
            of_documents = self.sources.local_of_ascending(documents)
            outside = np.empty(documents.size, dtype=np.int64)
            count = join_links(self.own, documents, of_documents, anchor_of, self.anchors, self.parents, start, outside)
            if count:
                ends = anchor_of[outside[:count]]
                same = of_documents[outside[:count]] == self.anchors[ends, SOURCE]
                leaving.append((documents[outside[:count]], self.links.anchors[ends], same))
        return leaving


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
