"""The cleaning the published pipeline hashes: lower case, no ASCII punctuation, single spaces.

By default exactly ``re.sub(r"\\s+", " ", text.lower().translate(delete string.punctuation).strip())``
(``get_features`` of the SlimPajama scripts), done by a compiled kernel that decodes UTF-8, folds and compacts in one
pass at about 600 MB/s of ASCII. Two letters need more than a table (the Turkish dotted capital I, and capital sigma at
a word's end): a text that holds one is lower-cased by Python first. Other cleanings are other tables for the same
kernel.
Rejected: byte-wise lower-casing (wrong beyond ASCII), and keeping the cleaned text (four bytes a character).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.text.unicode_tables import (
    DELETED,
    NEEDS_PYTHON,
    NFC_UNSURE,
    fold_table,
    nfc_classes,
    punctuation_table,
    unfolded_table,
)

__all__ = ["NOT_IN_TABLE", "NOT_NFC", "Cleaning", "Folding", "clean", "clean_code_points", "fold_utf8", "folding_of"]

NOT_IN_TABLE = -1
"""Verdict of :func:`fold_utf8`: the text holds a letter whose lower case is not one code point by itself."""
NOT_NFC = -2
"""Verdict of :func:`fold_utf8`: the text may not be in NFC."""

_ONE, _TWO, _THREE, _FOUR = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
_NO_POINT = np.uint32(0xFFFFFFFD)
_DELETED = np.uint32(DELETED)
_NEEDS_PYTHON = np.uint32(NEEDS_PYTHON)
_NFC_UNSURE = np.uint8(NFC_UNSURE)
_ALWAYS_NFC = np.uint32(0x300)


Cleaning = Literal["slimpajama", "unicode", "none"]


@dataclass(frozen=True, slots=True)
class Folding:
    """What :func:`fold_utf8` makes of code points. ``table``: of each; ``space``: the one of which a run becomes one,
    and none at either end."""

    table: NDArray[np.uint32]
    space: np.uint32


@functools.cache
def folding_of(cleaning: Cleaning) -> Folding:
    """The folding of a value of the setting ``cleaning``."""
    if cleaning == "none":
        return Folding(unfolded_table(), _NO_POINT)
    return Folding(punctuation_table() if cleaning == "unicode" else fold_table(), np.uint32(32))


@kernel
def fold_utf8(
    utf8: NDArray[np.uint8],
    cleaned: NDArray[np.uint32],
    fold: NDArray[np.uint32],
    nfc: NDArray[np.uint8],
    check_nfc: bool,
    space: np.uint32,
) -> int:
    """Clean valid UTF-8 ``uint8[n]`` into code points ``cleaned[:result]`` (room for n is needed, plus one).

    ``fold`` and ``space`` are of a :class:`Folding`.

    Returns the number of cleaned code points, or ``NOT_IN_TABLE`` or ``NOT_NFC`` (only if ``check_nfc``).
    """
    # Indices are unsigned: numba wraps signed ones around like Python does, which costs a third of the speed.
    size = np.uint64(utf8.shape[0])
    read = np.uint64(0)
    written = np.uint64(0)
    after_space = _ONE
    last_class = np.uint8(0)
    while read < size:
        byte = utf8[read]
        if byte < 128:
            # Branch-free: the character is always stored, and overwritten by the next if it does not count.
            letter = fold[byte]
            cleaned[written] = letter
            is_space = np.uint64(letter == space)
            is_kept = np.uint64(letter != _DELETED)
            written += is_kept & ~(is_space & after_space)
            after_space = is_space | (after_space & ~is_kept)
            last_class = np.uint8(0)
            read += _ONE
            continue
        if byte < 0xE0:
            point = (np.uint32(byte & 0x1F) << 6) | np.uint32(utf8[read + _ONE] & 0x3F)
            read += _TWO
        elif byte < 0xF0:
            point = (
                (np.uint32(byte & 0x0F) << 12)
                | (np.uint32(utf8[read + _ONE] & 0x3F) << 6)
                | np.uint32(utf8[read + _TWO] & 0x3F)
            )
            read += _THREE
        else:
            point = (
                (np.uint32(byte & 0x07) << 18)
                | (np.uint32(utf8[read + _ONE] & 0x3F) << 12)
                | (np.uint32(utf8[read + _TWO] & 0x3F) << 6)
                | np.uint32(utf8[read + _THREE] & 0x3F)
            )
            read += _FOUR
        if check_nfc:
            point_class = np.uint8(0)
            if point >= _ALWAYS_NFC and point < nfc.shape[0]:
                point_class = nfc[point]
                if point_class != 0 and (point_class == _NFC_UNSURE or point_class < last_class):
                    return NOT_NFC
            last_class = point_class
        folded = np.uint32(point)
        if point < fold.shape[0]:
            folded = fold[point]
            if folded == _NEEDS_PYTHON:
                return NOT_IN_TABLE
        cleaned[written] = folded
        is_space = np.uint64(folded == space)
        is_kept = np.uint64(folded != _DELETED)
        written += is_kept & ~(is_space & after_space)
        after_space = is_space | (after_space & ~is_kept)
    if written > 0 and cleaned[written - _ONE] == space:
        written -= _ONE
    return np.int64(written)  # type: ignore[no-any-return]


def clean_code_points(text: str, cleaning: Cleaning = "slimpajama") -> NDArray[np.uint32]:
    """The cleaned text's code points, ``uint32[n]``. Lone surrogates raise ``UnicodeEncodeError``."""
    folding = folding_of(cleaning)
    utf8 = np.frombuffer(text.encode(), dtype=np.uint8)
    cleaned: NDArray[np.uint32] = np.empty(utf8.size + 1, dtype=np.uint32)
    count: int = fold_utf8(utf8, cleaned, folding.table, nfc_classes(), False, folding.space)
    return clean_code_points(text.lower(), cleaning) if count == NOT_IN_TABLE else cleaned[:count]


def clean(text: str, cleaning: Cleaning = "slimpajama") -> str:
    """Lower-case ``text``, delete ``string.punctuation``, make every run of white space one space, and strip.

    ``cleaning``: that of the settings; ``unicode`` deletes all of Unicode's punctuation, ``none`` changes nothing.
    The form on which documents are measured (the < 200 characters filter) and shingled; never what is written.
    Lone surrogates raise ``UnicodeEncodeError``: they cannot be stored as UTF-8.
    """
    return clean_code_points(text, cleaning).tobytes().decode("utf-32-le")
