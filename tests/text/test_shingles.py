"""Shingle hashes: a format that may not change, of a polynomial anyone can write down."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import clean, shingle_hashes
from slimpajama.errors import ConfigError
from slimpajama.text.shingles import BLOCK, hash_units, shingle_scratch
from tests.twins import LONG_TEXT, polynomial_hash, polynomial_of, published_clean, shingles, word_shingle_hashes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("abcdefghijkl", []),
        ("abcdefghijklm", [1312756547]),
        ("abcdefghijklmn", [1312756547, 3176364449]),
        ("A.B.C. D, E  F G H", [3591951673]),
        ("ééééééééééééé", [428944269]),
        ("日本語の文章はここにあります", [1679945263, 4002640798]),
        ("𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝔱𝔢𝔵𝔱 𝔞𝔟!", [1825456410, 1439636415, 2969730061]),
    ],
)
def test_hashes_are_these_forever(text: str, expected: list[int]) -> None:
    assert shingle_hashes(text).tolist() == expected


@given(LONG_TEXT)
def test_hashes_are_the_upper_half_of_the_polynomial_of_each_window(text: str) -> None:
    hashes = shingle_hashes(text)
    assert hashes.dtype == np.uint32
    assert hashes.tolist() == [polynomial_hash(shingle) for shingle in shingles(text)]


@pytest.mark.parametrize("length", [0, 1, 12, 13, 14, BLOCK + 11, BLOCK + 12, BLOCK + 13, 2 * BLOCK + 12, 3 * BLOCK])
def test_there_is_one_hash_for_each_window_of_13_cleaned_characters(length: int) -> None:
    text = "".join(chr(0x4E00 + 7 * at % 5000) for at in range(length))
    hashes = shingle_hashes(text)
    assert len(hashes) == max(0, length - 12)
    assert hashes.tolist() == [polynomial_hash(shingle) for shingle in shingles(text)]


@pytest.mark.parametrize("length", range(3, 65))
def test_shingles_of_any_length_are_hashed_by_the_polynomial_of_their_units(length: int) -> None:
    units = np.array([at * at % 5003 for at in range(length + 20)], dtype=np.uint32)
    expected = [polynomial_of(units[start : start + length].tolist()) for start in range(21)]
    assert hash_units(units, length, shingle_scratch()).tolist() == expected
    assert hash_units(units[: length - 1], length, shingle_scratch()).tolist() == []


@pytest.mark.parametrize("length", [3, 5, 8, 13, 24, 63, 64])
@pytest.mark.parametrize("over", [-1, 0, 1, 70])
def test_a_shingle_across_the_end_of_a_block_is_hashed_as_any_other(length: int, over: int) -> None:
    text = "".join(chr(0x4E00 + at * at % 4999) for at in range(BLOCK + length - 1 + over))
    expected = [polynomial_hash(shingle) for shingle in shingles(text, length)]
    assert shingle_hashes(text, length=length).tolist() == expected


@given(LONG_TEXT, st.integers(3, 64))
def test_shingles_of_words_are_those_of_the_twin(text: str, length: int) -> None:
    hashes = shingle_hashes(text, unit="word", length=length)
    assert hashes.tolist() == word_shingle_hashes(published_clean(text), length)


def test_a_chinese_text_has_a_shingle_of_words_for_nearly_each_character() -> None:
    text = "中文没有空格，所以每个字都算一个词。"
    assert shingle_hashes(text, unit="word", length=5).size == 18 - 4
    assert shingle_hashes(text, unit="word", length=5, cleaning="unicode").size == 16 - 4


@pytest.mark.parametrize("length", [-1, 0, 2, 65])
def test_a_length_that_shingles_cannot_have_is_refused(length: int) -> None:
    with pytest.raises(ConfigError, match=rf"^shingles of {length} units .* between 3 and 64$"):
        shingle_hashes("text", length=length)


def test_repeats_are_kept_in_order() -> None:
    hashes = shingle_hashes("abcdefghijklm" * 2).tolist()
    assert hashes[0] == hashes[13]
    assert len(set(hashes)) == 13


def test_hashes_are_of_the_cleaned_text() -> None:
    raw = "  Some TEXT, with (punctuation)\tand   spaces.  "
    assert shingle_hashes(raw).tolist() == shingle_hashes(clean(raw)).tolist()


def expected_collisions(distinct: int) -> float:
    return distinct * (distinct - 1) / 2 / 2**32


def assert_collisions_like_chance(distinct: int, hashed: int) -> None:
    expected = expected_collisions(distinct)
    assert distinct - hashed <= expected + 6 * math.sqrt(expected)


def test_numbers_that_differ_in_a_digit_collide_no_more_than_chance() -> None:
    count = 400_000
    digits = np.arange(count)[:, np.newaxis] // 10 ** np.arange(12, -1, -1) % 10 + ord("0")
    rows = digits.astype(np.uint32)
    hashes = np.concatenate(
        [hash_units(chunk.ravel(), 13, shingle_scratch())[::13] for chunk in np.array_split(rows, 16)]
    )
    assert_collisions_like_chance(count, np.unique(hashes).size)


def test_real_text_collides_no_more_than_chance(real_texts: list[str]) -> None:
    windows: set[str] = set()
    hashes: set[int] = set()
    for text in real_texts[::7]:
        windows.update(shingles(text))
        hashes.update(shingle_hashes(text).tolist())
    assert len(windows) > 300_000
    assert_collisions_like_chance(len(windows), len(hashes))


@pytest.mark.parametrize("place", range(13))
def test_every_character_of_a_shingle_counts(place: int) -> None:
    shingles_of = [f"{number:013d}" for number in range(100, 200)]
    changed = [shingle[:place] + "x" + shingle[place + 1 :] for shingle in shingles_of]
    before = {int(shingle_hashes(shingle)[0]) for shingle in shingles_of}
    after = {int(shingle_hashes(shingle)[0]) for shingle in changed}
    assert len(before) == 100
    assert not before & after
