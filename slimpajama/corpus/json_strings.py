"""Strings of JSON in kernels: where one ends, whether it is sound, and what it says.

Sound means what ``orjson`` accepts: UTF-8 without surrogates, escapes that exist, surrogate escapes in pairs, no
control characters. Bytes are looked at 32 at a time, and one by one only where one of them is special, so English runs
at some 3 GB/s and Chinese, where every character is, at a fifth of that. Rejected: a table-driven automaton for every
byte (0.5 GB/s on all text).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.text.vector_bytes import WIDTH, copy_bytes, escape_mask, special_mask, trailing_zeros

__all__ = ["ROOM", "Place", "end_of_string", "unescape_strings"]

Place: TypeAlias = Any
"""An index as ``uint64``: numba wraps signed ones around like Python does, which costs a third of the speed."""

ROOM = WIDTH
"""Bytes behind its result that :func:`unescape_strings` may overwrite."""

_WIDTH = np.uint64(WIDTH)
_ONE = np.uint64(1)
_QUOTE, _BACKSLASH = 34, 92


@kernel
def end_of_string(data: NDArray[np.uint8], at: Place, stop: Place) -> tuple[Place, bool]:
    """Where the string whose first character is at ``at`` has its closing quote, and whether it has escapes.

    The place is ``stop`` where it is not ended before, or no string of JSON in UTF-8 without lone surrogates.
    """
    size = np.uint64(data.shape[0])
    escaped = False
    while at < stop:
        if at + _WIDTH <= size:
            mask = special_mask(data, at)
            if mask == 0:
                at += _WIDTH
                continue
            at += trailing_zeros(mask)
            if at >= stop:
                return stop, escaped
        byte = data[at]
        if byte == _QUOTE:
            return at, escaped
        if byte == _BACKSLASH:
            escaped = True
            length = _length_of_escape(data, at, stop)
            if length == 0:
                return stop, escaped
            at += length
        elif byte < 0x20:
            return stop, escaped
        elif byte < 0x80:
            at += _ONE
        else:
            length = _length_of_character(data, at, stop)
            if length == 0:
                return stop, escaped
            at += length
    return stop, escaped


@kernel
def _length_of_escape(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    """The bytes of the escape, or of the two of a surrogate pair, that begin at ``at``; 0 where it is none."""
    none, short, long = np.uint64(0), np.uint64(2), np.uint64(6)
    if at + short > stop:
        return none
    byte = data[at + _ONE]
    if byte != 117:  # not \u
        # " \ / b f n r t
        known = byte == 34 or byte == 92 or byte == 47 or byte == 98
        known = known or byte == 102 or byte == 110 or byte == 114 or byte == 116
        return short if known else none
    point = _code_unit(data, at, stop)
    if point < 0 or (point >= 0xDC00 and point < 0xE000):
        return none
    if point < 0xD800 or point >= 0xE000:
        return long
    second = _code_unit(data, at + long, stop)
    return np.uint64(12) if second >= 0xDC00 and second < 0xE000 else none


@kernel
def _code_unit(data: NDArray[np.uint8], at: Place, stop: Place) -> int:
    r"""The number of the escape ``\uXXXX`` at ``at``, or -1 where there is none."""
    if at + np.uint64(6) > stop or data[at] != _BACKSLASH or data[at + _ONE] != 117:
        return -1
    point = 0
    for i in range(2, 6):
        byte = np.int64(data[at + np.uint64(i)])
        if byte >= 48 and byte <= 57:
            digit = byte - 48
        else:
            letter = byte | 0x20
            if letter < 97 or letter > 102:
                return -1
            digit = letter - 87
        point = point << 4 | digit
    return point


@kernel
def _length_of_character(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    """The bytes of the character at ``at``, which is not ASCII, or 0 where it is not UTF-8."""
    none = np.uint64(0)
    first = data[at]
    length = np.uint64(2) if first < 0xE0 else np.uint64(3) if first < 0xF0 else np.uint64(4)
    if first < 0xC2 or first > 0xF4 or at + length > stop:
        return none
    second = data[at + _ONE]
    if second & 0xC0 != 0x80:
        return none
    if first == 0xE0 and second < 0xA0:  # could be shorter
        return none
    if first == 0xED and second >= 0xA0:  # a surrogate
        return none
    if first == 0xF0 and second < 0x90:  # could be shorter
        return none
    if first == 0xF4 and second >= 0x90:  # beyond U+10FFFF
        return none
    for i in range(2, length):
        if data[at + np.uint64(i)] & 0xC0 != 0x80:
            return none
    return length


@kernel
def unescape_strings(
    data: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    target: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
) -> None:
    """Write the values of the sound JSON strings ``data[begins[i]:ends[i]]``, quotes included, one after the other.

    They go to ``target[starts[i]:stops[i]]``, which both are filled in. ``target`` needs room for all that lies between
    the quotes, and ``ROOM`` more.
    """
    written = np.uint64(0)
    for number in range(begins.shape[0]):
        starts[number] = np.int64(written)
        written = _unescape(data, np.uint64(begins[number] + 1), np.uint64(ends[number] - 1), target, written)
        stops[number] = np.int64(written)


@kernel
def _unescape(data: NDArray[np.uint8], at: Place, stop: Place, target: NDArray[np.uint8], written: Place) -> Place:
    size = np.uint64(data.shape[0])
    while at < stop:
        if at + _WIDTH <= size:
            copy_bytes(data, at, target, written)
            mask = escape_mask(data, at)
            plain = _WIDTH if mask == 0 else trailing_zeros(mask)
            plain = min(plain, stop - at)
            at += plain
            written += plain
            if mask == 0 or at >= stop:
                continue
        byte = data[at]
        if byte != _BACKSLASH:
            target[written] = byte
            at += _ONE
            written += _ONE
            continue
        byte = data[at + _ONE]
        if byte != 117:
            target[written] = _escaped(byte)
            at += np.uint64(2)
            written += _ONE
            continue
        point = _code_unit(data, at, stop)
        at += np.uint64(6)
        if point >= 0xD800 and point < 0xDC00:
            point = 0x10000 + ((point - 0xD800) << 10) + (_code_unit(data, at, stop) - 0xDC00)
            at += np.uint64(6)
        if point < 0x80:
            target[written] = point
            written += _ONE
        elif point < 0x800:
            target[written] = 0xC0 | point >> 6
            target[written + _ONE] = 0x80 | point & 0x3F
            written += np.uint64(2)
        elif point < 0x10000:
            target[written] = 0xE0 | point >> 12
            target[written + _ONE] = 0x80 | point >> 6 & 0x3F
            target[written + np.uint64(2)] = 0x80 | point & 0x3F
            written += np.uint64(3)
        else:
            target[written] = 0xF0 | point >> 18
            target[written + _ONE] = 0x80 | point >> 12 & 0x3F
            target[written + np.uint64(2)] = 0x80 | point >> 6 & 0x3F
            target[written + np.uint64(3)] = 0x80 | point & 0x3F
            written += np.uint64(4)
    return written


@kernel
def _escaped(letter: int) -> int:
    """What a backslash and ``letter`` stand for."""
    if letter == 110:
        return 10
    if letter == 116:
        return 9
    if letter == 114:
        return 13
    if letter == 98:
        return 8
    if letter == 102:
        return 12
    return letter
