"""Words are what the slow twin says; a text without spaces has as many as characters."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.text.words import WORD_CLASSES, words_as_units
from tests.twins import LONG_TEXT, word_number, words_of

MIXED = st.text(alphabet="ab é\t\n\u3000\u2028中あア가ไກខမ𠮷ｱ。\x1c", max_size=40)


def numbers(text: str) -> list[int]:
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).copy()
    found: list[int] = points[: words_as_units(points, WORD_CLASSES)].tolist()
    return found


@given(MIXED | LONG_TEXT)
def test_words_become_the_numbers_of_the_twin(text: str) -> None:
    assert numbers(text) == [word_number(word) for word in words_of(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" ", []),
        ("one", ["one"]),
        ("one two  three", ["one", "two", "three"]),
        ("한국어는 띄어 쓴다", ["한국어는", "띄어", "쓴다"]),
        ("中文没有空格", list("中文没有空格")),
        ("python3で書く code", ["python3", "で", "書", "く", "code"]),
        ("ภาษา ไทย", list("ภาษาไทย")),
        ("tab\tand\u2003wide\u3000space", ["tab", "and", "wide", "space"]),
    ],
)
def test_examples(text: str, words: list[str]) -> None:
    assert words_of(text) == words
    assert numbers(text) == [word_number(word) for word in words]


def test_numbers_are_these_forever() -> None:
    assert numbers("the quick brown 狐") == [word_number(word) for word in ("the", "quick", "brown", "狐")]
    assert numbers("the quick brown 狐") == [1506246214, 67758885, 1410878331, 2226318561]


def test_every_letter_of_the_scripts_without_spaces_is_a_word() -> None:
    names = re.compile(
        r"(CJK (UNIFIED|COMPATIBILITY) IDEOGRAPH|HIRAGANA LETTER|KATAKANA LETTER|HALFWIDTH KATAKANA LETTER"
        r"|THAI CHARACTER|LAO LETTER|KHMER LETTER|MYANMAR LETTER)"
    )
    points = [point for point in range(0x40000) if names.match(unicodedata.name(chr(point), ""))]
    assert len(points) > 90_000
    assert all(len(numbers(chr(point) * 2)) == 2 for point in points)


def test_white_space_is_that_of_python() -> None:
    spaces = {point for point in range(0x110000) if chr(point).isspace()}
    assert {int(point) for point in np.flatnonzero(WORD_CLASSES == 1)} == spaces
