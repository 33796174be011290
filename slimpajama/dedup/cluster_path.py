"""The way from a document to another one of its cluster, from link to link.

A component's documents need not all be alike: each is linked to some other one. A breadth-first search over the links
of the cluster's documents finds a shortest way. The members come from the table of clusters; links lie in files that
ascend by document, so those of the members are found by binary search. Memory: the members and their links.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.lsh import read_links
from slimpajama.storage.local_cache import local_copy
from slimpajama.storage.paths import is_remote, statuses_below
from slimpajama.storage.reading import reading

__all__ = ["path_between"]

MOST_MEMBERS = 1_000_000
"""A larger cluster's links are not searched: that would take minutes."""


def path_between(layout: DedupLayout, start: int, goal: int) -> list[int]:
    """Ids from ``start`` to ``goal``, both included; empty where no links lead there or the cluster is too large."""
    members = _members(layout.clusters, start)
    if not 0 < members.size <= MOST_MEMBERS:
        return []
    neighbours: dict[int, set[int]] = {}
    for path in _link_files(layout):
        documents, anchors = _links_of(path, members)
        for document, anchor in zip(documents.tolist(), anchors.tolist(), strict=True):
            neighbours.setdefault(document, set()).add(anchor)
            neighbours.setdefault(anchor, set()).add(document)
    came_from = {start: start}
    waiting = deque([start])
    while waiting and goal not in came_from:
        place = waiting.popleft()
        for other in sorted(neighbours.get(place, ())):
            if other not in came_from:
                came_from[other] = place
                waiting.append(other)
    if goal not in came_from:
        return []
    way = [goal]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _link_files(layout: DedupLayout) -> list[Path]:
    folder = layout.links(0, 0).parent
    if is_remote(folder):
        with reading(folder):
            return [folder / name for name in sorted(statuses_below(folder)) if name.endswith(".arrow")]
    return sorted(folder.rglob("*.arrow"))


def _members(clusters_file: Path, document: int) -> NDArray[np.uint64]:
    """The ids of all documents in the cluster of ``document``, ascending; none where it is in no cluster."""
    with (
        reading(clusters_file),
        pa.memory_map(str(local_copy(clusters_file))) as source,
        pa.ipc.open_file(source) as file,
    ):
        batches = [file.get_batch(number) for number in range(file.num_record_batches)]
        root = None
        for batch in batches:
            ids = batch.column("id").to_numpy()
            place = int(np.searchsorted(ids, np.uint64(document)))
            if place < ids.size and int(ids[place]) == document:
                root = batch.column("cluster_global").to_numpy()[place]
                break
        if root is None:
            return np.empty(0, dtype=np.uint64)
        own = [batch.column("id").to_numpy()[batch.column("cluster_global").to_numpy() == root] for batch in batches]
        found: NDArray[np.uint64] = np.concatenate(own)
        return found


def _links_of(path: Path, members: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The links of ``members`` in a file: documents and what they are linked to."""
    with reading(path):
        links = read_links(path)
    first = np.searchsorted(links.documents, members, side="left")
    last = np.searchsorted(links.documents, members, side="right")
    counts = last - first
    rows = np.repeat(first - np.concatenate(([0], np.cumsum(counts)[:-1])), counts) + np.arange(int(counts.sum()))
    return links.documents[rows], links.anchors[links.anchor_of[rows]]
