"""The table between the pass over the text and everything after it: one row per record, in the order of the shard.

An Arrow file per piece, read through a memory map, so that an LSH work item touches only the one band it is about.
72 bytes of keys and 30 of the rest per record; a 110 GB shard is written in batches and never held. Rejected:
Parquet (band keys are random bits, nothing compresses, and a column costs a copy to read).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.storage.local_cache import local_copy
from slimpajama.text.shingles import SHINGLE_CHARACTERS

__all__ = [
    "BAD",
    "BATCH_ROWS",
    "DOCUMENT_ID",
    "SHORT",
    "SOUND",
    "Rows",
    "RowsWriter",
    "join_rows",
    "read_columns",
    "row_batches",
]

SOUND, SHORT, BAD = 0, 1, 2
"""Values of ``status``: a document that takes part, one below the length filter, a broken record."""

BATCH_ROWS = 1 << 18


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of n successive records; all arrays have length n but ``keys``, ``uint64[n, bands]``.

    ``bytes``: of the stored text, or of the broken record. ``cleaned``: cleaned characters, 0 if broken.
    ``document_ids``: the ids that the records themselves hold, if those are wanted. ``rewritten``: the record cannot be
    copied as it is, for its text changes or its line is not strict JSON.
    """

    ids: NDArray[np.uint64]
    sources: NDArray[np.uint8]
    status: NDArray[np.uint8]
    bytes: NDArray[np.int64]
    cleaned: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    document_ids: pa.Array | None = None


_FIELDS = [
    ("id", pa.uint64()),
    ("source", pa.uint8()),
    ("status", pa.uint8()),
    ("bytes", pa.int64()),
    ("cleaned_chars", pa.int64()),
    ("rewritten", pa.bool_()),
    ("in_lsh", pa.bool_()),
]
_BAND = "band_"
_ARRAYS = [name for name in Rows.__slots__ if name != "document_ids"]


DOCUMENT_ID = pa.field("document_id", pa.string())

ID_BYTES = 32 << 20
"""Document ids are gathered up to this size, whatever the number of rows."""


def _schema(bands: int, with_document_ids: bool) -> pa.Schema:
    last = [DOCUMENT_ID] if with_document_ids else []
    return pa.schema([*_FIELDS, *last, *((f"{_BAND}{band}", pa.uint64()) for band in range(bands))])


@dataclass(slots=True)
class RowsWriter:
    """Appends rows to an Arrow file; small batches are gathered to ``batch_rows``."""

    file: Any
    bands: int
    with_document_ids: bool = False
    batch_rows: int = BATCH_ROWS
    _waiting: list[Rows] = field(default_factory=list)
    _count: int = 0
    _id_bytes: int = 0
    _writer: Any = None

    def __enter__(self) -> RowsWriter:
        self._writer = pa.ipc.new_file(self.file, _schema(self.bands, self.with_document_ids))
        return self

    def append(self, rows: Rows) -> None:
        """Add rows after those already there."""
        self._waiting.append(rows)
        self._count += rows.ids.size
        self._id_bytes += 0 if rows.document_ids is None else rows.document_ids.nbytes
        if self._count >= self.batch_rows or self._id_bytes >= ID_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._count:
            ids, sources, status, sizes, cleaned, rewritten, keys = (
                np.concatenate([getattr(rows, name) for rows in self._waiting]) for name in _ARRAYS
            )
            in_lsh = (status == SOUND) & (cleaned >= SHINGLE_CHARACTERS)
            columns = [pa.array(one) for one in (ids, sources, status, sizes, cleaned, rewritten, in_lsh)]
            if self.with_document_ids:
                columns.append(pa.concat_arrays([rows.document_ids for rows in self._waiting]))
            columns += [pa.array(one) for one in np.ascontiguousarray(keys.T)]
            self._writer.write_batch(pa.record_batch(columns, _schema(self.bands, self.with_document_ids)))
        self._waiting.clear()
        self._count = self._id_bytes = 0

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def join_rows(paths: Sequence[Path], file: Any, bands: int, with_document_ids: bool = False) -> None:
    """Write the rows of several files as one, in their order; a batch is in memory at a time."""
    with pa.ipc.new_file(file, _schema(bands, with_document_ids)) as writer:
        for path in paths:
            with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as part:
                for number in range(part.num_record_batches):
                    writer.write_batch(part.get_batch(number))


def row_batches(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """The named columns of a rows file, batch by batch, as arrays over the memory map where possible.

    Document ids come as Arrow's array. The others stay unread: nobody touches them. (Arrow's choice of fields would
    read ahead, at a greater cost.)
    """
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            yield [_array(batch.column(name)) for name in columns]


def _array(column: pa.Array) -> Any:
    if column.type == DOCUMENT_ID.type:
        return column
    if not pa.types.is_boolean(column.type):
        values: NDArray[Any] = column.to_numpy()
        return values
    bits = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    unpacked = np.unpackbits(bits, count=column.offset + len(column), bitorder="little")
    return unpacked[column.offset :].view(np.bool_)


def read_columns(path: Path, columns: Sequence[str]) -> list[NDArray[Any]]:
    """The named columns of a whole rows file."""
    batches = list(row_batches(path, columns))
    if not batches:
        with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
            return [np.empty(0, dtype=file.schema.field(name).type.to_pandas_dtype()) for name in columns]
    return [np.concatenate([batch[index] for batch in batches]) for index in range(len(columns))]
