"""Metadata columns: from the values in records to a hash for each document, and which hash is which value.

A row of a store with columns has the 64-bit hash of each value, eight bytes a column; a store without columns has no
such fields. Values become text: a string is itself, numbers and booleans are as JSON writes them, and what is missing,
null or empty is ``(none)``; a list is ``(list)`` and an object ``(object)``, whose members a longer path can name.
Hashes are blake2b, so that no record can be made to pass for another value. Costs a tuple and a look-up a document.
Memory: 65,536 values of 200 characters a column, whatever records hold; a column that has more values is refused.
Rejected: numbering the values of a source (its shards are read apart, and would have to be renumbered).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import read_json, write_json
from slimpajama.storage.file_record import FileRecord

__all__ = [
    "LIST",
    "LONGEST_SHOWN",
    "MOST_VALUES",
    "NONE",
    "OBJECT",
    "ColumnValues",
    "column_field",
    "is_whole",
    "read_values",
    "record_path",
    "value_hash",
    "value_in",
    "value_text",
    "with_columns",
]

NONE, LIST, OBJECT = "(none)", "(list)", "(object)"

MOST_VALUES = 65_536
"""Distinct values of a column in a source."""

LONGEST_SHOWN = 200
"""Characters of a value that are kept to show it."""


def with_columns(row: np.dtype[Any], columns: Sequence[str]) -> np.dtype[Any]:
    """The type of a row that has the hashes of the values of ``columns``, too."""
    return np.dtype([*row.descr, *((column_field(column), "<u8") for column in columns)]) if columns else row


def column_field(column: str) -> str:
    """The field of a column in a row; the header of a ``.npy`` is ASCII."""
    return f"column {ascii(column)[1:-1]}"


def record_path(column: str) -> tuple[str, ...]:
    """The path of objects that reaches the value of a column, or the list that it is in."""
    names = column.split(".")
    places = [at for at, name in enumerate(names) if _is_place(name)]
    return tuple(names[: max(1, places[0])] if places else names)


def value_in(found: Any, column: str) -> Any:
    """The value of a column, given what lies at its :func:`record_path`; ``None`` where there is none."""
    for name in column.split(".")[len(record_path(column)) :]:
        if isinstance(found, list) and _is_place(name):
            found = found[int(name)] if int(name) < len(found) else None
        elif isinstance(found, dict):
            found = found.get(name)
        else:
            return None
    return found


def _is_place(name: str) -> bool:
    return name.isascii() and name.isdigit()


def value_text(value: Any) -> str:
    """A value as the name of a part: never empty."""
    if value is None or value == "":
        return NONE
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return LIST
    if isinstance(value, dict):
        return OBJECT
    # An integer may have more than 64 bits.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else orjson.dumps(value).decode()


def value_hash(text: str) -> int:
    """The hash of a value in the rows of a store."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def is_whole(shown: str) -> bool:
    """Whether a value is kept as it is, and not cut."""
    return len(shown) <= LONGEST_SHOWN


class ColumnValues:
    """The values of ``columns`` in the documents of one ``source`` that were seen so far."""

    def __init__(self, source: str, columns: Sequence[str], most: int = MOST_VALUES) -> None:
        self._source, self._columns, self._most = source, tuple(columns), most
        self._hashes: tuple[dict[str, int], ...] = tuple({} for _ in columns)
        self._shown: tuple[dict[int, str], ...] = tuple({} for _ in columns)

    def add(self, found: Sequence[tuple[Any, ...]]) -> Iterator[tuple[str, NDArray[np.uint64]]]:
        """The field and the hashes ``uint64[n]`` of each column, of what lies at the :func:`record_path` of each in n
        records. Raises :class:`ConfigError` where a column has too many values."""
        for number, column in enumerate(self._columns):
            hashes = self._hashes[number]
            values = np.empty(len(found), dtype=np.uint64)
            for at, one in enumerate(found):
                text = value_text(value_in(one[number], column))
                known = hashes.get(text)
                values[at] = self._new(number, text) if known is None else known
            yield column_field(column), values

    def _new(self, number: int, text: str) -> int:
        value = value_hash(text)
        if is_whole(text):
            self._hashes[number][text] = value
        self._remember(number, value, text if is_whole(text) else f"{text[:LONGEST_SHOWN]}…")
        return value

    def _remember(self, number: int, value: int, shown: str) -> None:
        known = self._shown[number]
        known[value] = shown
        if len(known) > self._most:
            column = self._columns[number]
            raise ConfigError(
                f"source {self._source!r} has more than {self._most:,} values of {column}, which is too many to split "
                f"it by; leave {column} out of tokens.columns and of split_by, or keep it of other sources alone, as "
                f"in --column SOURCE:{column}"
            )

    def merge(self, values: Mapping[str, Mapping[str, str]]) -> None:
        """Take what :func:`read_values` found of another shard. Raises :class:`ConfigError` as :meth:`add` does."""
        for number, column in enumerate(self._columns):
            for value, shown in values[column].items():
                self._remember(number, int(value, 16), shown)

    def shown(self, column: str) -> dict[int, str]:
        """The values of a column as they can be shown, by their hashes."""
        return self._shown[self._columns.index(column)]

    def write(self, path: Path) -> FileRecord:
        """Write them, for :func:`read_values`."""
        return write_json(
            path,
            {
                column: {f"{value:016x}": shown for value, shown in sorted(known.items())}
                for column, known in zip(self._columns, self._shown, strict=True)
            },
        )


def read_values(path: Path) -> Mapping[str, Mapping[str, str]]:
    """The values in a file that :meth:`ColumnValues.write` wrote: by column and hash, as they can be shown."""
    values: Mapping[str, Mapping[str, str]] = read_json(path)
    return values
