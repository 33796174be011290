"""Parse a JSON line in bounded memory, and repair a line whose only faults lie beside its text.

Most lines are parsed by ``orjson``. Two kinds of line take the slow path here:

* A large line with very many small values would become Python objects of forty times its size. ``msgspec`` checks its
  grammar and decodes only the fields that are asked for, so it costs about its own size.
* A line with ``NaN``, ``Infinity``, a number beyond the range of a double or a lone surrogate is not strict JSON.
  :func:`repaired` writes null for such numbers, as JavaScript and pydantic do, and U+FFFD for such surrogates, and
  leaves every other byte as it is. It costs a few passes over the line.

Rejected: Python's ``json`` for such lines (its objects take the same memory, it limits digits and depth, and what it
writes is not the bytes that came in).
"""

from __future__ import annotations

import codecs
import math
import re
import sys
from functools import cache
from typing import Any

import msgspec
import numpy as np
import orjson

__all__ = [
    "BEYOND_INTEGERS",
    "LARGE_LINE",
    "NotStrictJson",
    "decode_deep",
    "exact_integer",
    "parse",
    "parse_large",
    "repaired",
    "strict",
    "utf8_fault",
    "value_as_written",
]

LARGE_LINE = 1 << 17
"""Lines from this size on are looked at before they are parsed."""

MANY_VALUES = 1 << 18
"""A line that may hold more values than this, of about 100 bytes each as Python objects, is not parsed whole."""

MOST_FIELDS = 1 << 19
"""Fields of a record and of its inner objects, all of which are held when the record is written: about 200 MB."""

BEYOND_INTEGERS = 2.0**63
"""Integers from this magnitude on may take more than 64 bits."""

NESTING = 1 << 11
_CHUNK = 1 << 20

_NUMBER = rb"-?(?<![0-9.])(?:[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+|[0-9]{300,}(?:\.[0-9]+)?)"
"""Numbers that may be beyond the range of a double. They are matched in linear time: no digit begins a second try."""

_PAIR_OR_SURROGATE = (
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|NaN|-?Infinity"
)
_WORDS = re.compile(_PAIR_OR_SURROGATE)
_WORDS_AND_NUMBERS = re.compile(_PAIR_OR_SURROGATE + b"|" + _NUMBER)
_EXPONENT = re.compile(rb"[eE][+-]?[0-9]{2}")
_DIGITS = 100
"""Of 300 digits in a row at least this many fill a block of this size."""


class NotStrictJson(ValueError):
    """A large line is not strict JSON; the message says why."""


def parse(line: bytes | memoryview, paths: tuple[tuple[str, ...], ...]) -> Any:
    """The value of a line; of a large one with very many values only what lies at ``paths`` and its surroundings.

    Raises ``orjson.JSONDecodeError`` or :class:`NotStrictJson`, both of which are ``ValueError``.
    """
    return orjson.loads(line) if len(line) < LARGE_LINE else parse_large(bytes(line), paths)


def parse_large(
    line: bytes, paths: tuple[tuple[str, ...], ...], many_values: int = MANY_VALUES, most_fields: int = MOST_FIELDS
) -> Any:
    """:func:`parse` for a line of any size; one of more than ``most_fields`` fields is refused."""
    if sum(map(line.count, (b",", b":", b"[", b"{"))) <= many_values:
        return orjson.loads(line)
    if utf8_fault(line) is not None:
        raise NotStrictJson("not UTF-8")
    if _may_hold_huge_numbers(line):
        _, count = repaired(line)
        if count:
            raise NotStrictJson("a number beyond the range of a double, or another value that JSON does not have")
    if _crowded(line, most_fields):
        raise NotStrictJson(f"more than {most_fields:,} fields")
    try:
        return _at_paths(line, paths)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise NotStrictJson(str(fault)) from fault


def strict(line: bytes | memoryview, paths: tuple[tuple[str, ...], ...]) -> tuple[bytes | memoryview, Any, int]:
    """``line`` as strict JSON, its value as :func:`parse` gives it, and how many values had to be replaced."""
    try:
        return line, parse(line, paths), 0
    except ValueError:
        mended, count = repaired(bytes(line))
        return mended, parse(mended, paths), count


def utf8_fault(line: bytes) -> int | None:
    """The first byte of ``line`` that is not UTF-8, found out a megabyte at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = before = 0
    try:
        for start in range(0, len(line), _CHUNK):
            before = len(decoder.getstate()[0])
            decoder.decode(line[start : start + _CHUNK])
        start, before = len(line), len(decoder.getstate()[0])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as fault:
        return start - before + fault.start
    return None


def repaired(line: bytes, stand_in: bytes = rb"\ufffd") -> tuple[bytes, int]:
    """``line`` with null for numbers that JSON does not have and ``stand_in`` for lone surrogates; and how many.

    Other faults stay as they are.
    """
    huge = _may_hold_huge_numbers(line)
    if not (huge or b"NaN" in line or b"Infinity" in line or b"\\u" in line):
        return line, 0
    plain = _without_escaped_quotes(line)
    out = bytearray()
    done = counted = count = quotes = 0
    for match in (_WORDS_AND_NUMBERS if huge else _WORDS).finditer(plain):
        start, stop = match.span()
        quotes += plain.count(b'"', counted, start)
        counted = start
        token = match[0]
        if token.startswith(b"\\"):
            replacement = stand_in if quotes % 2 and len(token) == 6 else b""
        else:
            replacement = b"null" if quotes % 2 == 0 and _is_not_finite(token) else b""
        if replacement:
            out += line[done:start]
            out += replacement
            done, count = stop, count + 1
    return (bytes(out) + line[done:], count) if count else (line, 0)


def _without_escaped_quotes(line: bytes) -> bytes:
    """As long as ``line``, but each quote in it begins or ends a string, and each backslash begins another escape."""
    return line.replace(rb"\\", b"__").replace(rb"\"", b"__")


def _may_hold_huge_numbers(line: bytes) -> bool:
    """Whether there is anything like an exponent of two digits, or like 300 digits in a row."""
    if _EXPONENT.search(line):
        return True
    digits = np.frombuffer(line, dtype=np.uint8)[: len(line) // _DIGITS * _DIGITS] - np.uint8(ord("0")) < 10
    return bool(digits.reshape(-1, _DIGITS).all(axis=1).any())


def _is_not_finite(token: bytes) -> bool:
    return not math.isfinite(float(token))


def _crowded(line: bytes, most: int) -> bool:
    """Whether a record and its inner objects have more fields than can be held when it is written.

    Looked for a chunk at a time, with arrays of its size.
    """
    if line.count(b":") <= most:
        return False
    plain = np.frombuffer(_without_escaped_quotes(line), dtype=np.uint8)
    quotes = level = fields = 0
    for start in range(0, plain.size, _CHUNK):
        chunk = plain[start : start + _CHUNK]
        inside = (np.cumsum(chunk == ord('"'), dtype=np.int32) + quotes) & 1
        bracket = chunk | 0x20  # "[" and "{", "]" and "}" differ in this bit alone
        steps = ((bracket == ord("{")).astype(np.int32) - (bracket == ord("}"))) * (1 - inside)
        levels = np.cumsum(steps, dtype=np.int32) + level
        fields += int(((chunk == ord(":")) & (inside == 0) & (levels <= 2)).sum())
        quotes, level = int(inside[-1]), int(levels[-1])
    return fields > most


def _at_paths(json: bytes | msgspec.Raw, paths: tuple[tuple[str, ...], ...]) -> Any:
    """``json`` with the values at ``paths`` alone; of arrays and objects that no path leads into, an empty one."""
    start = bytes(memoryview(json)[:64]).lstrip(b" \t\r\n")[:1]
    if start != b"{":
        whole = decode_deep(_raw, json)
        start = bytes(whole).lstrip()[:1]
        return [] if start == b"[" else {} if start == b"{" else orjson.loads(bytes(whole))
    names = tuple(dict.fromkeys(path[0] for path in paths if path))
    found = decode_deep(_selecting(names), json)
    values: dict[str, object] = {}
    for number, name in enumerate(names):
        value = getattr(found, f"field_{number}")
        if value is not msgspec.UNSET:
            values[name] = _at_paths(value, tuple(path[1:] for path in paths if path[:1] == (name,)))
    return values


def exact_integer(value: Any, written: bytes | memoryview) -> Any:
    """``value``, or the integer that its JSON says where that takes more than 64 bits, which ``orjson`` makes a double.

    ``written``: the JSON of the value.
    """
    if isinstance(value, float) and abs(value) >= BEYOND_INTEGERS:
        digits = bytes(written).strip()
        if digits.removeprefix(b"-").isdigit():
            return int(digits)
    return value


def value_as_written(line: bytes, path: tuple[str, ...]) -> bytes:
    """The JSON of the value at a ``path`` of objects in ``line``, which is sound once it is :func:`repaired`."""
    found: Any = repaired(line)[0]
    for name in path:
        found = decode_deep(_selecting((name,)), found).field_0
    return bytes(found)


_raw: msgspec.json.Decoder[msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw)


@cache
def _selecting(names: tuple[str, ...]) -> msgspec.json.Decoder[Any]:
    """A decoder of objects that keeps the members of these names, as raw JSON, and checks the others."""
    fields = [(f"field_{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number in range(len(names))]
    rename = {f"field_{number}": name for number, name in enumerate(names)}
    return msgspec.json.Decoder(msgspec.defstruct("Selected", fields, rename=rename))


def decode_deep(decoder: msgspec.json.Decoder[Any], json: bytes | memoryview | msgspec.Raw) -> Any:
    """What ``decoder`` makes of ``json``, though it is nested deeper than Python's own limit allows."""
    try:
        return decoder.decode(json)
    except RecursionError:
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(usual + NESTING)
        try:
            return decoder.decode(json)
        finally:
            sys.setrecursionlimit(usual)
