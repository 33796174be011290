"""Sets of shingles and what two share are those of Python's sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.shingle_sets import containment, jaccard, shared, shingle_sets
from tests.twins import ANY_TEXT, LONG_TEXT, polynomial_hash, published_clean, shingles, word_shingle_hashes

VALUES = st.sets(st.integers(0, 40) | st.integers(0, 2**32 - 1), max_size=40)


def ascending(values: set[int]) -> np.ndarray:
    return np.array(sorted(values), dtype=np.uint32)


@given(st.lists(LONG_TEXT, max_size=4))
def test_a_set_is_the_distinct_shingles_of_the_cleaned_text(texts: list[str]) -> None:
    sets = shingle_sets(texts, MinHashParams())
    assert len(sets) == len(texts)
    expected = [sorted({polynomial_hash(one) for one in shingles(text)}) for text in texts]
    assert [sets[number].tolist() for number in range(len(texts))] == expected
    assert sets.sizes.tolist() == [len(one) for one in expected]
    assert (sets.hashes.dtype.name, sets.offsets.dtype.name) == ("uint32", "int64")


@given(st.lists(ANY_TEXT, max_size=4), st.integers(3, 8))
def test_so_it_is_of_words(texts: list[str], length: int) -> None:
    sets = shingle_sets(texts, MinHashParams(shingle_unit="word", shingle_length=length))
    expected = [sorted(set(word_shingle_hashes(published_clean(text), length))) for text in texts]
    assert [sets[number].tolist() for number in range(len(texts))] == expected


@given(VALUES, VALUES)
def test_what_two_sets_share_is_what_python_says(one: set[int], other: set[int]) -> None:
    left, right = ascending(one), ascending(other)
    assert shared(left, right) == len(one & other)
    assert jaccard(left, right) == len(one & other) / max(1, len(one | other))
    assert containment(left, right) == len(one & other) / max(1, len(one))
    assert jaccard(left, left) == (1.0 if one else 0.0)


@pytest.mark.parametrize("texts", [[], ["short"], ["", "İ"]])
def test_texts_without_shingles_have_empty_sets(texts: list[str]) -> None:
    sets = shingle_sets(texts, MinHashParams())
    assert (len(sets), sets.hashes.size) == (len(texts), 0)
