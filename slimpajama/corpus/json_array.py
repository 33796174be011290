"""One JSON array of records, as ``.json`` files hold, turned into lines without moving a byte.

Bytes are replaced in place: the comma after an element becomes a line end, the brackets of the array and the line ends
inside elements become spaces. Whatever reads lines then reads elements, and a position still is an offset in the
decoded file. Only brackets, quotes, commas and escapes are looked at, by one regular expression search for each, so the
time is linear and the memory a few numbers. An element is judged later, as a line is. Text behind the array, a brace
that nothing opened and an array that is not closed are faults of the file: beyond them nothing tells where a record
begins. Rejected: parsing the file whole (memory), and a compiled kernel (half a minute of compilation).
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import Literal

from slimpajama.corpus.decoding import ShardBytes
from slimpajama.corpus.pieces import ShardFile

__all__ = ["ArrayLines", "holds_array"]

_IGNORED = b" \t\r\n\0\x1e\xef\xbb\xbf"
"""Bytes that may stand around an array: whitespace, padding, and marks at the beginning of a text."""

_AROUND = re.compile(rb"[^ \t\r\n\0]")
_BETWEEN = re.compile(rb'["\[\]{},\n\r]')
_IN_STRING = re.compile(rb'["\\\n\r]')

_QUOTE, _BACKSLASH, _COMMA, _LINE_END, _SPACE, _CONTROL = b'"\\,\n \x01'
_ARRAY, _ARRAY_END = b"[]"


def holds_array(file: ShardFile, truncated: Literal["stop", "keep"] = "stop") -> bool:
    """Whether the first byte that matters is a ``[``; reads no further than it must."""
    block = memoryview(bytearray(1 << 12))
    with closing(ShardBytes(file, truncated)) as content:
        while read := content.read_into(block):
            rest = bytes(block[:read]).lstrip(_IGNORED)
            if rest:
                return rest[0] == _ARRAY
    return False


class ArrayLines:
    """The bytes of ``source`` with each element of its array on a line; ``inside``: it begins at an element."""

    def __init__(self, source: ShardBytes, *, inside: bool) -> None:
        self._source = source
        self._depth = int(inside)
        self._in_string = False
        self._escaped = False

    @property
    def broke_off(self) -> bool:
        """Whether the stream ended at a fault that is to be overlooked."""
        return self._source.broke_off

    def read_into(self, target: memoryview) -> int:
        """As :meth:`ShardBytes.read_into`."""
        read = self._source.read_into(target)
        if not read and self._depth and not self.broke_off:
            self._source.break_off("its JSON array is not closed")
        return self._marked(target[:read])

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _marked(self, block: memoryview) -> int:
        """Mark the elements in ``block``; returns how many bytes of it precede a fault: all, where there is none."""
        position = 0
        while position < len(block):
            if self._in_string:
                position = self._through_string(block, position)
                continue
            found = (_BETWEEN if self._depth else _AROUND).search(block, position)
            if not found:
                break
            position = found.start()
            fault = self._mark_between(block, position) if self._depth else self._mark_around(block, position)
            if fault:
                self._source.break_off(fault)
                return position
            position += 1
        return len(block)

    def _through_string(self, block: memoryview, position: int) -> int:
        if self._escaped:
            self._escaped = False
            if block[position] not in b"\n\r":
                return position + 1
        found = _IN_STRING.search(block, position)
        if not found:
            return len(block)
        position = found.start()
        if block[position] == _QUOTE:
            self._in_string = False
        elif block[position] == _BACKSLASH:
            self._escaped = True
        else:
            block[position] = _CONTROL  # as wrong in a string as a line end, but it does not end the line
        return position + 1

    def _mark_between(self, block: memoryview, position: int) -> str:
        """Mark one byte of the array that is in no string; returns what is wrong with it."""
        byte = block[position]
        if byte == _QUOTE:
            self._in_string = True
        elif byte in b"{[":
            self._depth += 1
        elif byte in b"}]":
            if self._depth == 1:
                if byte != _ARRAY_END:
                    return "its JSON array holds a } that nothing opened"
                block[position] = _LINE_END
            self._depth -= 1
        elif byte == _COMMA:
            if self._depth == 1:
                block[position] = _LINE_END
        else:
            block[position] = _SPACE
        return ""

    def _mark_around(self, block: memoryview, position: int) -> str:
        """Mark one byte that is in no array; returns what is wrong with it."""
        if block[position] == _ARRAY:
            self._depth = 1
        elif block[position] not in _IGNORED:
            return "its JSON array is followed by something else"
        block[position] = _SPACE
        return ""
