"""128-bit membership against a set of pairs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.tokens.contents import is_among, place_among, sorted_contents

# Few values, so that first halves collide and second halves decide.
pairs = st.lists(st.tuples(st.sampled_from([0, 1, 2, 2**64 - 1]), st.sampled_from([0, 5, 2**63, 2**64 - 1])))


def table(rows: list[tuple[int, int]]) -> np.ndarray:
    return np.array(rows, dtype=np.uint64).reshape(-1, 2)


@given(pairs, pairs)
def test_equals_a_set(texts: list[tuple[int, int]], held_out: list[tuple[int, int]]) -> None:
    known = sorted_contents(table(held_out))
    assert is_among(table(texts), known).tolist() == [text in set(held_out) for text in texts]
    places = [known.tolist().index([*text]) if text in set(held_out) else -1 for text in texts]
    assert place_among(table(texts), known).tolist() == places


def test_sorted_and_each_once() -> None:
    assert sorted_contents(table([(2, 1), (1, 9), (2, 1), (1, 3)])).tolist() == [[1, 3], [1, 9], [2, 1]]
