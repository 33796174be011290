"""The 128 bits of a cleaned text: those of the slow twin, and different where texts differ in a way that is likely."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.text.text_hash import KEYS, hash_text
from tests.twins import text_hash_of


def hashed(text: str) -> tuple[int, int]:
    result = np.zeros(2, dtype=np.uint64)
    hash_text(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32), KEYS, result)
    return int(result[0]), int(result[1])


@given(st.text(max_size=40), st.integers(0, 60))
def test_the_kernel_is_its_twin(text: str, times: int) -> None:
    assert hashed(text * times) == text_hash_of(text * times)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 1022, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 5000])
def test_it_is_its_twin_around_the_ends_of_blocks(length: int) -> None:
    text = "".join(random.Random(length).choices("abc \u4e2d\U0001f600", k=length))
    assert hashed(text) == text_hash_of(text)


def test_texts_that_differ_a_little_differ_in_both_halves() -> None:
    text = "".join(random.Random(3).choices("etaoin shrdlu", k=1500))
    others = {text, "", *("a" * length for length in range(1, 1100)), *("\0" * length for length in range(1, 1100))}
    for at in range(0, 1500, 7):
        others |= {text[:at] + "x" + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + "x" + text[at:]}
    for at in range(0, 1490, 11):  # neighbours, and characters that are half a block apart, change places
        for other in (at + 1, at + 512):
            if other < 1500:
                swapped = list(text)
                swapped[at], swapped[other] = swapped[other], swapped[at]
                others.add("".join(swapped))
    hashes = [hashed(one) for one in others]
    for half in range(2):
        assert len({one[half] for one in hashes}) == len(others)


def test_a_string_of_thue_and_morse_and_its_complement_differ() -> None:
    bits = [bin(number).count("1") & 1 for number in range(1 << 12)]
    for one, other in itertools.combinations(["ab", "ba", "cd", "ac"], 2):
        assert hashed("".join(one[bit] for bit in bits)) != hashed("".join(other[bit] for bit in bits))


def test_blocks_that_change_places_change_the_hash() -> None:
    first, second = "a" * 1024, "b" * 1024
    assert len({hashed(first + second), hashed(second + first), hashed(first + first), hashed(second + second)}) == 4


def test_a_key_never_makes_a_factor_zero() -> None:
    assert KEYS.min() >= 1 << 31
    assert int(KEYS.max()) + 0x10FFFF < 1 << 32
