"""The way through a cluster is a shortest one along its links."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from slimpajama.dedup.cluster import write_clusters
from slimpajama.dedup.cluster_path import path_between
from slimpajama.dedup.clustering.union_find import links_of_pairs
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.lsh import read_links, write_links
from slimpajama.dedup.source_ids import SourceRanges


def linked(root: Path, *bands: list[tuple[int, int]]) -> DedupLayout:
    """An output with these links, as (document, anchor), of each band."""
    layout = DedupLayout(root)
    files = []
    for band, pairs in enumerate(bands):
        documents, anchors = (np.array(column, dtype=np.uint64) for column in zip(*sorted(pairs), strict=True))
        write_links(links_of_pairs(documents, anchors), layout.links(band, 0))
        files.append(functools.partial(read_links, layout.links(band, 0)))
    write_clusters(files, SourceRanges.of(["c4"], [0]), layout.clusters, 1 << 30)
    return layout


def test_a_shortest_way_is_found_up_and_down_the_links(tmp_path: Path) -> None:
    layout = linked(tmp_path, [(5, 3), (7, 5), (9, 2)], [(5, 2), (3, 1), (20, 10)])
    assert path_between(layout, 7, 1) == [7, 5, 3, 1]
    assert path_between(layout, 9, 7) == [9, 2, 5, 7]
    assert path_between(layout, 1, 1) == [1]


@pytest.mark.parametrize(("start", "goal"), [(7, 10), (6, 1), (20, 1)])
def test_there_is_no_way_to_another_cluster(tmp_path: Path, start: int, goal: int) -> None:
    assert path_between(linked(tmp_path, [(5, 3), (7, 5)], [(3, 1), (20, 10)]), start, goal) == []
