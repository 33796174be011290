"""What is said of a deduplication, on seven documents whose similarities are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.exact_jaccard import join, shingle_sets
from benchmarks.outcomes import judged, of_kept
from benchmarks.truth import LEAST_PERCENT, Truth

# a1, a2 and a3 are copies; b shares 10 of 12 shingles with them (0.83), c shares 6 of 14 with them (0.43); d is alone.
SETS = {
    "a1": range(11),
    "a2": range(11),
    "a3": range(11),
    "b": range(1, 12),
    "c": [*range(6), 100, 101, 102],
    "d": range(200, 210),
}


@pytest.fixture
def truth() -> Truth:
    arrays = {name: np.array([*numbers], dtype=np.uint64) << np.uint64(40) for name, numbers in SETS.items()}
    sets = shingle_sets(arrays, arrays.__getitem__)
    return Truth([*SETS], np.array([10, 10, 10, 20, 30, 40]), sets, join(sets, LEAST_PERCENT))


def test_all_right(truth: Truth) -> None:
    row = judged(of_kept(["a1", "c", "d"], truth, {"a2": "a1", "a3": "a1", "b": "a1"}), truth)
    assert (row.removed, row.bytes) == (3, 40)
    assert (row.below, row.far_below) == (0, 0)
    assert row.lowest == 10 / 12
    assert (row.lost, row.left, row.found, row.together) == (0, 0, 1.0, 1.0)


def test_what_is_removed_for_one_that_differs_is_counted(truth: Truth) -> None:
    survivors = {"a2": "a1", "a3": "a1", "b": "a1", "c": "a1", "d": "a1"}
    row = judged(of_kept(["a1"], truth, survivors), truth)
    assert (row.removed, row.below, row.far_below, row.lowest) == (5, 2, 2, 0.0)
    assert row.lost == 2
    assert row.similarities.tolist() == [0.0, pytest.approx(6 / 14), pytest.approx(10 / 12), 1.0, 1.0]


def test_what_stays_beside_a_twin_is_counted_once_for_each_that_would_have_to_go(truth: Truth) -> None:
    row = judged(of_kept([*SETS], truth), truth)
    assert (row.removed, row.left, row.found, row.together) == (0, 3, 0.0, 0.0)
    assert (row.below, row.lowest) == (0, None)


def test_a_list_of_what_is_kept_is_enough_for_the_rest(truth: Truth) -> None:
    row = judged(of_kept(["a1", "a2"], truth), truth)
    assert (row.removed, row.below, row.far_below, row.lowest, row.together) == (4, None, None, None, None)
    assert (row.lost, row.left) == (2, 1)
    assert row.found == 5 / 6  # all pairs among a1, a2, a3 and b, but for a1 with a2


def test_a_survivor_that_does_not_stay_is_a_fault(truth: Truth) -> None:
    with pytest.raises(SystemExit, match="1 removed documents name a survivor that does not stay"):
        judged(of_kept(["a1", "b", "c", "d"], truth, {"a2": "a3", "a3": "a1"}), truth)
