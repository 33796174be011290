"""Ranges that are prepared apart decide the same as one pass over all pairs, whatever was decided before."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.checking.greedy import NO_PAIRS, Fates, decide_fates, with_more
from slimpajama.dedup.checking.greedy_in_parts import OrderedPairs, fates_of_parts, ordered_pairs
from slimpajama.dedup.checking.similarity import Means
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import links_of_pairs
from slimpajama.dedup.files.pairs import JudgedPairs
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.greedy import BYTES_PER_PAIR, GreedyPayload, in_order_of_ids
from tests.dedup.checking.test_greedy import NOBODY, as_dict, similar

PAIRS = st.lists(
    st.tuples(st.integers(1, 14), st.integers(0, 13), st.sampled_from([0.8, 0.9, float("nan")])), max_size=25
)


def same(one: Fates, other: Fates) -> bool:
    return (
        np.array_equal(one.ids, other.ids)
        and np.array_equal(one.survivors, other.survivors)
        and np.array_equal(one.similarities, other.similarities, equal_nan=True)
    )


@given(
    pairs=PAIRS, copies=PAIRS, before=PAIRS, cuts=st.lists(st.integers(0, 14), max_size=3), threads=st.integers(1, 3)
)
def test_any_parts_and_threads_decide_the_same_as_one_pass(
    pairs: list[tuple[int, int, float]],
    copies: list[tuple[int, int, float]],
    before: list[tuple[int, int, float]],
    cuts: list[int],
    threads: int,
) -> None:
    wanted, twins, known = (
        [one for one in dict.fromkeys(drawn) if one[1] < one[0]] for drawn in (pairs, copies, before)
    )
    earlier = decide_fates(similar(*known), similar(), NOBODY)
    bounds = [0, *sorted(cuts), 15]
    parts = [
        ordered_pairs(*(similar(*(one for one in every if low <= one[0] < high)) for every in (wanted, twins)))
        for low, high in itertools.pairwise(bounds)
    ]
    with Team(threads) as team:
        (found,) = fates_of_parts([parts], [earlier], team)
    expected = decide_fates(similar(*wanted), similar(*twins), earlier)
    assert same(with_more(earlier, found), with_more(earlier, expected))


@given(pairs=PAIRS, copies=PAIRS, memory=st.integers(1, 30), threads=st.integers(1, 3))
def test_ranges_that_fit_into_memory_and_threads_decide_the_same_in_both_scopes(
    pairs: list[tuple[int, int, float]], copies: list[tuple[int, int, float]], memory: int, threads: int
) -> None:
    judged, links = [], []
    for half in (pairs[::2], pairs[1::2]):
        own = sorted(one[:2] for one in dict.fromkeys(half) if one[1] < one[0])
        documents, candidates = np.array(own, dtype=np.uint64).reshape(-1, 2).T.copy()
        known = np.full(documents.size, 0.9), np.full(documents.size, Means.TEXTS, dtype=np.uint8)
        judged.append(JudgedPairs(documents, candidates, *known))
    twins = np.array([one[:2] for one in copies if one[1] < one[0]], dtype=np.uint64).reshape(-1, 2)
    links.append(links_of_pairs(twins[:, 0], twins[:, 1]))
    sources = SourceRanges(first_shards=(0,), local=(0,), reported=(0,))
    payload = GreedyPayload(
        (), (), (), 0.8, False, Path(), Precedence(("source",), sources), memory * BYTES_PER_PAIR, Path()
    )
    with Team(threads, fewest=2) as team:
        in_global, in_local, similar_pairs = in_order_of_ids(judged, links, payload, (NOBODY, NOBODY), team)
    every = [pair for one in judged for pair in zip(one.documents.tolist(), one.candidates.tolist(), strict=True)]
    alike = similar(*((one, other, 0.9) for one, other in every))
    expected = decide_fates(alike, similar(*((one, other, 1.0) for one, other in twins.tolist())), NOBODY)
    assert similar_pairs == len(every)
    assert same(in_global, expected)
    assert same(in_local, expected)


def test_a_copy_of_what_an_earlier_run_removed_goes_for_its_survivor() -> None:
    earlier = Fates(np.array([2], dtype=np.uint64), np.array([1], dtype=np.uint64), np.array([0.9]))
    part = ordered_pairs(similar((10, 2, 0.9), (11, 3, 0.9)), similar((12, 2, 1.0)))
    (found,) = fates_of_parts([[part]], [earlier], Team(1))
    assert as_dict(found) == {11: (3, 0.9), 12: (1, 0.9)}


@pytest.mark.parametrize("parts", [[], [ordered_pairs(NO_PAIRS, NO_PAIRS)]])
def test_without_pairs_nobody_goes(parts: list[OrderedPairs]) -> None:
    (found,) = fates_of_parts([parts], [NOBODY], Team(1))
    assert found.ids.size == 0
