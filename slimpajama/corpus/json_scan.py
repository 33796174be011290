"""Strict validation of whole JSON lines by a compiled kernel, which finds where wanted values lie.

A line counts as sound only if all of it is JSON as ``orjson`` reads it: structure, numbers, escapes, surrogates and
UTF-8. Anything rare is left undecided and goes to the slow path (:mod:`slimpajama.corpus.records`), which is the judge
of all faults: a wanted name that occurs twice or may be written with an escape, numbers near the end of a double's
range, nesting beyond ``DEEPEST``, very many values. So the kernel must never call sound what the slow path would not
read to the same text, and may be as lazy as it likes about the rest. About 1.8 GB/s on text.
Rejected: a structural index of the whole block first, as simdjson makes (texts are long, so there is little structure).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.json_strings import Place, end_of_string
from slimpajama.engine.kernels import kernel

__all__ = ["BLANK", "SOUND", "UNDECIDED", "Names", "WantedValues", "match_names", "scan_lines", "scan_scratch"]

SOUND, BLANK, UNDECIDED = 0, 1, 2
"""Verdicts on a line: an object whose first wanted value is a string; nothing but white space; for the slow path."""

DEEPEST = 60
MOST_PATHS = 64
MOST_VALUES = 1 << 18
LONGEST_NUMBER = 200
"""Characters; with an exponent of two digits a number of these is still within a double's range."""

_ONE = np.uint64(1)
_QUOTE, _COMMA, _COLON = 34, 44, 58
_OPEN_OBJECT, _CLOSE_OBJECT, _OPEN_ARRAY, _CLOSE_ARRAY = 123, 125, 91, 93
_VALUE, _VALUE_OR_CLOSE, _KEY, _KEY_OR_CLOSE, _COMMA_OR_CLOSE = 0, 1, 2, 3, 4
_NO_PATH = np.uint64(0)


@dataclass(frozen=True, slots=True)
class Names:
    """Names in UTF-8, one behind the other: ``joined`` ``uint8[m]``, cut at ``stops`` ``int64[n]``."""

    joined: NDArray[np.uint8]
    stops: NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """A name with a lone surrogate is none that a sound line holds."""
        encoded = [name.encode("utf-8", "surrogatepass") for name in names]
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum([*map(len, encoded)], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class WantedValues:
    """Paths of names: all ``names`` of all paths, and ``path_stops`` ``int64[p]``, where each path's names end."""

    names: Names
    path_stops: NDArray[np.int64]

    @classmethod
    def of(cls, paths: Sequence[Sequence[str]]) -> WantedValues | None:
        """``None`` where there are more or longer paths than the kernel can look for."""
        if len(paths) > MOST_PATHS or any(len(path) > DEEPEST for path in paths):
            return None
        names = Names.of([name for path in paths for name in path])
        return cls(names, np.cumsum([len(path) for path in paths], dtype=np.int64))


def scan_scratch() -> NDArray[np.uint64]:
    """Memory that :func:`scan_lines` works in."""
    return np.empty((3, DEEPEST + 2), dtype=np.uint64)


@kernel
def scan_lines(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    names: NDArray[np.uint8],
    name_stops: NDArray[np.int64],
    path_stops: NDArray[np.int64],
    scratch: NDArray[np.uint64],
    spans: NDArray[np.int64],
    verdicts: NDArray[np.uint8],
) -> None:
    """Judge lines ``data[starts[i]:stops[i]]``: ``verdicts`` ``uint8[n]``.

    ``names``, ``name_stops`` (of the names) and ``path_stops`` are of :class:`WantedValues`. ``spans``
    ``int64[n, p, 2]``: where the JSON of each wanted value begins and ends in ``data``, -1 where a sound line has none.
    ``scratch`` is :func:`scan_scratch`.
    """
    for line in range(starts.shape[0]):
        start, stop = np.uint64(starts[line]), np.uint64(stops[line])
        found = spans[line]
        verdicts[line] = _scan_line(data, start, stop, names, name_stops, path_stops, scratch, found)
        if verdicts[line] == SOUND and (found[0, 0] < 0 or data[found[0, 0]] != _QUOTE):
            verdicts[line] = UNDECIDED


@kernel
def _scan_line(
    data: NDArray[np.uint8],
    at: Place,
    stop: Place,
    names: NDArray[np.uint8],
    name_stops: NDArray[np.int64],
    path_stops: NDArray[np.int64],
    scratch: NDArray[np.uint64],
    spans: NDArray[np.int64],
) -> int:
    # alive[d]: the paths whose first d names lead to the object that is open at depth d + 1; whole[d]: the paths
    # whose value is the container that is open at depth d; seen[d]: the paths whose name number d was found already.
    alive, whole, seen = scratch[0], scratch[1], scratch[2]
    paths = path_stops.shape[0]
    for path in range(paths):
        spans[path, 0] = spans[path, 1] = -1
    for level in range(DEEPEST + 1):
        seen[level] = _NO_PATH
    at = _skip_spaces(data, at, stop)
    if at >= stop:
        return BLANK
    if data[at] != _OPEN_OBJECT:
        return UNDECIDED
    at += _ONE
    objects = _ONE  # bit d: what is open at depth d + 1 is an object
    depth = 1
    alive[0] = ~_NO_PATH if paths >= MOST_PATHS else (_ONE << np.uint64(paths)) - _ONE
    whole[1] = _NO_PATH
    expected = _KEY_OR_CLOSE
    values = 0
    ending = _NO_PATH  # paths whose value comes next
    leading = _NO_PATH  # paths that lead into the value that comes next
    while True:
        at = _skip_spaces(data, at, stop)
        if at >= stop:
            return UNDECIDED
        byte = data[at]
        if expected == _COMMA_OR_CLOSE:
            if byte == _COMMA:
                expected = _KEY if objects & (_ONE << np.uint64(depth - 1)) else _VALUE
                ending = leading = _NO_PATH
                at += _ONE
                continue
            closing = _CLOSE_OBJECT if objects & (_ONE << np.uint64(depth - 1)) else _CLOSE_ARRAY
            if byte != closing:
                return UNDECIDED
        elif expected == _KEY or (expected == _KEY_OR_CLOSE and byte != _CLOSE_OBJECT):
            if byte != _QUOTE:
                return UNDECIDED
            begin = at + _ONE
            at, escaped = end_of_string(data, begin, stop)
            if at >= stop:
                return UNDECIDED
            ending = leading = _NO_PATH
            candidates = alive[depth - 1]
            if candidates:
                if escaped:
                    return UNDECIDED
                for path in range(paths):
                    bit = _ONE << np.uint64(path)
                    first = path_stops[path - 1] if path else 0
                    if candidates & bit and _is_name(data, begin, at, names, name_stops, first + depth - 1):
                        if seen[depth - 1] & bit:
                            return UNDECIDED
                        seen[depth - 1] |= bit
                        if first + depth == path_stops[path]:
                            ending |= bit
                        else:
                            leading |= bit
            at = _skip_spaces(data, at + _ONE, stop)
            if at >= stop or data[at] != _COLON:
                return UNDECIDED
            at += _ONE
            expected = _VALUE
            continue
        elif expected == _VALUE or (expected == _VALUE_OR_CLOSE and byte != _CLOSE_ARRAY):
            values += 1
            if values > MOST_VALUES:
                return UNDECIDED
            begin = at
            if byte == _OPEN_OBJECT or byte == _OPEN_ARRAY:  # noqa: SIM109 - numba has no such tuples
                if depth == DEEPEST:
                    return UNDECIDED
                bit = _ONE << np.uint64(depth)
                if byte == _OPEN_OBJECT:
                    objects |= bit
                    alive[depth] = leading
                    expected = _KEY_OR_CLOSE
                else:
                    objects &= ~bit
                    alive[depth] = _NO_PATH
                    expected = _VALUE_OR_CLOSE
                depth += 1
                whole[depth] = ending
                for path in range(paths):
                    if ending & (_ONE << np.uint64(path)):
                        spans[path, 0] = np.int64(begin)
                ending = leading = _NO_PATH
                at += _ONE
                continue
            if byte == _QUOTE:
                at, escaped = end_of_string(data, at + _ONE, stop)
                if at >= stop:
                    return UNDECIDED
                at += _ONE
            else:
                at = _end_of_scalar(data, at, stop)
                if at == begin:
                    return UNDECIDED
            if ending:
                for path in range(paths):
                    if ending & (_ONE << np.uint64(path)):
                        spans[path, 0], spans[path, 1] = np.int64(begin), np.int64(at)
            expected = _COMMA_OR_CLOSE
            continue
        # The innermost container ends here.
        at += _ONE
        if whole[depth]:
            for path in range(paths):
                if whole[depth] & (_ONE << np.uint64(path)):
                    spans[path, 1] = np.int64(at)
        depth -= 1
        if depth == 0:
            return SOUND if _skip_spaces(data, at, stop) >= stop else UNDECIDED
        expected = _COMMA_OR_CLOSE


@kernel
def _skip_spaces(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    while at < stop and (data[at] == 32 or data[at] == 9 or data[at] == 10 or data[at] == 13):
        at += _ONE
    return at


@kernel
def _is_name(
    data: NDArray[np.uint8],
    begin: Place,
    end: Place,
    names: NDArray[np.uint8],
    name_stops: NDArray[np.int64],
    number: int,
) -> bool:
    first = name_stops[number - 1] if number else 0
    size = name_stops[number] - first
    if np.int64(end - begin) != size:
        return False
    for i in range(size):  # noqa: SIM110 - numba has no generators
        if data[begin + np.uint64(i)] != names[first + i]:
            return False
    return True


@kernel
def _end_of_scalar(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    """The end of the number or word that begins at ``at``, or ``at`` where it is none or one for the slow path."""
    begin = at
    byte = data[at]
    if byte == 116 or byte == 110:  # true, null
        if at + np.uint64(4) > stop:
            return begin
        second, third, fourth = data[at + _ONE], data[at + np.uint64(2)], data[at + np.uint64(3)]
        if byte == 116:
            sound = second == 114 and third == 117 and fourth == 101
        else:
            sound = second == 117 and third == 108 and fourth == 108
        return at + np.uint64(4) if sound else begin
    if byte == 102:  # false
        if at + np.uint64(5) > stop:
            return begin
        sound = data[at + _ONE] == 97 and data[at + np.uint64(2)] == 108
        sound = sound and data[at + np.uint64(3)] == 115 and data[at + np.uint64(4)] == 101
        return at + np.uint64(5) if sound else begin
    if byte == 45:
        at += _ONE
    first = at
    at = _skip_digits(data, at, stop)
    if at == first or (data[first] == 48 and at - first > _ONE):
        return begin
    if at < stop and data[at] == 46:
        first = at + _ONE
        at = _skip_digits(data, first, stop)
        if at == first:
            return begin
    if at < stop and (data[at] == 101 or data[at] == 69):
        at += _ONE
        if at < stop and (data[at] == 43 or data[at] == 45):
            at += _ONE
        first = at
        at = _skip_digits(data, first, stop)
        if at == first or at - first > np.uint64(2):
            return begin
    return begin if at - begin > np.uint64(LONGEST_NUMBER) else at


@kernel
def _skip_digits(data: NDArray[np.uint8], at: Place, stop: Place) -> Place:
    while at < stop and data[at] >= 48 and data[at] <= 57:
        at += _ONE
    return at


@kernel
def match_names(
    data: NDArray[np.uint8],
    spans: NDArray[np.int64],
    names: NDArray[np.uint8],
    name_stops: NDArray[np.int64],
    verdicts: NDArray[np.uint8],
    owners: NDArray[np.int64],
) -> None:
    """Of each sound line, which of the names its second wanted value is, into ``owners`` ``int64[n]``.

    A line whose value is none of them, or is written with an escape, becomes undecided.
    """
    for line in range(verdicts.shape[0]):
        if verdicts[line] != SOUND:
            continue
        verdicts[line] = UNDECIDED
        begin, end = spans[line, 1, 0], spans[line, 1, 1]
        if begin < 0 or data[begin] != _QUOTE:
            continue
        for number in range(name_stops.shape[0]):
            if _is_name(data, np.uint64(begin + 1), np.uint64(end - 1), names, name_stops, number):
                verdicts[line] = SOUND
                owners[line] = number
                break
