"""Output lines cut out of the lines of the input and put together anew by a kernel: the fast path of writing.

Of a line that :func:`~slimpajama.corpus.rebuilt_line.rebuilt_line` would rebuild without any doubt, the kernel copies
the same bytes to the same places: the text, the members of ``meta``, other members behind them, the name and the
counts. It does so for lines that the first pass found sound, so it looks for quotes and brackets alone; a line that has
changed since gives other bytes, which are thrown away with their part when its digest is compared, but no place outside
the line is ever read. Whatever is rare is left to ``rebuilt_line``, the slow twin: names with escapes, names that occur
twice or are taken, a ``meta`` that is no object, many members. About 3 GB/s, thirty times the twin.
Rejected: validating the line once more (a fifth of the time that compressing takes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.json_members import (
    MOST_MEMBERS,
    are_equal,
    has_twice,
    is_name,
    is_space,
    mentions,
    object_members,
    skip_spaces,
)
from slimpajama.corpus.json_strings import Place
from slimpajama.corpus.rebuilt_line import ESCAPED_ASCII
from slimpajama.engine.kernels import kernel
from slimpajama.text.vector_bytes import WIDTH, copy_bytes

__all__ = ["ByteTable", "room_for", "splice_lines", "splice_scratch"]

_WIDTH = np.uint64(WIDTH)
_ONE = np.uint64(1)
_NONE = np.uint64(0)
_QUOTE, _COMMA, _COLON, _OPEN_OBJECT = 34, 44, 58, 123

_META = np.frombuffer(b"meta", dtype=np.uint8)
_NULL = np.frombuffer(b"null", dtype=np.uint8)
_SET_NAME = np.frombuffer(b"redpajama_set_name", dtype=np.uint8)
_DUPLICATES = np.frombuffer(b"duplicates", dtype=np.uint8)
_ESCAPED_ASCII = np.frombuffer(ESCAPED_ASCII, dtype=np.uint8)
_BEFORE_TEXT = np.frombuffer(b'{"text":', dtype=np.uint8)
_BEFORE_META = np.frombuffer(b',"meta":{', dtype=np.uint8)
_BEFORE_NAME = np.frombuffer(b'"redpajama_set_name":', dtype=np.uint8)
_BEFORE_COUNTS = np.frombuffer(b',"duplicates":', dtype=np.uint8)
_END = np.frombuffer(b"}}\n", dtype=np.uint8)
_ADDED = _BEFORE_TEXT.size + _BEFORE_META.size + 1 + _BEFORE_NAME.size + _BEFORE_COUNTS.size + _END.size


@dataclass(frozen=True, slots=True)
class ByteTable:
    """Byte strings one behind the other: ``joined`` ``uint8[m]``, of which number i begins at ``bounds[i]``.

    ``bounds``: ``int64[n + 1]``.
    """

    joined: NDArray[np.uint8]
    bounds: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Sequence[bytes]) -> ByteTable:
        """The table of these."""
        joined = np.frombuffer(b"".join(strings), dtype=np.uint8)
        return cls(joined, np.cumsum([0, *map(len, strings)], dtype=np.int64))

    @property
    def longest(self) -> int:
        """The size of the longest."""
        return int(np.diff(self.bounds).max(initial=0))


def room_for(lines: int, size: int, names: ByteTable, counts: ByteTable) -> int:
    """Bytes that the output of so many lines of ``size`` bytes in all may take, and the kernel may overwrite."""
    return size + lines * (_ADDED + names.longest + counts.longest) + WIDTH


def splice_scratch() -> NDArray[np.uint64]:
    """Memory that :func:`splice_lines` works in."""
    return np.empty((2, MOST_MEMBERS, 4), dtype=np.uint64)


@kernel
def splice_lines(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    text_name: NDArray[np.uint8],
    keeps_label: bool,
    names: NDArray[np.uint8],
    name_bounds: NDArray[np.int64],
    name_numbers: NDArray[np.int64],
    counts: NDArray[np.uint8],
    count_bounds: NDArray[np.int64],
    count_numbers: NDArray[np.int64],
    scratch: NDArray[np.uint64],
    spliced: NDArray[np.bool_],
    target: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> None:
    """Write the output of lines ``data[starts[i]:stops[i]]`` one after the other; number i ends at ``target[ends[i]]``.

    Only lines for which ``spliced`` ``bool[n]`` is set are looked at; it is unset for those that are left to the slow
    twin, of which nothing is written. ``text_name``: the member that is the text. ``names`` are JSON strings and
    ``counts`` JSON objects, each with its bounds (:class:`ByteTable`) and the number of each line's; a line whose
    number of counts is -1 gets none. ``target`` has :func:`room_for` them; ``scratch`` is :func:`splice_scratch`.
    """
    written = _NONE
    for line in range(starts.shape[0]):
        if spliced[line]:
            name, count = name_numbers[line], count_numbers[line]
            counted = count >= 0
            found = _splice(
                data,
                np.uint64(starts[line]),
                np.uint64(stops[line]),
                text_name,
                keeps_label,
                names,
                np.uint64(name_bounds[name]),
                np.uint64(name_bounds[name + 1]),
                counts,
                counted,
                np.uint64(count_bounds[count]) if counted else _NONE,
                np.uint64(count_bounds[count + 1]) if counted else _NONE,
                scratch[0],
                scratch[1],
                target,
                written,
            )
            spliced[line] = found > written
            written = max(written, found)
        ends[line] = np.int64(written)


@kernel
def _splice(
    data: NDArray[np.uint8],
    start: Place,
    stop: Place,
    text_name: NDArray[np.uint8],
    keeps_label: bool,
    names: NDArray[np.uint8],
    name: Place,
    name_end: Place,
    counts: NDArray[np.uint8],
    counted: bool,
    count: Place,
    count_end: Place,
    members: NDArray[np.uint64],
    inner: NDArray[np.uint64],
    target: NDArray[np.uint8],
    written: Place,
) -> Place:
    """Write one line from ``target[written]`` on; returns where it ends, or 0 where it is left to the slow twin."""
    start = skip_spaces(data, start, stop)
    number, at = object_members(data, start, stop, members)
    if number < 0 or skip_spaces(data, at, stop) < stop:
        return _NONE
    text = meta = -1
    for i in range(number):
        if text < 0 and is_name(data, members[i, 0], members[i, 1], text_name):
            text = i
        elif meta < 0 and is_name(data, members[i, 0], members[i, 1], _META):
            meta = i
    if text < 0 or data[members[text, 2]] != _QUOTE or has_twice(data, members, number):
        return _NONE
    others = number - 1 - (1 if meta >= 0 else 0)
    begin = end = _NONE  # of the members of meta, without white space
    is_object = False
    if meta >= 0:
        begin, end = members[meta, 2], members[meta, 3]
        if data[begin] == _OPEN_OBJECT:
            is_object = True
            begin = skip_spaces(data, begin + _ONE, end)
            end -= _ONE
            while end > begin and is_space(data[end - _ONE]):
                end -= _ONE
        elif not is_name(data, begin, end, _NULL):
            return _NONE
    if is_object and mentions(data, begin, end, _ESCAPED_ASCII):
        return _NONE
    joined = others > 0 or (
        is_object and (mentions(data, begin, end, _SET_NAME) or (counted and mentions(data, begin, end, _DUPLICATES)))
    )
    inside = 0
    label = -1
    if joined and is_object:
        inside, _ = object_members(data, members[meta, 2], members[meta, 3], inner)
        if inside < 0 or has_twice(data, inner, inside):
            return _NONE
        for i in range(inside):
            if is_name(data, inner[i, 0], inner[i, 1], _SET_NAME):
                label = i
            elif counted and is_name(data, inner[i, 0], inner[i, 1], _DUPLICATES):
                return _NONE
    if joined:
        for i in range(number):
            if i == text or i == meta:  # noqa: SIM109 - numba has no such tuples
                continue
            if is_name(data, members[i, 0], members[i, 1], _SET_NAME):
                return _NONE
            if counted and is_name(data, members[i, 0], members[i, 1], _DUPLICATES):
                return _NONE
            for j in range(inside):
                if are_equal(data, members[i, 0], members[i, 1], inner[j, 0], inner[j, 1]):
                    return _NONE
    written = _copy(_BEFORE_TEXT, _NONE, np.uint64(_BEFORE_TEXT.shape[0]), target, written)
    written = _copy(data, members[text, 2], members[text, 3], target, written)
    written = _copy(_BEFORE_META, _NONE, np.uint64(_BEFORE_META.shape[0]), target, written)
    if joined:
        for i in range(inside):
            if i != label:
                written = _copy_member(data, inner[i], target, written)
        for i in range(number):
            if i != text and i != meta:
                written = _copy_member(data, members[i], target, written)
    elif is_object and end > begin:
        written = _copy(data, begin, end, target, written)
        target[written] = _COMMA
        written += _ONE
    written = _copy(_BEFORE_NAME, _NONE, np.uint64(_BEFORE_NAME.shape[0]), target, written)
    if keeps_label and label >= 0 and data[inner[label, 2]] == _QUOTE:
        written = _copy(data, inner[label, 2], inner[label, 3], target, written)
    else:
        written = _copy(names, name, name_end, target, written)
    if counted:
        written = _copy(_BEFORE_COUNTS, _NONE, np.uint64(_BEFORE_COUNTS.shape[0]), target, written)
        written = _copy(counts, count, count_end, target, written)
    return _copy(_END, _NONE, np.uint64(_END.shape[0]), target, written)


@kernel
def _copy_member(
    data: NDArray[np.uint8], member: NDArray[np.uint64], target: NDArray[np.uint8], written: Place
) -> Place:
    """A member with its quotes, and a comma behind it."""
    written = _copy(data, member[0] - _ONE, member[1] + _ONE, target, written)
    target[written] = _COLON
    written = _copy(data, member[2], member[3], target, written + _ONE)
    target[written] = _COMMA
    return written + _ONE


@kernel
def _copy(data: NDArray[np.uint8], begin: Place, end: Place, target: NDArray[np.uint8], written: Place) -> Place:
    """Copy ``data[begin:end]``; up to ``WIDTH`` bytes behind it may be overwritten. Returns where it ends."""
    size = np.uint64(data.shape[0])
    stop = written + (end - begin)
    while begin < end and begin + _WIDTH <= size:
        copy_bytes(data, begin, target, written)
        begin += _WIDTH
        written += _WIDTH
    while begin < end:
        target[written] = data[begin]
        begin += _ONE
        written += _ONE
    return stop
