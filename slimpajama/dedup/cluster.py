"""Stage 3: one item that turns all links into the clusters file, which every piece's decisions look up.

One process: a billion documents of which a third are duplicates are some 500 million linked ones, 12 GB at 24 bytes,
and minutes of union-find; the text is long gone by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.components import Clusters, clusters_of_links
from slimpajama.dedup.lsh import read_links
from slimpajama.storage import local_copy
from slimpajama.workspace import atomic_file

__all__ = ["VERSION", "ClusterItem", "cluster_links", "read_clusters", "shared_clusters"]

VERSION = 1
LARGEST = 20
"""Clusters named in the summary: where a boilerplate page has swallowed a source, it shows here."""


@dataclass(frozen=True, slots=True)
class ClusterItem:
    """All links files, and where the clusters go."""

    links_files: tuple[Path, ...]
    first_shards: tuple[int, ...]
    clusters_file: Path


def cluster_links(item: ClusterItem) -> dict[str, Any]:
    """Write the clusters file; returns how many documents are linked, into how many clusters, shared by whom."""
    first_shards = np.array(item.first_shards, dtype=np.uint64)
    clusters = clusters_of_links(lambda: map(read_links, item.links_files), first_shards)
    table = pa.table(
        {
            "id": clusters.ids,
            "cluster_global": clusters.global_roots,
            "cluster_local": clusters.local_roots,
            "alone_local": clusters.local_alone,
        }
    )
    with atomic_file(item.clusters_file) as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)  # one chunk, so that readers map it as one array
    roots, sizes = np.unique(clusters.global_roots, return_counts=True)
    largest = np.lexsort((roots, -sizes))[:LARGEST]
    return {
        "linked": int(clusters.ids.size),
        "clusters": int(roots.size),
        "largest": [{"cluster": int(roots[at]), "documents": int(sizes[at])} for at in largest],
        "shared": shared_clusters(clusters, first_shards),
        "files": [file.record],
    }


def shared_clusters(clusters: Clusters, first_shards: np.ndarray[Any, np.dtype[np.uint64]]) -> list[list[int]]:
    """How many global clusters have documents of both sources, for every pair; symmetric, ``sources x sources``.

    The diagonal counts the clusters that have any document of the source.
    """
    sources = np.searchsorted(first_shards, clusters.ids >> np.uint64(POSITION_BITS), side="right") - 1
    _, cluster = np.unique(clusters.global_roots, return_inverse=True)
    shared = np.zeros((first_shards.size, first_shards.size), dtype=np.int64)
    if cluster.size:
        present = [np.flatnonzero(np.bincount(cluster[sources == source])) for source in range(first_shards.size)]
        for a in range(first_shards.size):
            for b in range(a, first_shards.size):
                shared[a, b] = shared[b, a] = np.intersect1d(present[a], present[b], assume_unique=True).size
    return shared.tolist()


def read_clusters(path: Path) -> Clusters:
    """The clusters of a file; one contiguous memory-mapped array per column where the file is one chunk."""
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        table = file.read_all()
        names = ("id", "cluster_global", "cluster_local", "alone_local")
        return Clusters(*(table.column(name).to_numpy() for name in names))
