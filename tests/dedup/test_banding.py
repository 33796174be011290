"""Bands and rows: what they catch, where they come from, and the keys they leave."""

from __future__ import annotations

import numpy as np
import pytest
from datasketch import MinHashLSH
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from slimpajama import Config, ConfigError, signature
from slimpajama.dedup.band_keys import band_keys
from slimpajama.dedup.banding import banding, catch_probability, optimal_banding
from tests.twins import band_key, band_keys_of

SIGNATURES = npst.arrays(np.uint32, 30, elements=st.integers(0, 2**32 - 1) | st.integers(0, 2))


@pytest.mark.parametrize(
    ("similarity", "chance"),
    [(0.5, 0.001), (0.7, 0.084), (0.8, 0.399), (0.85, 0.686), (0.9, 0.929), (0.95, 0.998)],
)
def test_the_published_bands_catch_pairs_with_the_published_chances(similarity: float, chance: float) -> None:
    assert catch_probability(similarity, 9, 13) == pytest.approx(chance, abs=0.0006)


@pytest.mark.parametrize(
    ("similarity", "bands", "rows", "chance"),
    [(0.0, 9, 13, 0.0), (1.0, 9, 13, 1.0), (0.5, 1, 1, 0.5), (0.5, 2, 1, 0.75), (0.5, 2, 2, 0.4375)],
)
def test_chances_of_small_bands_are_exact(similarity: float, bands: int, rows: int, chance: float) -> None:
    assert catch_probability(similarity, bands, rows) == chance


def test_the_published_banding_is_datasketchs_optimum_for_its_threshold() -> None:
    assert optimal_banding(0.8, 128) == (9, 13)


@pytest.mark.parametrize(("threshold", "num_perm"), [(0.2, 64), (0.5, 128), (0.7, 128), (0.9, 128), (0.8, 256)])
def test_a_threshold_gives_the_banding_datasketch_would_choose(threshold: float, num_perm: int) -> None:
    index = MinHashLSH(threshold=threshold, num_perm=num_perm)
    assert optimal_banding(threshold, num_perm) == (index.b, index.r)
    assert banding(Config(threshold=threshold, num_perm=num_perm)) == (index.b, index.r)


@pytest.mark.parametrize(("threshold", "num_perm"), [(0.99, 128), (0.9, 8), (0.5, 1)])
def test_a_threshold_out_of_reach_is_a_wrong_setting_not_a_crash(threshold: float, num_perm: int) -> None:
    with pytest.raises(ConfigError, match=rf"threshold.*{threshold}"):
        banding(Config(threshold=threshold, num_perm=num_perm))


def test_a_config_that_says_nothing_means_the_published_bands() -> None:
    assert banding(Config()) == (9, 13)


def test_a_config_may_name_its_bands_and_rows() -> None:
    assert banding(Config(bands=20, rows=6)) == (20, 6)


@given(SIGNATURES, st.sampled_from([(1, 30), (2, 15), (3, 10), (7, 4), (30, 1)]))
def test_keys_are_the_hashes_of_the_rows(values: np.ndarray, banding: tuple[int, int]) -> None:
    bands, rows = banding
    keys = np.zeros(bands, dtype=np.uint64)
    band_keys(values, rows, keys)
    assert keys.tolist() == band_keys_of(values, bands, rows)


@given(SIGNATURES, SIGNATURES, st.lists(st.integers(0, 29)))
def test_keys_of_a_band_are_equal_exactly_where_its_rows_are(
    left: np.ndarray, other: np.ndarray, changed: list[int]
) -> None:
    right = left.copy()
    right[changed] = other[changed]
    keys = np.zeros((2, 6), dtype=np.uint64)
    band_keys(left, 5, keys[0])
    band_keys(right, 5, keys[1])
    same = [np.array_equal(left[5 * band : 5 * band + 5], right[5 * band : 5 * band + 5]) for band in range(6)]
    assert (keys[0] == keys[1]).tolist() == same


def test_the_order_of_rows_matters() -> None:
    assert band_key([1, 2]) != band_key([2, 1])
    keys = np.zeros((2, 1), dtype=np.uint64)
    band_keys(np.array([1, 2], dtype=np.uint32), 2, keys[0])
    band_keys(np.array([2, 1], dtype=np.uint32), 2, keys[1])
    assert keys[0] != keys[1]


def test_key_bits_are_spread_evenly_so_that_ranges_of_keys_are_of_one_size() -> None:
    keys = np.zeros((20_000, 1), dtype=np.uint64)
    for number in range(20_000):
        band_keys(np.array([number, 7], dtype=np.uint32), 2, keys[number])
    assert np.unique(keys).size == 20_000
    per_sixteenth = np.bincount((keys[:, 0] >> np.uint64(60)).astype(int), minlength=16)
    assert abs(per_sixteenth - 1250).max() < 6 * 1250**0.5


def test_bands_use_the_first_permutations_of_a_signature() -> None:
    values = signature("a text of its own, with more than thirteen characters")
    keys = np.zeros(9, dtype=np.uint64)
    band_keys(values, 13, keys)
    assert keys.tolist() == band_keys_of(values[:117], 9, 13)
