"""Links become clusters, globally and within each source.

Union-find over arrays of only those documents that occur in a link; the root of a cluster is its smallest id, so the
survivor is the document of the first source in the config and, within it, of the first shard and line. Links come in
the order of their documents, so that each is found by going along both arrays; only the parents are read at random.
Holds ``BYTES_PER_LINKED`` per linked document and one file of links at a time. Local links are those between documents
of one source; they are a subset of all links, so each local cluster lies inside a global one and who is kept globally
is kept locally. Rejected: a graph library (an object or a C++ node per document), and union by rank (the root would
depend on the order of links).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.compilation import kernel
from slimpajama.dedup.source_ranges import SourceRanges

__all__ = ["BYTES_PER_LINKED", "Clusters", "Forest", "Links", "forest_of_links", "links_of_pairs"]

BYTES_PER_LINKED = 24
"""At the most: ids, while one more file is merged into them, and two parents; or ids, parents and what they show."""


@dataclass(frozen=True, slots=True)
class Links:
    """m links from a document to an anchor, a smaller id. ``documents`` ``uint64[m]`` ascending;
    ``anchors`` ``uint64[k]``: the distinct anchors, ascending; ``anchor_of`` ``int32[m]``: place of each link's."""

    documents: NDArray[np.uint64]
    anchors: NDArray[np.uint64]
    anchor_of: NDArray[np.int32]


def links_of_pairs(documents: NDArray[np.uint64], anchors: NDArray[np.uint64]) -> Links:
    """Links ``documents[i]`` to ``anchors[i]``, each ``uint64[m]``, in any order."""
    order = np.argsort(documents)
    documents, anchors = documents[order], anchors[order]
    order = np.argsort(anchors)
    ordered = anchors[order]
    first = np.ones(ordered.size, dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    anchor_of = np.empty(ordered.size, dtype=np.int32)
    anchor_of[order] = np.cumsum(first, dtype=np.int32) - np.int32(1)
    return Links(documents, ordered[first], anchor_of)


@dataclass(frozen=True, slots=True)
class Clusters:
    """n linked documents. ``ids`` ``uint64[n]`` ascending; ``global_roots``, ``local_roots`` ``uint64[n]``: the
    survivor's id; ``local_alone`` ``bool[n]``: no other document of its source is in its cluster."""

    ids: NDArray[np.uint64]
    global_roots: NDArray[np.uint64]
    local_roots: NDArray[np.uint64]
    local_alone: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Forest:
    """All n linked documents. ``ids`` ``uint64[n]`` ascending; ``global_roots``, ``local_roots``: the place in ``ids``
    of each one's survivor, ``uint32[n]`` (``int64`` from 2**32 documents on)."""

    ids: NDArray[np.uint64]
    global_roots: NDArray[np.uint32] | NDArray[np.int64]
    local_roots: NDArray[np.uint32] | NDArray[np.int64]

    def clusters(self, first: int, last: int, local_sizes: NDArray[np.uint32]) -> Clusters:
        """Documents ``first`` to ``last`` (exclusive); ``local_sizes``: :meth:`local_sizes`."""
        local = self.local_roots[first:last]
        return Clusters(
            self.ids[first:last],
            self.ids[self.global_roots[first:last]],
            self.ids[local],
            local_sizes[local] == 1,
        )

    def global_sizes(self) -> NDArray[np.uint32]:
        """``uint32[n]``: documents in the cluster of each root, 0 for other documents."""
        return _counted(self.global_roots)

    def local_sizes(self) -> NDArray[np.uint32]:
        """The same of local clusters."""
        return _counted(self.local_roots)


Parents = NDArray[np.uint32] | NDArray[np.int64]


@kernel
def _merged(left: NDArray[np.uint64], right: NDArray[np.uint64], out: NDArray[np.uint64]) -> int:
    """Merge two ascending arrays into one without repeats; returns its size."""
    a = b = size = 0
    while a < left.size or b < right.size:
        if b == right.size or (a < left.size and left[a] <= right[b]):
            value = left[a]
            a += 1
        else:
            value = right[b]
            b += 1
        if size == 0 or out[size - 1] != value:
            out[size] = value
            size += 1
    return size


@kernel
def _places(ids: NDArray[np.uint64], values: NDArray[np.uint64], places: NDArray[np.int64]) -> None:
    """Where each of ascending ``values`` is in ascending ``ids``, which hold them all."""
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
def _root(parents: Parents, node: int) -> int:
    while parents[node] != node:  # path halving
        parents[node] = parents[parents[node]]
        node = np.int64(parents[node])
    return node


@kernel
def _join(parents: Parents, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
    for link in range(left.size):
        a = _root(parents, left[link])
        b = _root(parents, right[link])
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b


@kernel
def _flatten(parents: Parents) -> None:
    for node in range(parents.size):  # a parent is never larger than its child, so it is flat already
        parents[node] = parents[parents[node]]


@kernel
def _counts(roots: Parents, counts: NDArray[np.uint32]) -> None:
    for node in range(roots.size):
        counts[roots[node]] += 1


def _counted(roots: Parents) -> NDArray[np.uint32]:
    counts = np.zeros(roots.size, dtype=np.uint32)
    _counts(roots, counts)
    return counts


_AT_ONCE = 1 << 20
"""Links whose places are held at a time."""


def forest_of_links(files: Callable[[], Iterable[Links]], sources: SourceRanges) -> Forest:
    """Connected components of the links (see :func:`slimpajama.dedup.lsh.links_of_keys`), global and local.

    ``files()`` is iterated twice.
    """
    ids = np.empty(0, dtype=np.uint64)
    for links in files():
        for nodes in (links.documents, links.anchors):
            out = np.empty(ids.size + nodes.size, dtype=np.uint64)
            ids = out[: _merged(ids, nodes, out)]
    global_parents: Parents = np.arange(ids.size, dtype=np.uint32 if ids.size < 1 << 32 else np.int64)
    local_parents = global_parents.copy()
    for links in files():
        anchor_places = np.empty(links.anchors.size, dtype=np.int64)
        _places(ids, links.anchors, anchor_places)
        anchor_sources = sources.local_of(links.anchors).astype(np.uint16)
        for first in range(0, links.documents.size, _AT_ONCE):
            documents = links.documents[first : first + _AT_ONCE]
            anchor_of = links.anchor_of[first : first + _AT_ONCE]
            begin = int(np.searchsorted(ids, documents[0]))
            left, right = np.empty(documents.size, dtype=np.int64), anchor_places[anchor_of]
            _places(ids[begin:], documents, left)
            left += begin
            _join(global_parents, left, right)
            inside = sources.local_of(documents) == anchor_sources[anchor_of]
            _join(local_parents, left[inside], right[inside])
    _flatten(global_parents)
    _flatten(local_parents)
    return Forest(ids, global_parents, local_parents)
