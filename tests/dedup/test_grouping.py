"""Survivors, sizes and shared sources of clusters, against a slow twin that goes through them one by one."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.files.groups import Groups
from slimpajama.dedup.grouping import Members, Shared, grouped, in_range, with_company

# Each document: (cluster, text, source, bytes, key). Its id is its place.
Document = tuple[int, int, int, int, int]


def uint64(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def members_of(documents: list[Document]) -> Members:
    """Clusters are named by their smallest id, as union-find names them."""
    first: dict[int, int] = {}
    for place, (cluster, *_) in enumerate(documents):
        first.setdefault(cluster, place)
    count = len(documents)
    return Members(
        np.arange(count, dtype=np.uint64),
        np.array([first[document[0]] for document in documents], dtype=np.uint64),
        np.linspace(0.5, 1, count, dtype=np.float32),
    )


def column(documents: list[Document], at: int, kind: type) -> np.ndarray:
    return np.array([document[at] for document in documents], dtype=kind)


def groups_of(
    documents: list[Document], sources: int, with_key: bool = False, named: bool = False
) -> tuple[Groups, Shared]:
    members = with_company(members_of(documents))
    chosen = [documents[int(place)] for place in members.ids]
    text = column(chosen, 1, np.uint64)
    shared = Shared.nothing(sources)
    keys = None if named else [column(chosen, 4, np.uint64)] if with_key else []
    found = grouped(
        members,
        np.stack([text, text + np.uint64(1)], axis=1).reshape(-1, 2),
        column(chosen, 3, np.int64),
        column(chosen, 2, np.int64),
        keys,
        shared,
    )
    return found, shared


def sources_in(groups: Groups, row: int) -> list[int]:
    bits: list[int] = np.flatnonzero(np.unpackbits(groups.sources[row], bitorder="little")).tolist()
    return bits


EXAMPLE: list[Document] = [
    (1, 7, 0, 10, 5),
    (1, 8, 0, 20, 3),
    (2, 9, 0, 40, 1),
    (1, 8, 1, 80, 3),
    (3, 9, 1, 160, 1),
    (3, 9, 2, 320, 1),
]


def test_the_smallest_id_stays_and_stands_for_its_cluster() -> None:
    found, shared = groups_of(EXAMPLE, 3)
    assert found.id.tolist() == [0, 1, 3, 4, 5], "document 2 is alone in its cluster"
    assert found.survivor.tolist() == [0, 0, 0, 4, 4]
    assert found.size.tolist() == [3, 0, 0, 2, 0]
    assert found.exact.tolist() == [False, False, False, False, True]
    assert found.exact_copies.tolist() == [1, 0, 0, 2, 0]
    assert [sources_in(found, row) for row in range(5)] == [[0, 1], [], [], [1, 2], []]
    assert shared.clusters.tolist() == [[1, 1, 0], [1, 2, 1], [0, 1, 1]]
    assert shared.documents.tolist() == [[2, 2, 0], [1, 0, 1], [0, 1, 0]]
    assert shared.bytes.tolist() == [[30, 30, 0], [80, 0, 160], [0, 320, 0]]


def test_a_key_chooses_another_and_equal_keys_the_smaller_id() -> None:
    found, _ = groups_of(EXAMPLE, 3, with_key=True)
    assert found.survivor.tolist() == [1, 1, 1, 4, 4]
    assert found.size.tolist() == [0, 3, 0, 2, 0]
    assert found.exact.tolist() == [False, False, True, False, True]
    assert found.exact_copies.tolist() == [0, 2, 0, 2, 0]


def test_more_important_keys_come_first() -> None:
    members = Members(uint64([1, 2, 3]), uint64([1, 1, 1]), np.ones(3, np.float32))
    hashes, none = np.zeros((3, 2), np.uint64), np.zeros(3, np.int64)
    one, other = uint64([1, 0, 0]), uint64([0, 2, 1])
    for keys, survivor in (([one, other], 3), ([other, one], 1)):
        assert set(grouped(members, hashes, none, none, keys, Shared.nothing(1)).survivor.tolist()) == {survivor}


def test_clusters_that_name_their_survivors_keep_them() -> None:
    members = Members(uint64([1, 2, 3, 4]), uint64([3, 4, 3, 4]), np.ones(4, np.float32))
    hashes, none = np.zeros((4, 2), np.uint64), np.zeros(4, np.int64)
    found = grouped(members, hashes, none, none, None, Shared.nothing(1))
    assert found.survivor.tolist() == [3, 4, 3, 4]
    assert found.size.tolist() == [0, 0, 2, 2]


def test_nothing_has_no_groups() -> None:
    found, shared = groups_of([], 2)
    assert found.id.size == 0
    assert not shared.clusters.any()


def test_more_than_64_sources_are_told_apart() -> None:
    documents = [(0, 0, source, 1, 0) for source in (0, 1, 63, 64, 99)]
    found, shared = groups_of(documents, 100)
    assert sources_in(found, 0) == [0, 1, 63, 64, 99]
    together = {0, 1, 63, 64, 99}
    assert shared.clusters.tolist() == [[int({a, b} <= together) for a in range(100)] for b in range(100)]


DOCUMENTS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2), st.integers(1, 9), st.integers(0, 2)),
    max_size=25,
)


@given(DOCUMENTS, st.booleans())
def test_groups_are_those_of_the_slow_twin(documents: list[Document], with_key: bool) -> None:
    found, shared = groups_of(documents, 3, with_key)
    clusters: dict[int, list[int]] = defaultdict(list)
    for place, (cluster, *_) in enumerate(documents):
        clusters[cluster].append(place)
    clusters = {name: own for name, own in clusters.items() if len(own) > 1}
    row = {int(one): at for at, one in enumerate(found.id)}
    assert sorted(row) == sorted(place for own in clusters.values() for place in own)
    expected = np.zeros((3, 3, 3), dtype=np.int64)
    for own in clusters.values():
        survivor = min(own, key=lambda place: (documents[place][4] if with_key else 0, place))
        text = documents[survivor][1]
        for place in own:
            at, first = row[place], place == survivor
            assert found.survivor[at] == survivor
            assert found.size[at] == (len(own) if first else 0)
            assert found.exact[at] == (not first and documents[place][1] == text)
            assert found.exact_copies[at] == (sum(documents[one][1] == text for one in own) if first else 0)
            assert sources_in(found, at) == (sorted({documents[one][2] for one in own}) if first else [])
        for a in {documents[place][2] for place in own}:
            of_a = [place for place in own if documents[place][2] == a]
            for b in {documents[place][2] for place in own}:
                expected[0, a, b] += 1
                company = [p for p in of_a if any(documents[q][2] == b for q in own if q != p)]
                expected[1, a, b] += len(company)
                expected[2, a, b] += sum(documents[place][3] for place in company)
    assert np.array_equal(expected, np.stack([shared.clusters, shared.documents, shared.bytes]))


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=30), st.integers(1, 9))
def test_each_cluster_falls_into_one_range(clusters: list[int], ranges: int) -> None:
    array = np.array(clusters, dtype=np.uint64)
    chosen = np.array([in_range(array, number, ranges) for number in range(ranges)])
    assert chosen.sum(axis=0).tolist() == [1] * array.size
