from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.checking.candidates import Bucketed, buckets_of, candidates_of, windows_of
from slimpajama.dedup.key_table import KeyedDocuments, links_of_keys
from slimpajama.dedup.source_ids import SourceRanges

SOURCES = SourceRanges.of(["a", "b"], [0, 2])
A, B = 0, 2 << POSITION_BITS


def bucketed(buckets: dict[int, int]) -> Bucketed:
    ids = sorted(buckets)
    return Bucketed(np.array(ids, dtype=np.uint64), np.array([buckets[one] for one in ids], dtype=np.int32))


def pairs_of(
    found: Bucketed, window: int, gone: frozenset[int] = frozenset(), first_id: int = 0
) -> set[tuple[int, int]]:
    kept = np.array([one not in gone for one in found.ids.tolist()])
    candidates = candidates_of(found, kept, kept, SOURCES, window, first_id)
    listed = list(zip(candidates.documents.tolist(), candidates.candidates.tolist(), strict=True))
    assert listed == sorted(set(listed))
    return set(listed)


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(0, 30))
def test_buckets_are_the_sets_of_equal_keys(keys: list[int], of_first_source: int) -> None:
    ids = [A + at if at < of_first_source else B + at for at in range(len(keys))]
    links = links_of_keys(KeyedDocuments(np.array(keys, dtype=np.uint64), np.array(ids, dtype=np.uint64)), SOURCES)
    found = buckets_of(links)
    groups: dict[int, set[int]] = {}
    for one, bucket in zip(found.ids.tolist(), found.buckets.tolist(), strict=True):
        groups.setdefault(bucket, set()).add(one)
    expected = [{one for one, key in zip(ids, keys, strict=True) if key == wanted} for wanted in set(keys)]
    assert sorted(map(sorted, groups.values())) == sorted(sorted(one) for one in expected if len(one) > 1)


def test_each_document_meets_the_first_of_all_and_the_first_of_its_source() -> None:
    found = bucketed({A + 1: 7, A + 2: 7, B + 1: 7, B + 2: 7, A + 9: 3, A + 10: 3})
    assert pairs_of(found, 1) == {
        (A + 2, A + 1),
        (B + 1, A + 1),
        (B + 2, A + 1),
        (B + 2, B + 1),
        (A + 10, A + 9),
    }


def test_a_wider_window_reaches_later_documents_that_stay() -> None:
    found = bucketed({A + at: 0 for at in range(4)})
    assert pairs_of(found, 2) == {(A + 1, A), (A + 2, A), (A + 2, A + 1), (A + 3, A), (A + 3, A + 1)}
    assert pairs_of(found, 2, gone=frozenset({A, A + 3})) == {(A + 2, A + 1)}


def test_documents_of_an_earlier_run_are_compared_with_none() -> None:
    found = bucketed({A + 1: 0, A + 2: 0, B + 1: 0, B + 2: 0})
    assert pairs_of(found, 4, first_id=B) == {
        (B + 1, A + 1),
        (B + 1, A + 2),
        (B + 2, A + 1),
        (B + 2, A + 2),
        (B + 2, B + 1),
    }


def test_precedence_other_than_by_id_decides_who_comes_first() -> None:
    found = bucketed({A + 1: 0, A + 2: 0, A + 3: 0})
    kept = np.ones(3, dtype=np.bool_)
    last_first = np.array([2, 1, 0])
    candidates = candidates_of(found, kept, kept, SOURCES, 1, precedence=last_first)
    assert candidates.documents.tolist() == [A + 1, A + 2]
    assert candidates.candidates.tolist() == [A + 3, A + 3]


def test_what_a_window_leaves_out_is_counted() -> None:
    found = bucketed({A + at: 0 for at in range(4)})
    kept = np.ones(4, dtype=np.bool_)
    assert candidates_of(found, kept, kept, SOURCES, 2).left_out == 2  # the fourth with the third, in two scopes
    assert candidates_of(found, kept, kept, SOURCES, 3).left_out == 0


def test_the_largest_buckets_look_no_further_where_that_would_be_too_much() -> None:
    sizes = [2, 3, 40_000, 5_000]
    buckets = np.repeat(np.arange(4, dtype=np.int32), sizes)
    all_stay = np.ones(buckets.size, dtype=np.bool_)
    assert windows_of(buckets, all_stay, all_stay, 1).tolist() == [1, 1, 1, 1]
    # 2 x 45,005 + 65,536 pairs are allowed: both large ones would make 8 in each of two scopes of each document.
    assert windows_of(buckets, all_stay, all_stay, 8).tolist() == [8, 8, 1, 8]
    few_stay = all_stay & (np.arange(buckets.size) < 100)
    assert windows_of(buckets, few_stay, few_stay, 8).tolist() == [8, 8, 8, 8]
