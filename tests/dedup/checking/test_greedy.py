from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.checking.candidates import Bucketed, candidates_of
from slimpajama.dedup.checking.greedy import Fates, SimilarPairs, decide_fates, with_more
from slimpajama.dedup.source_ids import SourceRanges

NOBODY = Fates(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64), np.empty(0))


def similar(*pairs: tuple[int, int, float]) -> SimilarPairs:
    documents, candidates, similarities = zip(*pairs, strict=True) if pairs else ((), (), ())
    return SimilarPairs(
        np.array(documents, dtype=np.uint64), np.array(candidates, dtype=np.uint64), np.array(similarities, dtype=float)
    )


def as_dict(fates: Fates) -> dict[int, tuple[int, float]]:
    assert fates.ids.tolist() == sorted(fates.ids.tolist())
    columns = (fates.ids.tolist(), fates.survivors.tolist(), fates.similarities.tolist())
    return {one: (survivor, similarity) for one, survivor, similarity in zip(*columns, strict=True)}


def test_the_end_of_a_chain_stays_if_it_is_similar_to_none_that_stays() -> None:
    fates = decide_fates(similar((2, 1, 0.9), (3, 2, 0.85)), similar(), NOBODY)
    assert as_dict(fates) == {2: (1, 0.9)}


def test_the_first_similar_document_that_stays_is_the_survivor() -> None:
    fates = decide_fates(similar((5, 3, 0.95), (5, 2, 0.8), (3, 1, 0.9), (6, 5, 0.99)), similar(), NOBODY)
    assert as_dict(fates) == {3: (1, 0.9), 5: (2, 0.8)}


def test_a_copy_shares_the_fate_of_the_first_copy() -> None:
    copies = similar((4, 2, 1.0), (8, 7, 1.0))
    fates = decide_fates(similar((2, 1, 0.9)), copies, NOBODY)
    assert as_dict(fates) == {2: (1, 0.9), 4: (1, 0.9), 8: (7, 1.0)}


def test_a_document_that_an_earlier_run_removed_removes_none() -> None:
    earlier = Fates(np.array([2], dtype=np.uint64), np.array([1], dtype=np.uint64), np.array([0.9]))
    fates = decide_fates(similar((10, 2, 0.9), (11, 3, 0.9)), similar((12, 2, 1.0)), earlier)
    assert as_dict(fates) == {2: (1, 0.9), 11: (3, 0.9), 12: (1, 0.9)}


def test_precedence_decides_who_stays() -> None:
    known = np.array([1, 2, 3], dtype=np.uint64)
    fates = decide_fates(similar((1, 3, 0.9), (2, 3, 0.8)), similar(), NOBODY, np.array([1, 2, 0]), known)
    assert as_dict(fates) == {1: (3, 0.9), 2: (3, 0.8)}


SOURCES = SourceRanges.of(["a", "b"], [0, 1])
FIRST_OF_B = 1 << POSITION_BITS


@given(st.data())
def test_rounds_end_at_the_greedy_set_of_all_documents_that_share_a_bucket(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 9))
    ids = [one if one < count // 2 else FIRST_OF_B + one for one in range(count)]
    bands = data.draw(st.lists(st.lists(st.integers(0, 2), min_size=count, max_size=count), min_size=1, max_size=3))
    alike = {pair: data.draw(st.booleans()) for pair in itertools.combinations(ids, 2)}
    gone_global, gone_local = by_rounds(ids, bands, alike)
    order = data.draw(st.permutations(ids))
    assert gone_global == by_definition(ids, bands, alike, lambda one, other: True)
    assert gone_local == by_definition(ids, bands, alike, lambda one, other: (one < FIRST_OF_B) == (other < FIRST_OF_B))
    assert by_rounds(ids, bands, alike, order)[0] == by_definition(order, bands, alike, lambda one, other: True, ids)


def by_definition(
    order: Sequence[int],
    bands: Sequence[Sequence[int]],
    alike: Mapping[tuple[int, int], bool],
    allowed: Callable[[int, int], bool],
    ids: Sequence[int] | None = None,
) -> set[int]:
    ids = ids or order
    kept: list[int] = []
    gone: set[int] = set()
    for document in order:
        at = ids.index(document)
        twins = (
            one
            for one in kept
            if alike[min(one, document), max(one, document)]
            and allowed(one, document)
            and any(band[ids.index(one)] == band[at] for band in bands)
        )
        if next(twins, None) is None:
            kept.append(document)
        else:
            gone.add(document)
    return gone


def by_rounds(
    ids: Sequence[int],
    bands: Sequence[Sequence[int]],
    alike: Mapping[tuple[int, int], bool],
    order: Sequence[int] | None = None,
) -> tuple[set[int], set[int]]:
    every = np.array(ids, dtype=np.uint64)
    known, place = None, None
    if order is not None:
        known, place = every, np.array([order.index(one) for one in ids])
    in_global, in_local = NOBODY, NOBODY
    judged: dict[tuple[int, int], bool] = {}
    for window in range(1, 12):
        kept = [~np.isin(every, fates.ids) for fates in (in_global, in_local)]
        for band in bands:
            bucketed = Bucketed(every, np.array(band, dtype=np.int32))
            found = candidates_of(bucketed, kept[0], kept[1], SOURCES, window, precedence=place)
            for pair in zip(found.documents.tolist(), found.candidates.tolist(), strict=True):
                judged[pair] = alike[min(pair), max(pair)]
        true = [(*pair, 0.9) for pair, is_alike in judged.items() if is_alike]
        own = [one for one in true if (one[0] < FIRST_OF_B) == (one[1] < FIRST_OF_B)]
        in_global = decide_fates(similar(*true), similar(), NOBODY, place, known)
        in_local = decide_fates(similar(*own), similar(), NOBODY, place, known)
    return set(in_global.ids.tolist()), set(in_local.ids.tolist())


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 11)), max_size=20), st.integers(1, 12))
def test_ranges_of_ids_one_after_the_other_decide_the_same(drawn: list[tuple[int, int]], cut: int) -> None:
    pairs = sorted({(document, candidate, 0.9) for document, candidate in drawn if candidate < document})
    at_once = decide_fates(similar(*pairs), similar(), NOBODY)
    low = decide_fates(similar(*(one for one in pairs if one[0] < cut)), similar(), NOBODY)
    high = decide_fates(similar(*(one for one in pairs if one[0] >= cut)), similar(), low)
    assert as_dict(with_more(low, high)) == as_dict(at_once)
