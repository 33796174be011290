"""Words of a cleaned text as 32-bit numbers, in place of its code points.

A word is what stands between white space. Han, Hiragana, Katakana, Thai, Lao, Khmer and Burmese are written without
spaces: each of their characters is a word by itself, or else a Chinese document would be one word and have no shingle.
A word's number is a hash of 32 bits, so a shingle of words is hashed by the same kernel as one of characters. It waits
for each character, about 1.5 ns, which is less than the permutations saved. Rejected: Unicode's default word boundaries
(they need a dictionary for just these scripts, and no tool of the field uses them), and 64-bit numbers (a shingle's
hash has 32 bits, and a second kernel would be compiled).
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel

__all__ = ["WORD_CLASSES", "words_as_units"]

_ORDINARY, _SPACE, _ALONE = 0, 1, 2

_WITHOUT_SPACES = (
    (0x0E00, 0x0F00),  # Thai, Lao
    (0x1000, 0x10A0),  # Burmese
    (0x1780, 0x1800),  # Khmer
    (0x2E80, 0x2FE0),  # radicals of Han
    (0x3005, 0x3008),
    (0x3021, 0x3030),
    (0x3038, 0x3100),  # numerals of Han, Hiragana, Katakana
    (0x31F0, 0x3200),  # Katakana
    (0x3400, 0x4DC0),
    (0x4E00, 0xA000),
    (0xA9E0, 0xAA00),  # Burmese
    (0xAA60, 0xAA80),
    (0xF900, 0xFB00),
    (0xFF66, 0xFFA0),  # half-width Katakana
    (0x1AFF0, 0x1B170),  # Hiragana, Katakana
)
"""Ranges of code points; all from U+20000 on are Han, too."""

_HAN_BEYOND = np.uint32(0x20000)


def _word_classes() -> NDArray[np.uint8]:
    classes = np.zeros(int(_HAN_BEYOND), dtype=np.uint8)
    for start, stop in _WITHOUT_SPACES:
        classes[start:stop] = _ALONE
    for match in re.finditer(r"\s", "".join(map(chr, range(0x3001)))):
        classes[match.start()] = _SPACE
    return classes


WORD_CLASSES = _word_classes()
"""``uint8[0x20000]``: 1 for white space, 2 for a character that is a word by itself."""

_START = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)


@kernel
def words_as_units(points: NDArray[np.uint32], classes: NDArray[np.uint8]) -> int:
    """Overwrite ``points`` by the numbers of their words, and return how many. ``classes`` are ``WORD_CLASSES``.

    A word's number is the upper half of a chain of its code points: mixed in, multiplied, shifted.
    """
    count = 0
    word = _START
    inside = False
    for at in range(points.shape[0]):
        point = points[at]
        kind = classes[point] if point < _HAN_BEYOND else np.uint8(_ALONE)
        if kind != _ORDINARY and inside:
            points[count] = np.uint32((word * _FACTOR) >> _HALF)
            count += 1
            inside = False
        if kind != _SPACE:
            if not inside:
                word = _START
            word = (word ^ np.uint64(point)) * _FACTOR
            word ^= word >> _HALF
            inside = True
            if kind == _ALONE:
                points[count] = np.uint32((word * _FACTOR) >> _HALF)
                count += 1
                inside = False
    if inside:
        points[count] = np.uint32((word * _FACTOR) >> _HALF)
        count += 1
    return count
