"""Arrow values as values that JSON can hold; how each type is written is decided once, by the schema.

============================  =======================================================================
boolean, integer, string      as they are
float16, float32, float64     a number; NaN and the infinities are null, and counted
binary                        base64 text
decimal                       text, such as ``"1.50"``
date                          ``"2023-04-17"``
timestamp                     ``"2023-04-17T08:30:00.123456789"`` with the digits of its unit, and ``+00:00`` in UTC if
                              it has a time zone; any year
time                          ``"08:30:00.123"`` with the digits of its unit
duration                      ``"PT1.234567891S"`` with the digits of its unit
list, struct                  an array, an object
map                           an object; an array of ``[key, value]`` if keys are no strings or occur twice
dictionary, extension         as the values below them
UUID                          ``"123e4567-e89b-12d3-a456-426614174000"``
============================  =======================================================================

A value that its own type does not allow (text that is not UTF-8, a time of 25 hours) is counted too: text gets U+FFFD,
others become null. Work is done by column, with a Python object per value, as in Arrow's own ``to_pylist``. Rejected:
``to_pylist`` of whole rows, which fails on nanoseconds and on years beyond 9999, and turns binary into Python's words.
"""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["RowWriter", "is_text", "unwritable"]

MOST_LEVELS = 100
"""Levels of nesting; what is nested deeper cannot be written."""

_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}

Convert = Callable[[pa.Array], list[Any]]


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are text, also where each is stored once (dictionary encoding)."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view())


def unwritable(schema: pa.Schema) -> str:
    """Why records of this schema cannot be written as JSON, with the column's name; empty if they can."""
    writer = _Types()
    for name, kind in zip(schema.names, schema.types, strict=True):
        if schema.names.count(name) > 1:
            return f"column {name!r} occurs {schema.names.count(name)} times"
        try:
            writer.converter(kind)
        except _Unwritable as fault:
            return f"column {name!r} {fault}"
    return ""


class RowWriter:
    """Turns record batches of one schema into Python objects that JSON can hold."""

    def __init__(self, schema: pa.Schema) -> None:
        self._types = _Types()
        self._names = schema.names
        self._converters = [self._types.converter(kind) for kind in schema.types]

    def rows(self, batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], int]]:
        """Each row as an object, and how many of its values JSON cannot hold."""
        columns: list[list[Any]] = []
        counts = np.zeros(batch.num_rows, dtype=np.int64)
        for number, convert in enumerate(self._converters):
            before = self._types.replaced
            columns.append(convert(batch.column(number)))
            if self._types.replaced != before:
                counts += self._by_row(convert, batch.column(number))
        for index, values in enumerate(zip(*columns, strict=True)):
            yield dict(zip(self._names, values, strict=True)), int(counts[index])

    def _by_row(self, convert: Convert, column: pa.Array) -> list[int]:
        found = []
        for index in range(len(column)):
            before = self._types.replaced
            convert(column.slice(index, 1))
            found.append(self._types.replaced - before)
        return found


class _Unwritable(Exception):
    """A type cannot be written; the message continues a sentence that begins with the column's name."""


@dataclass(slots=True)
class _Types:
    """Converters by type. ``replaced`` counts the values that they could not write as they are."""

    replaced: int = field(default=0)

    def converter(self, kind: pa.DataType, level: int = 0) -> Convert:
        """How arrays of this type become lists. Raises :class:`_Unwritable`."""
        is_a = pa.types
        if level > MOST_LEVELS:
            raise _Unwritable(f"is nested more than {MOST_LEVELS} levels deep")
        if is_a.is_null(kind) or is_a.is_boolean(kind) or is_a.is_integer(kind):
            return _plain
        if is_a.is_floating(kind):
            return self._floats
        if is_text(kind) and not is_a.is_dictionary(kind):
            return self._strings
        if (
            is_a.is_binary(kind)
            or is_a.is_large_binary(kind)
            or is_a.is_fixed_size_binary(kind)
            or kind == pa.binary_view()
        ):
            return _base64
        if is_a.is_decimal(kind):
            return _decimals
        if is_a.is_date(kind):
            return self._dates
        if is_a.is_timestamp(kind):
            return lambda array: self._instants(array, kind.unit, "" if kind.tz is None else "+00:00")
        if is_a.is_time(kind):
            return lambda array: self._times(array, kind.unit)
        if is_a.is_duration(kind):
            return lambda array: _durations(array, kind.unit)
        return self._nested(kind, level)

    def _nested(self, kind: pa.DataType, level: int) -> Convert:
        is_a = pa.types
        if is_a.is_dictionary(kind):
            inner = self.converter(kind.value_type, level + 1)
            return lambda array: inner(array.dictionary_decode())
        if isinstance(kind, pa.BaseExtensionType):
            if kind.extension_name == "arrow.uuid":
                return lambda array: [value and str(uuid.UUID(bytes=value)) for value in array.storage.to_pylist()]
            inner = self.converter(kind.storage_type, level + 1)
            return lambda array: inner(array.storage)
        if is_a.is_struct(kind):
            names = [kind.field(number).name for number in range(kind.num_fields)]
            for name in names:
                if names.count(name) > 1:
                    raise _Unwritable(f"has a field {name!r} that occurs {names.count(name)} times")
            inners = [self.converter(kind.field(number).type, level + 1) for number in range(kind.num_fields)]
            return lambda array: _structs(array, names, inners)
        if is_a.is_map(kind):
            keys, items = self.converter(kind.key_type, level + 1), self.converter(kind.item_type, level + 1)
            named = is_text(kind.key_type)
            return lambda array: _maps(array, keys, items, named)
        if (
            is_a.is_list(kind)
            or is_a.is_large_list(kind)
            or is_a.is_fixed_size_list(kind)
            or is_a.is_list_view(kind)
            or is_a.is_large_list_view(kind)
        ):
            inner = self.converter(kind.value_type, level + 1)
            return lambda array: _lists(array, inner(array.flatten()))
        raise _Unwritable(f"is of type {kind}, which cannot be written as JSON")

    def _floats(self, array: pa.Array) -> list[Any]:
        values = _plain(array.cast(pa.float32()) if pa.types.is_float16(array.type) else array)
        wrong = [index for index, value in enumerate(values) if value is not None and not math.isfinite(value)]
        for index in wrong:
            values[index] = None
        self.replaced += len(wrong)
        return values

    def _strings(self, array: pa.Array) -> list[Any]:
        try:
            return _plain(array)
        except UnicodeDecodeError:
            stored = [value.as_buffer().to_pybytes() if value.is_valid else None for value in array]
        values = [None if one is None else one.decode("utf-8", "replace") for one in stored]
        self.replaced += sum(
            one is not None and value is not None and value.encode() != one
            for one, value in zip(stored, values, strict=True)
        )
        return values

    def _dates(self, array: pa.Array) -> list[Any]:
        if pa.types.is_date64(array.type):
            days = np.floor_divide(_numbers(array), 86_400_000)
        else:
            days = _numbers(array).astype(np.int64)
        return self._texts(array, days.astype("datetime64[D]"), "D")

    def _instants(self, array: pa.Array, unit: str, zone: str) -> list[Any]:
        values = self._texts(array, _numbers(array).astype(f"datetime64[{unit}]"), unit)
        return [value if value is None else value + zone for value in values] if zone else values

    def _texts(self, array: pa.Array, values: Any, unit: str) -> list[Any]:
        """ISO texts. The least number of all is no date in numpy."""
        return self._unless_wrong(array, _iso(values, unit), np.isnat(values))

    def _times(self, array: pa.Array, unit: str) -> list[Any]:
        numbers = _numbers(array).astype(np.int64)
        wrong = (numbers < 0) | (numbers >= 86_400 * 10 ** _DIGITS[unit])
        numbers[wrong] = 0
        texts = _iso(numbers.astype(f"datetime64[{unit}]"), unit)
        return self._unless_wrong(array, [text.partition("T")[2] for text in texts], wrong)

    def _unless_wrong(self, array: pa.Array, texts: list[Any], wrong: Any) -> list[Any]:
        there = array.is_valid().to_numpy(zero_copy_only=False)
        self.replaced += int((wrong & there).sum())
        return [text if fine else None for text, fine in zip(texts, (there & ~wrong).tolist(), strict=True)]


def _plain(array: pa.Array) -> list[Any]:
    values: list[Any] = array.to_pylist()
    return values


def _iso(values: Any, unit: Any) -> list[str]:
    texts: list[str] = np.datetime_as_string(values, unit=unit).tolist()
    return texts


def _numbers(array: pa.Array) -> Any:
    """The whole numbers below dates and times; 0 where there is none."""
    import pyarrow.compute as pc

    width = pa.int32() if array.type.bit_width == 32 else pa.int64()
    return pc.fill_null(array.view(width), 0).to_numpy(zero_copy_only=False)


def _base64(array: pa.Array) -> list[Any]:
    return [None if value is None else base64.b64encode(value).decode() for value in array.to_pylist()]


def _decimals(array: pa.Array) -> list[Any]:
    return [None if value is None else str(value) for value in array.to_pylist()]


def _durations(array: pa.Array, unit: str) -> list[Any]:
    digits = _DIGITS[unit]
    found: list[Any] = []
    for value in array.view(pa.int64()).to_pylist():
        if value is None:
            found.append(None)
            continue
        seconds, rest = divmod(abs(value), 10**digits)
        fraction = f".{rest:0{digits}d}" if digits else ""
        found.append(f"{'-' * (value < 0)}PT{seconds}{fraction}S")
    return found


def _lists(array: pa.Array, flat: list[Any]) -> list[Any]:
    import pyarrow.compute as pc

    found: list[Any] = []
    place = 0
    for length in pc.list_value_length(array).to_pylist():
        found.append(None if length is None else flat[place : place + length])
        place += length or 0
    return found


def _structs(array: pa.Array, names: list[str], inners: list[Convert]) -> list[Any]:
    columns = [convert(column) for convert, column in zip(inners, array.flatten(), strict=True)]
    rows = zip(*columns, strict=True) if columns else iter([()] * len(array))
    there = array.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if fine else None for row, fine in zip(rows, there, strict=True)]


def _maps(array: pa.Array, keys: Convert, items: Convert, named: bool) -> list[Any]:
    entries = array.cast(pa.large_list(pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])))
    flat = entries.flatten()
    pairs = [list(pair) for pair in zip(keys(flat.field(0)), items(flat.field(1)), strict=True)]
    found = _lists(entries, pairs)
    if not named:
        return found
    return [row if row is None or len({key for key, _ in row}) < len(row) else dict(row) for row in found]
