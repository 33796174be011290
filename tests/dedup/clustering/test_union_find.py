"""Clusters are the connected components, named by their smallest id, and local ones lie inside global ones."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.files.clusters import Clusters
from tests.dedup.pairs import clusters_of_pairs
from tests.twins import components

FIRST_SHARDS = (0, 2, 5)

IDS = st.builds(lambda shard, position: (shard << 40) + position, st.integers(0, 7), st.integers(0, 3))
LINKS = st.lists(st.tuples(IDS, IDS).filter(lambda link: link[0] != link[1]), max_size=60)


def source_of(document: int) -> int:
    return sum(first <= document >> 40 for first in FIRST_SHARDS) - 1


def clustered(*files: Sequence[Sequence[int]]) -> Clusters:
    arrays = [np.array(links, dtype=np.uint64).reshape(-1, 2) for links in files]
    return clusters_of_pairs([(links[:, 0], links[:, 1]) for links in arrays], FIRST_SHARDS)


def roots(ids: np.ndarray, roots: np.ndarray) -> dict[int, int]:
    return dict(zip(ids.tolist(), roots.tolist(), strict=True))


def same(left: Clusters, right: Clusters) -> bool:
    names = ("ids", "cluster_global", "cluster_local")
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


def test_two_sources_that_meet_in_one_document_are_one_global_and_two_local_clusters() -> None:
    a1, a2, b1, b2, c1 = 1, 2, (2 << 40) + 1, (3 << 40) + 2, 9 << 40
    found = clustered([(a2, a1), (b2, b1)], [(b1, a1), (c1, b2)])
    assert found.ids.tolist() == [a1, a2, b1, b2, c1]
    assert found.cluster_global.tolist() == [a1] * 5
    assert found.cluster_local.tolist() == [a1, a1, b1, b1, c1]


def test_documents_of_one_source_joined_only_through_another_are_not_a_local_cluster() -> None:
    a1, a2, b1 = 1, 2, 2 << 40
    found = clustered([(b1, a1), (b1, a2)])
    assert found.cluster_global.tolist() == [a1] * 3
    assert found.cluster_local.tolist() == [a1, a2, b1]


def test_no_links_make_no_clusters() -> None:
    for found in (clustered(), clustered([], [])):
        assert [getattr(found, name).size for name in Clusters.__slots__] == [0, 0, 0, 0, 0]


@given(st.lists(LINKS, max_size=4))
def test_clusters_are_the_components_named_by_their_smallest_id(files: list[list[tuple[int, int]]]) -> None:
    links = [link for file in files for link in file]
    inside = [(left, right) for left, right in links if source_of(left) == source_of(right)]
    nodes = sorted({node for link in links for node in link})
    found = clustered(*files)
    assert found.ids.tolist() == nodes
    assert roots(found.ids, found.cluster_global) == components(nodes, links)
    assert roots(found.ids, found.cluster_local) == components(nodes, inside)
    assert np.isnan(found.similarity_global).all()
    assert np.isnan(found.similarity_local).all()


@given(LINKS)
def test_a_local_cluster_lies_inside_one_global_cluster_and_one_source(links: list[tuple[int, int]]) -> None:
    found = clustered(links)
    global_root = roots(found.ids, found.cluster_global)
    for document, local_root in roots(found.ids, found.cluster_local).items():
        assert global_root[document] == global_root[local_root]
        assert source_of(document) == source_of(local_root)


@given(LINKS, st.randoms(), st.integers(1, 5))
def test_neither_order_nor_direction_nor_file_of_a_link_matters(
    links: list[tuple[int, int]], shuffler: random.Random, files: int
) -> None:
    mixed = [tuple(shuffler.sample(link, 2)) for link in links]
    shuffler.shuffle(mixed)
    assert same(clustered(*(mixed[start::files] for start in range(files))), clustered(links))


def test_a_chain_of_100_000_documents_is_one_cluster_in_any_order() -> None:
    links = [(place + 1, place) for place in range(100_000)]
    shuffled = random.Random(3).sample(links, len(links))
    for order in (links, links[::-1], shuffled):
        found = clustered(order)
        assert found.ids.size == 100_001
        assert not found.cluster_global.any()
        assert not found.cluster_local.any()


def test_a_star_of_a_million_documents_is_one_cluster() -> None:
    count = 1_000_000
    leaves = np.arange(1, count + 1, dtype=np.uint64)
    found = clusters_of_pairs([(leaves, np.zeros(count, np.uint64))], (0,))
    assert found.ids.size == count + 1
    assert not found.cluster_global.any()
    backwards = clusters_of_pairs([(np.full(count, count + 1, np.uint64), leaves)], (0,))
    assert (backwards.cluster_global == 1).all()
