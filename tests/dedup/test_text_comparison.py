"""Two texts are compared by the shingles, signatures and bands that deduplication itself goes by."""

from __future__ import annotations

import numpy as np
import pytest

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.one_permutation import bin_minima
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher
from slimpajama.dedup.text_comparison import compare_texts
from tests.twins import shingles

FIRST = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun. " * 4 + "One end."
SECOND = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun. " * 4 + "Another end of it."
PARAMS = MinHashParams(min_cleaned_characters=0)


def test_jaccard_and_containment_are_those_of_the_sets_of_shingles() -> None:
    one, other = set(shingles(FIRST)), set(shingles(SECOND))
    found = compare_texts(FIRST, SECOND, PARAMS)
    assert found.jaccard == pytest.approx(len(one & other) / len(one | other))
    assert found.first_in_second == pytest.approx(len(one & other) / len(one))
    assert found.second_in_first == pytest.approx(len(one & other) / len(other))


def test_the_estimate_is_that_of_datasketch() -> None:
    from datasketch import MinHash

    from slimpajama import shingle_hashes

    signatures = []
    for text in (FIRST, SECOND):
        one = MinHash(128, seed=1, scheme="affine32", hashfunc=int)
        one.update_batch(shingle_hashes(text).tolist())
        signatures.append(one)
    assert compare_texts(FIRST, SECOND, PARAMS).estimate == signatures[0].jaccard(signatures[1])


def test_the_estimate_by_one_permutation_is_the_share_of_bins_that_agree() -> None:
    params = MinHashParams(min_cleaned_characters=0, method="one-permutation", num_perm=256, bands=16, rows=8)
    one, other = (bin_minima(text, 256, 1) for text in (FIRST, SECOND))
    found = compare_texts(FIRST, SECOND, params)
    assert found.estimate is not None
    assert found.estimate == np.mean(one == other)
    assert abs(found.estimate - found.jaccard) < 0.1


def test_the_bands_that_agree_are_those_whose_keys_are_equal() -> None:
    keys = Sketcher(PARAMS).sketch(Texts.of([FIRST, SECOND])).keys
    bands = compare_texts(FIRST, SECOND, PARAMS).bands
    assert bands == tuple(np.flatnonzero(keys[0] == keys[1]).tolist())
    assert compare_texts(FIRST, FIRST, PARAMS).bands == tuple(range(9))


def test_texts_without_shingles_share_nothing() -> None:
    found = compare_texts("short", "short", PARAMS)
    assert (found.jaccard, found.estimate, found.bands) == (0.0, 0.0, ())
