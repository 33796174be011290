"""The clusters file holds the clusters, and its figures say how large they are and who shares them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slimpajama.dedup.cluster import read_clusters
from slimpajama.dedup.clustering.union_find import links_of_pairs
from slimpajama.dedup.lsh import write_links
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterResult, ClusterStage, LargeCluster
from slimpajama.storage.atomic import file_record
from tests.dedup.pairs import EVERYTHING, PLENTY, plain

A, B, C = 0, 1 << 40, 2 << 40
"""First ids of three sources of one shard each."""


def links_file(path: Path, links: list[tuple[int, int]]) -> Path:
    pairs = np.array(links, dtype=np.uint64).reshape(-1, 2)
    write_links(links_of_pairs(pairs[:, 0], pairs[:, 1]), path)
    return path


def test_links_of_several_files_become_one_file_of_clusters(tmp_path: Path) -> None:
    files = (
        links_file(tmp_path / "0.arrow", [(A + 1, A), (B + 1, B)]),
        links_file(tmp_path / "1.arrow", []),
        links_file(tmp_path / "2.arrow", [(B, A), (C + 7, C + 5)]),
    )
    target = tmp_path / "clusters.arrow"
    result = ClusterStage.run(ClusterPayload(files, plain((0, 1, 2)), target, PLENTY))
    assert result == ClusterResult(
        linked=6,
        clusters=2,
        largest=(LargeCluster(A, 4), LargeCluster(C + 5, 2)),
        shared=((1, 1, 0), (1, 1, 0), (0, 0, 1)),
        table=file_record(target),
    )
    clusters = read_clusters(target, EVERYTHING)
    assert clusters.ids.tolist() == [A, A + 1, B, B + 1, C + 5, C + 7]
    assert clusters.global_roots.tolist() == [A, A, A, A, C + 5, C + 5]
    assert clusters.local_roots.tolist() == [A, A, B, B, C + 5, C + 5]
    assert clusters.local_alone.tolist() == [False] * 6


def test_without_links_there_is_a_file_without_clusters(tmp_path: Path) -> None:
    target = tmp_path / "clusters.arrow"
    result = ClusterStage.run(ClusterPayload((), plain((0, 1)), target, PLENTY))
    shared = ((0, 0), (0, 0))
    assert result == ClusterResult(linked=0, clusters=0, largest=(), shared=shared, table=file_record(target))
    assert read_clusters(target, EVERYTHING).ids.size == 0


def test_only_the_twenty_largest_clusters_are_named_larger_first(tmp_path: Path) -> None:
    links = [(100 * number + member, 100 * number) for number in range(1, 31) for member in range(1, number + 1)]
    result = ClusterStage.run(
        ClusterPayload((links_file(tmp_path / "0.arrow", links),), plain((0,)), tmp_path / "clusters.arrow", PLENTY)
    )
    assert result.clusters == 30
    assert [entry.documents for entry in result.largest] == list(range(31, 11, -1))
    assert result.largest[0].cluster == 3000


@pytest.mark.parametrize("batch", [1, 2, 1 << 20])
def test_the_clusters_of_some_ids_are_read_from_any_batches(tmp_path: Path, batch: int) -> None:
    target = tmp_path / "clusters.arrow"
    links = [(A + 1, A), (B + 1, B), (B, A), (C + 7, C + 5)]
    result = ClusterStage.run(
        ClusterPayload((links_file(tmp_path / "0.arrow", links),), plain((0, 1, 2)), target, PLENTY),
        batch,
    )
    assert result.shared == ((1, 1, 0), (1, 1, 0), (0, 0, 1))
    ids = [A, A + 1, B, B + 1, C + 5, C + 7]
    for spans in (
        [(A, B)],
        [(A, A + 1), (B + 1, C)],
        [(A + 1, B + 1), (C + 6, C + 100)],
        [(B + 2, C)],
        [(C + 8, C + 9)],
    ):
        clusters = read_clusters(target, spans)
        assert clusters.ids.tolist() == [one for one in ids if any(low <= one < high for low, high in spans)]
        assert clusters.global_roots.tolist() == [A if one < C else C + 5 for one in clusters.ids.tolist()]


def test_more_than_64_sources_are_told_apart(tmp_path: Path) -> None:
    links = [((1 << 40) * source, 0) for source in (1, 63, 64, 99)]
    result = ClusterStage.run(
        ClusterPayload(
            (links_file(tmp_path / "0.arrow", links),), plain(range(100)), tmp_path / "clusters.arrow", PLENTY
        )
    )
    together = {0, 1, 63, 64, 99}
    assert result.shared == tuple(tuple(int({a, b} <= together) for a in range(100)) for b in range(100))
