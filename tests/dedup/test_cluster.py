"""The clusters file holds the clusters of all links, in batches of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slimpajama.dedup.clustering.union_find import links_of_pairs
from slimpajama.dedup.files.clusters import cluster_batches
from slimpajama.dedup.lsh import write_links
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterResult, ClusterStage
from slimpajama.storage.atomic import file_record
from tests.dedup.pairs import PLENTY, plain, read_clusters

A, B, C = 0, 1 << 40, 2 << 40
"""First ids of three sources of one shard each."""


def links_file(path: Path, links: list[tuple[int, int]]) -> Path:
    pairs = np.array(links, dtype=np.uint64).reshape(-1, 2)
    write_links(links_of_pairs(pairs[:, 0], pairs[:, 1]), path)
    return path


@pytest.mark.parametrize("batch", [1, 2, 1 << 20])
def test_links_of_several_files_become_one_file_of_clusters(tmp_path: Path, batch: int) -> None:
    files = (
        links_file(tmp_path / "0.arrow", [(A + 1, A), (B + 1, B)]),
        links_file(tmp_path / "1.arrow", []),
        links_file(tmp_path / "2.arrow", [(B, A), (C + 7, C + 5)]),
    )
    target = tmp_path / "clusters.arrow"
    result = ClusterStage.run(ClusterPayload(files, plain((0, 1, 2)), target, PLENTY), batch)
    assert result == ClusterResult(linked=6, table=file_record(target))
    clusters = read_clusters(target)
    assert clusters.ids.tolist() == [A, A + 1, B, B + 1, C + 5, C + 7]
    assert clusters.cluster_global.tolist() == [A, A, A, A, C + 5, C + 5]
    assert clusters.cluster_local.tolist() == [A, A, B, B, C + 5, C + 5]
    assert np.isnan(clusters.similarity_global).all()
    assert np.isnan(clusters.similarity_local).all()
    assert {part.ids.size for part in cluster_batches(target)} == {min(batch, 6)}


def test_without_links_there_is_a_file_without_clusters(tmp_path: Path) -> None:
    target = tmp_path / "clusters.arrow"
    result = ClusterStage.run(ClusterPayload((), plain((0, 1)), target, PLENTY))
    assert result == ClusterResult(linked=0, table=file_record(target))
    assert read_clusters(target).ids.size == 0
