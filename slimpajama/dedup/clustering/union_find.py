"""The core of clustering: union-find over places in an ascending array of ids, and finding ids in it.

The root of a component is its smallest place, so its smallest id: the document of the first source in the config and,
within it, of the first shard and line. Links come in the order of their documents, so that each is found by going along
both arrays; only the parents are read at random. Several threads may join at the same time: a parent is never larger
than its child and is only lowered, so the roots come out the same in any order. What is too much for memory is taken
range by range, see :mod:`slimpajama.dedup.clustering.external_union_find`. Rejected: a graph library (an object or a
C++ node per document), and union by rank (the root would depend on the order of links).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.shared_parents import replaced
from slimpajama.engine.kernels import kernel

__all__ = [
    "GLOBAL",
    "LOCAL",
    "NOWHERE",
    "NO_PLACE",
    "SOURCE",
    "Links",
    "flatten",
    "join",
    "join_links",
    "keep_smallest",
    "links_of_pairs",
    "places",
    "roots_now",
    "union",
]

NOWHERE = np.uint64((1 << 64) - 1)
"""No document has this id."""

NO_PLACE = np.uint32((1 << 32) - 1)

GLOBAL, LOCAL, SOURCE = 0, 1, 2
"""Scopes, as columns of parents, and what else is told of an anchor."""


@dataclass(frozen=True, slots=True)
class Links:
    """m links from a document to an anchor, a smaller id; the arrays are read-only, as a mapped file's are.

    ``documents`` ``uint64[m]`` ascending; ``anchors`` ``uint64[k]``: the distinct anchors, ascending; ``anchor_of``
    ``int32[m]``: place of each link's.
    """

    documents: NDArray[np.uint64]
    anchors: NDArray[np.uint64]
    anchor_of: NDArray[np.int32]

    def __post_init__(self) -> None:
        for array in (self.documents, self.anchors, self.anchor_of):
            array.flags.writeable = False  # kernels are compiled for each kind of array


def links_of_pairs(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> Links:
    """Links between ``one[i]`` and ``other[i]``, each ``uint64[m]`` and not the same, in any order."""
    documents, anchors = np.maximum(one, other), np.minimum(one, other)
    order = np.argsort(documents)
    documents, anchors = documents[order], anchors[order]
    order = np.argsort(anchors)
    ordered = anchors[order]
    first = np.ones(ordered.size, dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    anchor_of = np.empty(ordered.size, dtype=np.int32)
    anchor_of[order] = np.cumsum(first, dtype=np.int32) - np.int32(1)
    return Links(documents, ordered[first], anchor_of)


def union(arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """The distinct values of ascending arrays, ascending; two at a time, so twice their size is held at once."""
    left: list[NDArray[np.uint64]] = list(arrays)
    while True:
        merged: list[NDArray[np.uint64]] = []
        while left:
            one, other = left.pop(), left.pop() if left else np.empty(0, dtype=np.uint64)
            out = np.empty(one.size + other.size, dtype=np.uint64)
            size = _merged(_readable(one), _readable(other), out)
            merged.append(out[:size].copy())
        left = merged
        if len(left) < 2:
            return left[0] if left else np.empty(0, dtype=np.uint64)


def _readable(array: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A read-only view."""
    view: NDArray[np.uint64] = array.view()
    view.flags.writeable = False
    return view


def places(ids: NDArray[np.uint64], values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``int64[n]``: where each of ascending ``values`` ``uint64[n]`` is in ascending ``ids``, which hold them all."""
    found = np.empty(values.size, dtype=np.int64)
    _places(_readable(ids), _readable(values), found)
    return found


@kernel
def _merged(left: NDArray[np.uint64], right: NDArray[np.uint64], out: NDArray[np.uint64]) -> int:
    """Merge two ascending arrays into one without repeats; returns its size."""
    a = b = size = 0
    last = NOWHERE
    while a < left.size and b < right.size:  # no branch in it, since none could be foreseen
        one, other = left[a], right[b]
        value = min(one, other)
        a += one <= other
        b += other <= one
        out[size] = value
        size += value != last
        last = value
    for rest in (left[a:], right[b:]):
        for value in rest:
            out[size] = value
            size += value != last
            last = value
    return size


@kernel
def _places(ids: NDArray[np.uint64], values: NDArray[np.uint64], places: NDArray[np.int64]) -> None:
    place = 0
    for at in range(values.size):
        value = values[at]
        step = 1
        while place + step < ids.size and ids[place + step] <= value:  # gallop
            place += step
            step *= 2
        low, high = place, min(place + step, ids.size)
        while high - low > 1:
            middle = (low + high) // 2
            if ids[middle] <= value:
                low = middle
            else:
                high = middle
        place = low
        places[at] = place


@kernel
def _root(parents: NDArray[np.uint32], node: np.uint32, scope: int) -> Any:
    while True:  # path halving, which reads no entry twice
        parent = parents[node, scope]
        if parent == node:
            return node
        above = parents[parent, scope]
        if above == parent:
            return parent
        parents[node, scope] = above
        node = above


@kernel
def _join(parents: NDArray[np.uint32], left: np.uint32, right: np.uint32, scope: int) -> None:
    while True:
        a = _root(parents, left, scope)
        b = _root(parents, right, scope)
        root, other = min(a, b), max(a, b)
        if root == other or replaced(parents, other, scope, other, root):
            break
    if left != root:  # a root may be joined by another thread meanwhile
        parents[left, scope] = root  # it is asked for most


@kernel
def join(parents: NDArray[np.uint32], left: NDArray[np.int64], right: NDArray[np.int64], scope: int) -> None:
    """Put ``left[i]`` and ``right[i]`` into one component; a parent is never larger than its child.

    ``parents`` ``uint32[n, 2]``: of n places, globally and locally, side by side, since they are mostly read together;
    ``scope``: which of them.
    """
    for link in range(left.size):
        _join(parents, np.uint32(left[link]), np.uint32(right[link]), scope)


@kernel
def join_links(
    own: NDArray[np.uint64],
    documents: NDArray[np.uint64],
    document_sources: NDArray[np.uint16],
    anchor_of: NDArray[np.int32],
    anchors: NDArray[np.uint32],
    parents: NDArray[np.uint32],
    place: int,
    outside: NDArray[np.int64],
) -> int:
    """Join the ends of links, globally and, if both are of one source, locally.

    ``own``: ids of all places; ``documents``, ascending, are among them from ``place`` on. ``anchors``
    ``uint32[k, 3]``: of each the global and the local root, as they were of late, or ``NO_PLACE``, and the source;
    links to anchors without a place are listed in ``outside`` instead. Returns how many are. Most documents are their
    own root still, so they get the anchor's for a parent, or have it already, by what another band says; neither takes
    a look at ``parents`` at random, which is what costs.
    """
    count = 0
    for at in range(documents.size):
        while own[place] < documents[at]:  # most linked documents are linked in each band
            place += 1
        anchor = anchor_of[at]
        if anchors[anchor, GLOBAL] == NO_PLACE:
            outside[count] = at
            count += 1
            continue
        for scope in range(2 if document_sources[at] == anchors[anchor, SOURCE] else 1):
            parent, root = parents[place, scope], anchors[anchor, scope]
            if parent == place and replaced(parents, np.uint32(place), scope, np.uint32(place), root):
                continue  # it was its own root, and the anchor's is smaller
            if parent != root:
                _join(parents, np.uint32(place), root, scope)
    return count


@kernel
def roots_now(parents: NDArray[np.uint32], places: NDArray[np.int64], roots: NDArray[np.uint32]) -> None:
    """Set ``roots`` ``uint32[n, 2 or more]`` to the roots of n places as they are now, globally and locally."""
    for at in range(places.size):
        for scope in range(2):
            roots[at, scope] = _root(parents, np.uint32(places[at]), scope)


@kernel
def flatten(parents: NDArray[np.uint32], first: int, last: int) -> None:
    """Make the parents of places ``first`` to ``last``, exclusive, the roots of their components."""
    for node in range(first, last):
        for scope in range(2):
            parents[node, scope] = _root(parents, np.uint32(node), scope)


@kernel
def keep_smallest(smallest: NDArray[np.uint64], at: NDArray[np.int64], values: NDArray[np.uint64]) -> None:
    """Lower ``smallest[at[i]]`` to ``values[i]`` where that is less."""
    for each in range(at.size):
        smallest[at[each]] = min(smallest[at[each]], values[each])
