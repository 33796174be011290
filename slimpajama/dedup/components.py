"""Links become clusters, globally and within each source.

Union-find over arrays of only those documents that occur in a link; the root of a cluster is its smallest id, so the
survivor is the document of the first source in the config and, within it, of the first shard and line. Holds 24 bytes
per linked document and one links file at a time. Local links are those between documents of one source; they are a
subset of all links, so each local cluster lies inside a global one and who is kept globally is kept locally.
Rejected: a graph library (an object or a C++ node per document), and union by rank (the root would depend on the
order of links).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.compilation import kernel
from slimpajama.corpus.discovery import POSITION_BITS

__all__ = ["Clusters", "clusters_of_links"]

Links = Callable[[], Iterable[tuple[NDArray[np.uint64], NDArray[np.uint64]]]]
"""Called for each pass over the links, file by file."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The n linked documents. ``ids`` ``uint64[n]`` ascending; ``global_roots``, ``local_roots`` ``uint64[n]``: the
    survivor's id; ``local_alone`` ``bool[n]``: no other document of its source is in its cluster."""

    ids: NDArray[np.uint64]
    global_roots: NDArray[np.uint64]
    local_roots: NDArray[np.uint64]
    local_alone: NDArray[np.bool_]


@kernel
def _union(parents: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
    for link in range(left.shape[0]):
        a = left[link]
        b = right[link]
        while parents[a] != a:  # path halving
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        if a < b:
            parents[b] = a
        elif b < a:
            parents[a] = b


@kernel
def _flatten(parents: NDArray[np.int64]) -> None:
    for node in range(parents.shape[0]):  # a parent is never larger than its child, so it is flat already
        parents[node] = parents[parents[node]]


def _distinct(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sorted, without repeats. ``np.unique`` hashes since numpy 2.3, which takes 20 times as long on ids."""
    ordered = np.sort(values)
    first = np.ones(ordered.size, dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def clusters_of_links(links: Links, first_shards: NDArray[np.uint64]) -> Clusters:
    """Connected components of the links (see :func:`slimpajama.dedup.lsh.links_of_keys`), global and local.

    ``links()`` is iterated twice. ``first_shards`` ``uint64[sources]``: first shard of each source.
    """
    ids = np.empty(0, dtype=np.uint64)
    for documents, anchors in links():
        ids = _distinct(np.concatenate((ids, _distinct(np.concatenate((documents, anchors))))))
    global_parents = np.arange(ids.size, dtype=np.int64)
    local_parents = global_parents.copy()
    sources = np.searchsorted(first_shards, ids >> np.uint64(POSITION_BITS), side="right")
    for documents, anchors in links():
        left, right = np.searchsorted(ids, documents), np.searchsorted(ids, anchors)
        _union(global_parents, left, right)
        inside = sources[left] == sources[right]
        _union(local_parents, left[inside], right[inside])
    _flatten(global_parents)
    _flatten(local_parents)
    members = np.bincount(local_parents, minlength=ids.size)
    return Clusters(ids, ids[global_parents], ids[local_parents], members[local_parents] == 1)
