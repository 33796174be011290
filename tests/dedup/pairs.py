"""Links as pairs of ids, as a test writes them down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slimpajama.dedup.components import Clusters, Links, forest_of_links, links_of_pairs
from slimpajama.dedup.source_ranges import SourceRanges

Pairs = tuple[np.ndarray, np.ndarray]


def plain(first_shards: Sequence[int]) -> SourceRanges:
    """Sources that begin with these shards."""
    return SourceRanges.of([str(number) for number in range(len(first_shards))], first_shards)


def clusters_of_pairs(files: Sequence[Pairs], first_shards: Sequence[int]) -> Clusters:
    """All clusters of links, given file by file."""
    forest = forest_of_links(lambda: [links_of_pairs(*pairs) for pairs in files], plain(first_shards))
    return forest.clusters(0, forest.ids.size, forest.local_sizes())


def pairs_of(links: Links) -> Pairs:
    """(documents, anchors)."""
    return links.documents, links.anchors[links.anchor_of]
