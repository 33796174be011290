"""NFC is Unicode's on every text, and no long run of marks reaches a sort by insertion."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.text.nfc import LONG_RUN, in_order_where_long, nfc
from slimpajama.text.unicode_tables import NFC_LIMIT, combining_classes, non_starters
from tests.twins import ALL_POINTS, COMPOSING, MARKS

SPLITTING = ["\u0344", "\u0f73", "\u0f75", "\u0f81", "\u0340", "\u0341", "\u0343"]
"""Marks that decompose, some of which are not marks by their own class."""

RUNS = st.text(st.sampled_from([*MARKS[:40], *MARKS[-40:], *SPLITTING]), min_size=LONG_RUN - 2, max_size=3 * LONG_RUN)


@given(st.text() | COMPOSING)
def test_it_is_unicodes_nfc(text: str) -> None:
    assert nfc(text) == unicodedata.normalize("NFC", text)


@given(st.lists(st.tuples(st.text(max_size=3) | COMPOSING, RUNS), max_size=4), st.text(max_size=3))
def test_it_is_unicodes_nfc_where_marks_are_stacked(parts: list[tuple[str, str]], end: str) -> None:
    text = "".join(before + run for before, run in parts) + end
    assert nfc(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("mark", SPLITTING)
def test_a_run_of_marks_that_decompose_is_long_too(mark: str) -> None:
    text = "a" + mark * LONG_RUN + "\u0316" * 5 + "\U000e0100" + mark * LONG_RUN
    assert nfc(text) == unicodedata.normalize("NFC", text)


def exchanges(text: str) -> int:
    """Steps of an insertion sort of the marks of ``text``, by their classes, as ``unicodedata`` sorts them."""
    steps = 0
    classes: list[int] = []
    for char in text:
        here = unicodedata.combining(char)
        position = len(classes)
        while here and position and classes[position - 1] > here:
            position -= 1
            steps += 1
        classes.insert(position, here)
    return steps


def test_what_is_left_to_an_insertion_sort_grows_with_the_text_and_not_with_its_square() -> None:
    left = []
    for size in (500, 1000, 2000, 4000):
        text = "a" + "\u0301" * size + "\u0316" * size + ("e" + "\u0301\u0316" * (LONG_RUN // 2 - 1)) * (size // 100)
        left.append(exchanges(in_order_where_long(text)) / len(text))
    assert max(left) <= LONG_RUN
    assert left[-1] <= 1.1 * left[0]
    assert exchanges("a" + "\u0301" * 500 + "\u0316" * 500) == 250_000, "what the text as it is would take"


def test_the_tables_are_unicodes() -> None:
    classes = np.zeros(0x110000, dtype=np.uint8)
    moved = np.zeros(0x110000, dtype=np.bool_)
    for point in ALL_POINTS:
        classes[point] = unicodedata.combining(chr(point))
        moved[point] = unicodedata.combining(unicodedata.normalize("NFD", chr(point))[0]) != 0
    assert np.array_equal(classes[:NFC_LIMIT], combining_classes())
    assert np.array_equal(moved[:NFC_LIMIT], non_starters())
    assert not classes[NFC_LIMIT:].any()
    assert not moved[NFC_LIMIT - 1 :].any()
