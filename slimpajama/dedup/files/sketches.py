"""The table between the pass over the text and everything after it: one row per record, in the order of the shard.

An Arrow file per piece, read through a memory map, so that an LSH work item touches only the one band it is about.
72 bytes of keys and 46 of the rest per record, and a byte per permutation where removals are checked; a 110 GB shard is
written in batches and never held. Rejected: Parquet (band keys are random bits, nothing compresses, and a column costs
a copy to read).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.files.arrow_columns import column_array
from slimpajama.storage.local_cache import local_copy

__all__ = [
    "BAD",
    "BATCH_ROWS",
    "CONTAMINATED",
    "DOCUMENT_ID",
    "MINIMA",
    "RANK",
    "SHORT",
    "SOUND",
    "RowShape",
    "Rows",
    "RowsWriter",
    "join_rows",
    "read_columns",
    "row_batches",
]

SOUND, SHORT, BAD, CONTAMINATED = 0, 1, 2, 3
"""Values of ``status``: a document that takes part, one below the length filter, a broken record, and a document that
is removed because it holds evaluation items."""

BATCH_ROWS = 1 << 18


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of n successive records; all arrays have length n but ``keys``, ``uint64[n, bands]``.

    ``bytes``: of the stored text, or of the broken record. ``cleaned``: cleaned characters, 0 if broken.
    ``document_ids``: the ids that the records themselves hold, if those are wanted. ``rewritten``: the record cannot be
    copied as it is, for its text changes or its line is not strict JSON. ``hashes`` ``uint64[n, 2]``: of the cleaned
    text. ``minima`` ``uint8[n, bands * rows]``: the low byte of each value of the signature, where removals are
    checked. ``ranks`` ``uint64[n, r]``: what documents are preferred by, where that is more than their ids.
    """

    ids: NDArray[np.uint64]
    sources: NDArray[np.uint8]
    status: NDArray[np.uint8]
    bytes: NDArray[np.int64]
    cleaned: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    keys: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    minima: NDArray[np.uint8] | None = None
    ranks: NDArray[np.uint64] | None = None
    document_ids: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class RowShape:
    """Which columns rows have: how many ``bands``, bytes of ``minima`` (0: none) and ``ranks``; and document ids."""

    bands: int
    minima: int = 0
    ranks: int = 0
    document_ids: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The columns of a rows file: those that every run has, then what the settings ask for, then the bands."""
        ranks = [(f"{RANK}{rank}", pa.uint64()) for rank in range(self.ranks)]
        minima = [(MINIMA, pa.binary(self.minima))] if self.minima else []
        ids = [DOCUMENT_ID] if self.document_ids else []
        bands = [(f"{_BAND}{band}", pa.uint64()) for band in range(self.bands)]
        return pa.schema([*_FIELDS, *ranks, *minima, *ids, *bands])


_FIELDS = [
    ("id", pa.uint64()),
    ("source", pa.uint8()),
    ("status", pa.uint8()),
    ("bytes", pa.int64()),
    ("cleaned_chars", pa.int64()),
    ("rewritten", pa.bool_()),
    ("in_lsh", pa.bool_()),
    ("hash_low", pa.uint64()),
    ("hash_high", pa.uint64()),
]
_BAND, RANK, MINIMA = "band_", "rank_", "minima"


DOCUMENT_ID = pa.field("document_id", pa.string())

ID_BYTES = 32 << 20
"""Document ids are gathered up to this size, whatever the number of rows."""


@dataclass(slots=True)
class RowsWriter:
    """Appends rows to an Arrow file; small batches are gathered to ``batch_rows``."""

    file: Any
    shape: RowShape
    batch_rows: int = BATCH_ROWS
    _waiting: list[Rows] = field(default_factory=list)
    _count: int = 0
    _id_bytes: int = 0
    _writer: Any = None

    def __enter__(self) -> RowsWriter:
        self._writer = pa.ipc.new_file(self.file, self.shape.schema)
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
            self._writer.write_batch(pa.record_batch(self._columns(), self.shape.schema))
        self._waiting.clear()
        self._count = self._id_bytes = 0

    def _columns(self) -> list[pa.Array]:
        waiting = self._waiting
        status = np.concatenate([rows.status for rows in waiting])
        keys = np.concatenate([rows.keys for rows in waiting])
        hashes = np.concatenate([rows.hashes for rows in waiting])
        sound = status == SOUND
        hashes[~sound] = 0
        columns = [
            np.concatenate([rows.ids for rows in waiting]),
            np.concatenate([rows.sources for rows in waiting]),
            status,
            np.concatenate([rows.bytes for rows in waiting]),
            np.concatenate([rows.cleaned for rows in waiting]),
            np.concatenate([rows.rewritten for rows in waiting]),
            sound & keys.any(axis=1),
            *np.ascontiguousarray(hashes.T),
        ]
        if self.shape.ranks:
            ranks = np.concatenate([rows.ranks for rows in waiting if rows.ranks is not None])
            columns.extend(np.ascontiguousarray(ranks.T))
        arrays = [pa.array(column) for column in columns]
        if self.shape.minima:
            minima = np.concatenate([rows.minima for rows in waiting if rows.minima is not None])
            buffers = [None, pa.py_buffer(minima)]
            arrays.append(pa.Array.from_buffers(pa.binary(self.shape.minima), minima.shape[0], buffers))
        if self.shape.document_ids:
            arrays.append(pa.concat_arrays([rows.document_ids for rows in waiting]))
        return arrays + [pa.array(band) for band in np.ascontiguousarray(keys.T)]

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def join_rows(paths: Sequence[Path], file: Any, shape: RowShape) -> None:
    """Write the rows of several files as one, in their order; a batch is in memory at a time."""
    with pa.ipc.new_file(file, shape.schema) as writer:
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
    return column if column.type == DOCUMENT_ID.type else column_array(column)


def read_columns(path: Path, columns: Sequence[str]) -> list[NDArray[Any]]:
    """The named columns of a whole rows file."""
    batches = list(row_batches(path, columns))
    if not batches:
        with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
            return [_array(pa.array([], file.schema.field(name).type)) for name in columns]
    return [np.concatenate([batch[index] for batch in batches]) for index in range(len(columns))]
