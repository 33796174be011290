"""Links as pairs of ids, as a test writes them down."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from slimpajama.dedup.clustering.union_find import Links, links_of_pairs
from slimpajama.dedup.files.clusters import Clusters, cluster_batches
from slimpajama.dedup.lsh import write_links
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterStage

Pairs = tuple[np.ndarray, np.ndarray]


def plain(first_shards: Sequence[int]) -> SourceRanges:
    """Sources that begin with these shards."""
    return SourceRanges.of([str(number) for number in range(len(first_shards))], first_shards)


def read_clusters(path: Path) -> Clusters:
    """All of the file."""
    batches = list(cluster_batches(path))
    if not batches:
        none = np.empty(0, dtype=np.uint64)
        return Clusters(none, none, none, none.astype(np.float32), none.astype(np.float32))
    return Clusters(*(np.concatenate([getattr(batch, field.name) for batch in batches]) for field in fields(Clusters)))


EVERYTHING = [(0, (1 << 64) - 1)]
PLENTY = 1 << 30


def clusters_of_pairs(files: Sequence[Pairs], first_shards: Sequence[int], memory: int = PLENTY) -> Clusters:
    """All clusters of links, given file by file."""
    with tempfile.TemporaryDirectory() as name:
        paths = tuple(Path(name, f"{number}.arrow") for number in range(len(files)))
        for path, pairs in zip(paths, files, strict=True):
            write_links(links_of_pairs(*pairs), path)
        target = Path(name, "clusters.arrow")
        ClusterStage.run(ClusterPayload(paths, plain(first_shards), target, memory))
        return read_clusters(target)


def pairs_of(links: Links) -> Pairs:
    """(documents, anchors)."""
    return links.documents, links.anchors[links.anchor_of]
