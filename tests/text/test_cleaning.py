"""``clean`` is the published Python, for any text."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given, settings

from slimpajama import clean
from slimpajama.text.cleaning import NOT_IN_TABLE, NOT_NFC, clean_code_points, fold_utf8
from slimpajama.text.unicode_tables import fold_table, nfc_classes
from tests.twins import (
    ALL_POINTS,
    ANY_TEXT,
    CASE,
    LONG_TEXT,
    SIGMA_CONTEXTS,
    WHITE_SPACE,
    published_clean,
    unicode_clean,
)


def verdict(text: str, check_nfc: bool = False) -> int:
    """What the kernel alone says of a text: cleaned characters, or why it will not."""
    utf8 = np.frombuffer(text.encode(), dtype=np.uint8)
    room, space = np.empty(utf8.size + 1, dtype=np.uint32), np.uint32(32)
    return int(fold_utf8(utf8, room, fold_table(), nfc_classes(), check_nfc, space))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \n\t ", ""),
        ("!?...", ""),
        ("Hello,  World!", "hello world"),
        ("  one . two\r\n\r\nthree  ", "one two three"),
        ("(a) - (b)", "a b"),
        ("a.b", "ab"),
        ("snake_case", "snakecase"),
        ("“quoted” – dash…", "“quoted” – dash…"),
        ("ÀÉÎ ẞ Ǆ K", "àéî ß ǆ k"),
        ("non\u00a0breaking\u2028line\x1cfile", "non breaking line file"),
        ("zero\u200bwidth\ufeff", "zero\u200bwidth\ufeff"),
        ("İstanbul", "i̇stanbul"),
        ("ΟΔΟΣ ΣΟΦΟΣ.", "οδος σοφος"),
        ("Σ", "σ"),
        ("𐐀 𝔄 한국어", "𐐨 𝔄 한국어"),
        ("nul\x00byte", "nul\x00byte"),
    ],
)
def test_clean_lowers_drops_ascii_punctuation_and_makes_white_space_one_space(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(ANY_TEXT)
@settings(max_examples=600)
def test_clean_equals_the_published_expression(text: str) -> None:
    assert clean(text) == published_clean(text)


@given(SIGMA_CONTEXTS)
@settings(max_examples=300)
def test_sigma_and_dotted_i_are_lowered_by_their_context(text: str) -> None:
    assert clean(text) == published_clean(text)


@given(WHITE_SPACE)
@settings(max_examples=300)
def test_every_kind_of_white_space_collapses_also_across_deleted_punctuation(text: str) -> None:
    assert clean(text) == published_clean(text)


@given(CASE)
@settings(max_examples=300)
def test_letters_of_unusual_case_are_lowered_as_python_lowers_them(text: str) -> None:
    assert clean(text) == published_clean(text)


@given(LONG_TEXT)
def test_cleaning_a_cleaned_text_changes_nothing_but_what_lower_case_itself_would(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned.lower()


def test_every_code_point_is_cleaned_as_python_cleans_it() -> None:
    pairs = [f"x{chr(point)}x" for point in ALL_POINTS if point not in (0x130, 0x3A3)]
    text = "".join(pairs)
    assert verdict(text) > 0, "the kernel handles all of them without Python"
    assert clean(text) == published_clean(text)


def test_every_code_point_at_the_ends_of_a_text_and_beside_spaces_is_cleaned_as_python_cleans_it() -> None:
    for point in [*range(0x3100), *range(0xA640, 0xAC00), *range(0xFB00, 0x10600)]:
        text = f"{chr(point)} .{chr(point)}"
        assert clean(text) == published_clean(text), hex(point)


def test_only_two_letters_are_left_to_python() -> None:
    left = [point for point in range(0x20000) if not 0xD800 <= point < 0xE000 and verdict(chr(point)) == NOT_IN_TABLE]
    assert left == [0x130, 0x3A3]


def test_all_of_string_punctuation_and_no_other_ascii_is_deleted() -> None:
    for point in range(128):
        char = chr(point)
        assert (clean(f"a{char}b") == "ab") == (char in string.punctuation)


def test_code_points_come_as_uint32_and_outlive_the_call() -> None:
    for text in ("One Two", "ΣΑΣ ΑΣ"):
        points = clean_code_points(text)
        assert points.dtype == np.uint32
        assert points.tolist() == [ord(char) for char in published_clean(text)]


def test_a_lone_surrogate_is_refused_not_guessed_at() -> None:
    with pytest.raises(UnicodeEncodeError):
        clean("half \ud800 a pair")


def test_a_text_of_five_megabytes_is_cleaned_as_a_whole() -> None:
    text = "It's  a LONG text, naïve & «wide» 한글\r\n" * 120_000
    assert clean(text) == published_clean(text)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("plain", True),
        ("caf\u00e9 na\u00efve", True),
        ("한국어", True),
        ("Tiếng Việt", True),
        ("x\u0316\u0346", True),
        ("cafe\u0301", False),
        ("x\u0346\u0316", False),
        ("\u1100\u1161", False),
        ("가\u11a8", False),
        ("\u212b", False),
        ("\u0958", False),
    ],
)
def test_the_kernel_takes_nfc_as_it_is_and_hands_back_what_is_not(text: str, accepted: bool) -> None:
    assert (verdict(text, check_nfc=True) != NOT_NFC) == accepted
    assert verdict(text, check_nfc=False) == len(published_clean(text))


@given(ANY_TEXT)
def test_cleaning_by_unicode_is_that_of_the_twin(text: str) -> None:
    assert clean(text, "unicode") == unicode_clean(text)


@given(ANY_TEXT)
def test_no_cleaning_leaves_every_character(text: str) -> None:
    assert clean(text, "none") == text


def test_every_code_point_is_cleaned_by_unicode_as_by_the_twin() -> None:
    points = [chr(point) for point in range(0x30000) if not 0xD800 <= point < 0xE000]
    text = "x".join(points).replace("\u03a3", "")
    assert clean(text, "unicode") == unicode_clean(text)


def test_full_width_punctuation_goes_and_full_width_letters_stay() -> None:
    assert clean("Ａ，Ｂ。“Ｃ”＋！ d—e", "unicode") == "ａｂｃ de"
    assert clean("Ａ，Ｂ。", "slimpajama") == "ａ，ｂ。"
