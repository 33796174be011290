"""The members of a JSON object in kernels: where their names and values lie, in a line that is known to be sound.

It looks for quotes and brackets alone, at some 10 GB/s on long texts. Of a line that is not sound it finds something or
nothing, but no place outside the line is ever given or asked for more than a vector.
Rejected: recording the members while the first pass validates lines (they would have to be kept until the second).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.json_strings import Place
from slimpajama.engine.kernels import kernel
from slimpajama.text.vector_bytes import WIDTH, quote_mask, trailing_zeros

__all__ = ["MOST_MEMBERS", "are_equal", "has_twice", "is_name", "is_space", "mentions", "object_members", "skip_spaces"]

MOST_MEMBERS = 48
"""Of an object; they are compared with each other."""

_WIDTH = np.uint64(WIDTH)
_ONE = np.uint64(1)
_QUOTE, _BACKSLASH, _COMMA, _COLON = 34, 92, 44, 58
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY = 123, 125, 91, 93


@kernel
def object_members(data: NDArray[np.uint8], at: Place, stop: Place, members: NDArray[np.uint64]) -> tuple[int, Place]:
    """How many members the object at ``at`` has, or -1 where it is none or one for the slow twin; and where it ends.

    Of each, where its name begins and ends between the quotes, and its value.
    """
    count = 0
    if at >= stop or data[at] != _OPEN_OBJECT:
        return -1, at
    at = skip_spaces(data, at + _ONE, stop)
    if at < stop and data[at] == _CLOSE_OBJECT:
        return 0, at + _ONE
    while True:
        at = skip_spaces(data, at, stop)
        if at >= stop or data[at] != _QUOTE or count == MOST_MEMBERS:
            return -1, at
        members[count, 0] = at + _ONE
        at = _skip_string(data, at + _ONE, stop)
        members[count, 1] = at - _ONE
        for i in range(members[count, 0], at):
            if data[np.uint64(i)] == _BACKSLASH:
                return -1, at
        at = skip_spaces(data, at, stop)
        if at >= stop or data[at] != _COLON:
            return -1, at
        at = skip_spaces(data, at + _ONE, stop)
        members[count, 2] = at
        at = _skip_value(data, at, stop)
        if at >= stop:
            return -1, at
        members[count, 3] = at
        count += 1
        at = skip_spaces(data, at, stop)
        if at >= stop:
            return -1, at
        if data[at] == _CLOSE_OBJECT:
            return count, at + _ONE
        if data[at] != _COMMA:
            return -1, at
        at += _ONE


@kernel
def _skip_value(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    """The end of the value at ``at``; ``stop`` where it does not end before."""
    if at >= stop:
        return stop
    first = data[at]
    if first == _QUOTE:
        return _skip_string(data, at + _ONE, stop)
    if first == _OPEN_OBJECT or first == _OPEN_ARRAY:  # noqa: SIM109
        depth = 0
        while at < stop:
            byte = data[at]
            at += _ONE
            if byte == _QUOTE:
                at = _skip_string(data, at, stop)
            elif byte == _OPEN_OBJECT or byte == _OPEN_ARRAY:  # noqa: SIM109
                depth += 1
            elif byte == _CLOSE_OBJECT or byte == _CLOSE_ARRAY:  # noqa: SIM109
                depth -= 1
                if depth == 0:
                    return at
        return stop
    while at < stop:
        byte = data[at]
        if byte == _COMMA or byte == _CLOSE_OBJECT or is_space(byte):  # noqa: SIM109
            return at
        at += _ONE
    return stop


@kernel
def _skip_string(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    """Behind the closing quote of the string whose first character is at ``at``; ``stop`` where it is not closed."""
    size = np.uint64(data.shape[0])
    while at < stop:
        if at + _WIDTH <= size:
            mask = quote_mask(data, at)
            if mask == 0:
                at += _WIDTH
                continue
            at += trailing_zeros(mask)
            if at >= stop:
                return stop
        byte = data[at]
        at += _ONE
        if byte == _QUOTE:
            return at
        if byte == _BACKSLASH:
            at += _ONE
    return stop


@kernel
def is_space(byte: Any) -> bool:
    """Whether a byte is white space of JSON."""
    return bool(byte == 32 or byte == 9 or byte == 10 or byte == 13)


@kernel
def skip_spaces(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    """The first place from ``at`` on that is no white space, or ``stop``."""
    while at < stop and is_space(data[at]):
        at += _ONE
    return at


@kernel
def is_name(data: NDArray[np.uint8], begin: Place, end: Place, name: NDArray[np.uint8]) -> bool:
    """Whether ``data[begin:end]`` is ``name``."""
    if end - begin != np.uint64(name.shape[0]):
        return False
    for i in range(name.shape[0]):  # noqa: SIM110 - numba has no generators
        if data[begin + np.uint64(i)] != name[i]:
            return False
    return True


@kernel
def are_equal(data: NDArray[np.uint8], begin: Place, end: Place, other: Place, other_end: Place) -> bool:
    """Whether ``data[begin:end]`` is ``data[other:other_end]``."""
    if end - begin != other_end - other:
        return False
    for i in range(end - begin):  # noqa: SIM110
        if data[begin + np.uint64(i)] != data[other + np.uint64(i)]:
            return False
    return True


@kernel
def has_twice(data: NDArray[np.uint8], members: NDArray[np.uint64], count: int) -> bool:
    """Whether two of the first ``count`` members have the same name."""
    for i in range(count):
        for j in range(i):
            if are_equal(data, members[i, 0], members[i, 1], members[j, 0], members[j, 1]):
                return True
    return False


@kernel
def mentions(data: NDArray[np.uint8], begin: Place, end: Place, name: NDArray[np.uint8]) -> bool:
    """Whether the bytes of ``name`` occur anywhere."""
    size = np.uint64(name.shape[0])
    first = name[0]
    while begin + size <= end:
        if data[begin] == first and is_name(data, begin, begin + size, name):
            return True
        begin += _ONE
    return False
