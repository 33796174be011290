"""One permutation in bins: the signature of an obvious twin, and an unbiased estimate of the similarity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimpajama import shingle_hashes
from slimpajama.dedup.minhash import permutations
from slimpajama.dedup.one_permutation import bin_minima
from slimpajama.text.shingles import BLOCK
from tests.twins import LONG_TEXT

WORD = 1 << 32


def mixed(value: int) -> int:
    """MurmurHash3's 32-bit finaliser."""
    value ^= value >> 16
    value = value * 0x85EBCA6B % WORD
    value ^= value >> 13
    value = value * 0xC2B2AE35 % WORD
    return value ^ value >> 16


def twin(hashes: set[int], bins: int, seed: int) -> list[int]:
    """The signature of a set of shingles, bin by bin."""
    multipliers, addends = (array.tolist() for array in permutations(bins, seed))
    values = [mixed((multipliers[0] * one + addends[0]) % WORD) for one in hashes]
    inside: dict[int, list[int]] = {}
    for value in values:
        inside.setdefault(value * bins // WORD, []).append(value)
    signature = []
    for number in range(bins):
        own = inside.get(number) or [(multipliers[number] * value + addends[number]) % WORD for value in values]
        signature.append(min(own, default=WORD - 1))
    return signature


def of_hashes(text: str, bins: int, seed: int = 1) -> list[int]:
    return list(map(int, bin_minima(text, bins, seed)))


@given(LONG_TEXT, st.integers(1, 100), st.integers(0, WORD - 1))
@settings(max_examples=40)
def test_a_signature_is_that_of_the_set_of_shingles(text: str, bins: int, seed: int) -> None:
    assert of_hashes(text, bins, seed) == twin(set(shingle_hashes(text).tolist()), bins, seed)


@pytest.mark.parametrize("length", [13, 14, 77, BLOCK + 11, BLOCK + 12, BLOCK + 13, 2 * BLOCK + 77])
@pytest.mark.parametrize("bins", [1, 256, 700])
def test_so_is_it_around_every_block_boundary(length: int, bins: int) -> None:
    text = "".join(chr(0x4E00 + at * at % 4999) for at in range(length))
    assert of_hashes(text, bins) == twin(set(shingle_hashes(text).tolist()), bins, 1)


@pytest.mark.parametrize("text", ["", "abcdefghijkl"])
def test_a_text_without_shingles_has_the_empty_signature(text: str) -> None:
    assert of_hashes(text, 4) == [WORD - 1] * 4


def test_neither_order_nor_repeats_of_shingles_matter() -> None:
    letters = "abcdefghijklm"
    assert of_hashes(letters * 300, 64) == of_hashes(letters * 2, 64)
    assert of_hashes(letters * 300, 64) == of_hashes((letters[5:] + letters[:5]) * 2, 64)


@pytest.mark.parametrize("size", [60, 400, 5000])
@pytest.mark.parametrize("similarity", [0.5, 0.8, 0.95])
def test_documents_agree_in_as_many_bins_as_they_are_similar(size: int, similarity: float) -> None:
    """Documents of fewer shingles than bins, too: the mean of many seeds lies within four standard errors."""
    bins, seeds = 256, 40
    letters = np.random.default_rng(size).integers(0x4E00, 0x9E00, 2 * size)
    common, own = round(size * similarity), round(size * (1 - similarity) / 2)
    texts = ["".join(map(chr, (*letters[:common], *letters[at : at + own]))) for at in (common, common + own)]
    one, other = (set(shingle_hashes(text).tolist()) for text in texts)
    jaccard = len(one & other) / len(one | other)
    agreeing = []
    for seed in range(seeds):
        first, second = (np.array(of_hashes(text, bins, seed)) for text in texts)
        agreeing.append(np.mean(first == second))
    assert abs(np.mean(agreeing) - jaccard) < 4 * np.sqrt(jaccard * (1 - jaccard) / (bins * seeds))
