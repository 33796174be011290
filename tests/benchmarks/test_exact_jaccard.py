"""The join finds what comparing all pairs finds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.exact_jaccard import ShingleSets, character_shingles, join, shingle_sets
from tests.twins import shingles


def sets_of(sets: list[set[int]]) -> ShingleSets:
    """Sets of numbers, which stand in for hashes; the upper bits differ too, as those of hashes do."""
    spread = {number: (number * 0x9E3779B97F4A7C15) % (1 << 64) for one in sets for number in one}
    arrays = {
        str(place): np.array([spread[number] for number in one], dtype=np.uint64) for place, one in enumerate(sets)
    }
    return shingle_sets(arrays, arrays.__getitem__)


def by_hand(sets: list[set[int]], percent: int) -> list[tuple[int, int, int]]:
    """Every pair, one after the other."""
    found = []
    for (one, left), (other, right) in combinations(enumerate(sets), 2):
        common = len(left & right)
        if common and 100 * common >= percent * len(left | right):
            found.append((one, other, common))
    return found


def joined(sets: list[set[int]], percent: int) -> list[tuple[int, int, int]]:
    pairs = join(sets_of(sets), percent)
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), pairs.common.tolist(), strict=True))


def test_a_worked_example() -> None:
    sets = [{1, 2, 3, 4, 5}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}, {8, 9}, {9, 10, 11}, set()]
    assert joined(sets, 80) == [(0, 1, 4), (0, 2, 5), (1, 2, 4)]  # 4 of 5 is exactly 0.8
    assert joined(sets, 81) == [(0, 2, 5)]
    assert joined(sets, 25) == [*joined(sets, 80), (3, 4, 1)]  # 1 of 4


@given(
    st.lists(st.sets(st.integers(0, 30), max_size=20), max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 30)), max_size=12),
    st.sampled_from([30, 50, 66, 80, 95, 100]),
)
def test_it_is_comparing_all_pairs(sets: list[set[int]], changed: list[tuple[int, int]], percent: int) -> None:
    near = [sets[place] ^ {number} for place, number in changed if place < len(sets)]
    assert joined(sets + near, percent) == by_hand(sets + near, percent)


def test_pairs_of_a_higher_threshold_are_among_those_of_a_lower_one() -> None:
    rng = np.random.default_rng(3)
    sets = [set(rng.integers(0, 40, 25).tolist()) for _ in range(60)]
    sets += [one | {100 + place} for place, one in enumerate(sets)]
    found = sets_of(sets)
    some = join(found, 50).at_least(found.sizes, 80)
    assert list(zip(some.left.tolist(), some.right.tolist(), some.common.tolist(), strict=True)) == by_hand(sets, 80)


def test_the_similarity_of_texts_is_that_of_their_shingles() -> None:
    one, other = "The quick brown fox jumps over the lazy dog.", "the quick brown fox jumps over the lazy cat!"
    left, right = set(shingles(one)), set(shingles(other))
    assert character_shingles(one).size == len(left)
    found = shingle_sets([one, other, "nothing like the two others at all"])
    assert found.jaccard(np.array([0, 0]), np.array([1, 2])).tolist() == [
        pytest.approx(len(left & right) / len(left | right)),
        0.0,
    ]
