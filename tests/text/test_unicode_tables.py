"""The tables agree with ``str``, ``re`` and ``unicodedata`` on every code point there is."""

from __future__ import annotations

import re
import string
import sys
import unicodedata

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slimpajama.text.cleaning import NOT_NFC
from slimpajama.text.unicode_tables import (
    CASE_LIMIT,
    DELETED,
    NEEDS_PYTHON,
    NFC_LIMIT,
    NFC_UNSURE,
    fold_table,
    nfc_classes,
)
from tests.text.test_cleaning import verdict
from tests.twins import ALL_POINTS, COMPOSING, MARKS, canonical_pairs


def passes_quick_check(text: str) -> bool:
    return verdict(text, check_nfc=True) != NOT_NFC


def test_folding_says_what_str_and_re_say_of_each_code_point() -> None:
    table = fold_table()
    assert table.dtype == np.uint32
    assert table.shape == (CASE_LIMIT,)
    for point in range(CASE_LIMIT):
        char = chr(point)
        if re.match(r"\s", char):
            expected = ord(" ")
        elif char in string.punctuation:
            expected = DELETED
        elif len(char.lower()) > 1 or char == "Σ":
            expected = NEEDS_PYTHON
        else:
            expected = ord(char.lower())
        assert table[point] == expected, hex(point)


def test_nothing_beyond_the_table_has_case_is_space_or_punctuation() -> None:
    beyond = "".join(map(chr, range(CASE_LIMIT, sys.maxunicode + 1)))
    assert beyond.lower() == beyond
    assert not re.search(r"\s", beyond)


def test_strip_and_the_pattern_agree_on_what_white_space_is() -> None:
    assert [p for p in ALL_POINTS if chr(p).isspace()] == [p for p in ALL_POINTS if re.match(r"\s", chr(p))]


def test_nothing_beyond_the_nfc_table_can_change_or_reorder() -> None:
    beyond = "".join(map(chr, range(NFC_LIMIT, sys.maxunicode + 1)))
    assert unicodedata.normalize("NFC", beyond) == beyond
    assert not any(map(unicodedata.combining, beyond))


def test_no_letter_below_the_first_mark_can_break_nfc() -> None:
    below = [chr(point) for point in range(0x300)]
    assert not any(map(unicodedata.combining, below))
    assert all(unicodedata.is_normalized("NFC", left + right) for left in below for right in below)


def test_a_code_point_is_either_unsure_or_has_its_combining_class() -> None:
    table = nfc_classes()
    assert table.shape == (NFC_LIMIT,)
    for point in range(0x300, NFC_LIMIT):
        if table[point] != NFC_UNSURE:
            assert table[point] == unicodedata.combining(chr(point)), hex(point)


def test_every_code_point_that_nfc_replaces_is_unsure() -> None:
    table = nfc_classes()
    replaced = [p for p in ALL_POINTS if unicodedata.normalize("NFC", chr(p)) != chr(p)]
    assert len(replaced) > 1000
    assert [hex(point) for point in replaced if table[point] != NFC_UNSURE] == []


def test_every_pair_that_joins_in_nfc_is_noticed() -> None:
    joining = [(left, right) for left, right in canonical_pairs() if not unicodedata.is_normalized("NFC", left + right)]
    assert len(joining) > 900
    missed = [f"U+{ord(left):04X} U+{ord(right):04X}" for left, right in joining if passes_quick_check(left + right)]
    assert missed == []


def test_every_hangul_syllable_taken_apart_is_noticed() -> None:
    for point in range(0xAC00, 0xD7A4):
        assert passes_quick_check(chr(point))
        assert not passes_quick_check(unicodedata.normalize("NFD", chr(point)))


def test_marks_out_of_order_are_noticed() -> None:
    one_of_each_class = list({unicodedata.combining(mark): mark for mark in MARKS}.values())
    assert len(one_of_each_class) > 50
    for mark in MARKS:
        for other in one_of_each_class:
            for text in (f"x{mark}{other}", f"x{other}{mark}"):
                assert unicodedata.is_normalized("NFC", text) or not passes_quick_check(text), ascii(text)


@given(COMPOSING | st.text())
@settings(max_examples=1500)
def test_no_text_that_is_not_nfc_passes_the_quick_check(text: str) -> None:
    assert unicodedata.is_normalized("NFC", text) or not passes_quick_check(text)


def test_ordinary_precomposed_text_passes_the_quick_check() -> None:
    text = "Ærøskøbing, Łódź, Việt Nam, žluťoučký kůň, Ελλάδα, Москва, 東京, 서울, हिन्दी, ไทย, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢"
    assert unicodedata.is_normalized("NFC", text)
    assert passes_quick_check(text)
