"""What the compiled kernels must know of Unicode, read off the running Python once per process (about 20 ms).

``FOLD`` answers, per code point, what ``lower()``, deletion of ``string.punctuation`` and ``\\s`` make of it;
``NFC_CLASS`` answers whether it can break NFC. Both come from ``str``, ``re`` and ``unicodedata`` themselves, so the
kernels agree with the Python they run under, whatever its Unicode version. Rejected: a table file in the package
(it would disagree with the next Python).
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CASE_LIMIT",
    "DELETED",
    "NEEDS_PYTHON",
    "NFC_LIMIT",
    "NFC_UNSURE",
    "combining_classes",
    "fold_table",
    "nfc_classes",
    "non_starters",
    "punctuation_table",
    "unfolded_table",
]

CASE_LIMIT = 0x20000
"""No code point at or above this has a lower case, is punctuation of ``string.punctuation`` or white space."""

NFC_LIMIT = 0x30000
"""Every code point at or above this is a starter that NFC leaves alone."""

DELETED = 0xFFFFFFFF
NEEDS_PYTHON = 0xFFFFFFFE
NFC_UNSURE = 255

_EXPANDS = 0x130  # LATIN CAPITAL LETTER I WITH DOT ABOVE: the only lower case of two code points
_FULL_WIDTH = 0xFEE0
_BLOCK = 256
_CONTEXTUAL = 0x3A3  # GREEK CAPITAL LETTER SIGMA: its lower case depends on its neighbours


@functools.cache
def unfolded_table() -> NDArray[np.uint32]:
    """``uint32[CASE_LIMIT]``: every code point as it is."""
    table: NDArray[np.uint32] = np.arange(CASE_LIMIT, dtype=np.uint32)
    return table


@functools.cache
def punctuation_table() -> NDArray[np.uint32]:
    """As :func:`fold_table`, with ``DELETED`` for all punctuation of Unicode and the full-width forms of ASCII's."""
    table: NDArray[np.uint32] = fold_table().copy()
    for point in range(CASE_LIMIT):
        if unicodedata.category(chr(point)).startswith("P"):
            table[point] = DELETED
    for mark in string.punctuation:
        table[ord(mark) + _FULL_WIDTH] = DELETED
    return table


@functools.cache
def fold_table() -> NDArray[np.uint32]:
    """``uint32[CASE_LIMIT]``: the lower-cased code point, 32 for white space, ``DELETED`` or ``NEEDS_PYTHON``."""
    alphabet = _text(np.arange(CASE_LIMIT))
    lowered = alphabet.replace(chr(_EXPANDS), " ").replace(chr(_CONTEXTUAL), " ").lower()
    table: NDArray[np.uint32] = np.frombuffer(lowered.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).copy()
    for match in re.finditer(r"\s", alphabet):
        table[match.start()] = 32
    for mark in string.punctuation:
        table[ord(mark)] = DELETED
    table[[_EXPANDS, _CONTEXTUAL]] = NEEDS_PYTHON
    return table


@functools.cache
def nfc_classes() -> NDArray[np.uint8]:
    """``uint8[NFC_LIMIT]``: the combining class of code points NFC keeps, ``NFC_UNSURE`` of those it may change.

    The quick check of Unicode Standard Annex 15: a text is in NFC if none is unsure and no class other than 0
    is lower than the one before it. Unsure are those that NFC replaces and those that may join the one before.
    """
    table = np.zeros(NFC_LIMIT, dtype=np.uint8)
    joins_the_one_before = []
    for point in _points_of_interest():
        char = chr(point)
        table[point] = unicodedata.combining(char)
        parts = unicodedata.decomposition(char).split()
        if parts and not parts[0].startswith("<"):
            if unicodedata.normalize("NFC", char) != char:
                table[point] = NFC_UNSURE
            elif len(parts) == 2:
                joins_the_one_before.append(int(parts[1], 16))
    table[joins_the_one_before] = NFC_UNSURE
    # Hangul vowels and trailing consonants join by arithmetic, not by the table.
    table[0x1161:0x1176] = NFC_UNSURE
    table[0x11A8:0x11C3] = NFC_UNSURE
    return table


@functools.cache
def combining_classes() -> NDArray[np.uint8]:
    """``uint8[NFC_LIMIT]``: the canonical combining class, 0 of a starter."""
    table = np.zeros(NFC_LIMIT, dtype=np.uint8)
    for point in _points_of_interest():
        table[point] = unicodedata.combining(chr(point))
    return table


@functools.cache
def non_starters() -> NDArray[np.bool_]:
    """``bool[NFC_LIMIT]``: whether canonical ordering may move the code point, or what it decomposes into."""
    table = np.zeros(NFC_LIMIT, dtype=np.bool_)
    for point in _points_of_interest():
        table[point] = unicodedata.combining(unicodedata.normalize("NFD", chr(point))[0]) != 0
    return table


@functools.cache
def _points_of_interest() -> list[int]:
    """All code points below ``NFC_LIMIT`` but those of blocks in which none is combining or decomposes.

    Such a block stays as it is between marks of the highest class and of the lowest, which any mark would pass.
    """
    points: list[int] = []
    marked = np.empty((NFC_LIMIT, 3), dtype=np.int64)
    marked[:] = 0x345, 0, 0x334  # of the highest class, and of the lowest
    marked[:, 1] = np.arange(NFC_LIMIT)
    text = _text(marked)
    for first in range(0, NFC_LIMIT, _BLOCK):
        if not unicodedata.is_normalized("NFD", text[3 * first : 3 * (first + _BLOCK)]):
            points += range(first, first + _BLOCK)
    return points


def _text(points: NDArray[np.int64]) -> str:
    return points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
