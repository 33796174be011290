"""Rows of a Parquet shard, in batches that are small once they are decoded, whatever the file says of its size.

A file stores an equal value once, so 300 bytes may hold gigabytes. Rows are read ``ROWS`` at a time, and fewer where
they turn out to be large; the first row is read alone. A dictionary-encoded column keeps each value once in memory as
well, so there more rows are read, and cut by decoded size before they are decoded. The schema is checked when the shard
is first opened: whatever could not be written in the last stage is refused in the first. Rejected: reading every text
as a dictionary (Arrow copies the dictionary for each batch, fifty times slower on small batches).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.arrow_json import RowWriter, is_text, unwritable
from slimpajama.corpus.content import PartsCheck
from slimpajama.corpus.discovery import Piece
from slimpajama.corpus.fields import SET_NAME, Fields, id_text
from slimpajama.corpus.texts import Texts
from slimpajama.errors import InputChanged, ShardUnreadable
from slimpajama.storage.paths import is_remote, opened, path_of

__all__ = ["BATCH_BYTES", "KeptRow", "TextRows", "column_values", "kept_rows", "text_rows"]

BATCH_BYTES = 8 << 20
"""About how much of a table is held at a time; its rows may be large (a book each), or small and many."""

ROWS = 64
DICTIONARY_ROWS = 4096


@dataclass(frozen=True, slots=True)
class TextRows:
    """n rows from number ``first`` on. ``texts`` holds the bytes of each, none where it is null; ``null`` and
    ``not_utf8`` ``bool[n]`` mark what is no text. ``characters``: how many there are in all. ``column``: the texts as
    they were read; ``set_names``: the sources that rows of a mixed shard name; ``document_ids``: ids for people, and
    ``preferred``: what lies at the fields of that name, if those are wanted."""

    first: int
    texts: Texts
    null: NDArray[np.bool_]
    not_utf8: NDArray[np.bool_]
    characters: int
    column: pa.Array
    set_names: pa.Array
    document_ids: list[str | None]
    preferred: list[tuple[Any, ...]]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row as JSON can hold it, its text (``None`` if null, bytes if not UTF-8), and how many of its values had to be
    replaced."""

    text: str | bytes | None
    record: dict[str, Any]
    replaced: int


def text_rows(piece: Piece, fields: Fields, start: int = 0) -> Iterator[TextRows]:
    """The texts of a shard from row ``start`` on, and what else the first stage needs."""
    document_id = [fields.document_id] if fields.document_id else []
    source = [SET_NAME] if piece.mixed else []
    wanted = list(dict.fromkeys([fields.text, *source, *document_id, *fields.preferred]))
    row = start
    for batch in _read(piece, fields, wanted, start):
        column = _at(batch, fields.text)
        texts, null, not_utf8, characters = _utf8(column)
        names = _at(batch, SET_NAME) if piece.mixed else pa.nulls(batch.num_rows)
        ids = column_values(_at(batch, fields.document_id)) if fields.document_id else []
        preferred = list(zip(*(column_values(_at(batch, path)) for path in fields.preferred), strict=True))
        named = [id_text(value) for value in ids]
        yield TextRows(row, texts, null, not_utf8, characters, column, names, named, preferred)
        row += batch.num_rows


def kept_rows(
    piece: Piece, fields: Fields, positions: NDArray[np.int64], start: int = 0, check: PartsCheck | None = None
) -> Iterator[KeptRow]:
    """The rows at ``positions`` ``int64[n]`` (ascending), with all their columns; ``start``: a row before all.

    ``check`` is told all texts, those of a batch before its rows are given out.
    """
    row = start
    writer: RowWriter | None = None
    for batch in _read(piece, fields, None, start):
        writer = writer or RowWriter(batch.schema)
        if check is not None:
            check.add_texts(row, _at(batch, fields.text))
        first, last = np.searchsorted(positions, (row, row + batch.num_rows))
        if first < last:
            chosen = _without_views(batch).take(pa.array(positions[first:last] - row))
            texts = _texts(_at(chosen, fields.text))
            for text, (record, replaced) in zip(texts, writer.rows(chosen), strict=True):
                yield KeptRow(text, record, replaced)
        row += batch.num_rows


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Arrow cannot take rows of string and binary views."""
    plain = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    if not any(kind in plain for kind in batch.schema.types):
        return batch
    columns = [column.cast(plain.get(column.type, column.type)) for column in batch.columns]
    return pa.record_batch(columns, names=batch.schema.names)


def _read(
    piece: Piece, fields: Fields, paths: Sequence[tuple[str, ...]] | None, start: int
) -> Iterator[pa.RecordBatch]:
    """Batches of about ``BATCH_BYTES`` of decoded values, or one row. A shard's faults are errors that name it."""
    import pyarrow.parquet as pq

    path = piece.file.path
    try:
        place_of_shard = path_of(path)
        source = opened(place_of_shard) if is_remote(place_of_shard) else path
        # Without pre_buffer=False whole row groups are held.
        with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file:
            schema = file.schema_arrow
            _check(path, schema, fields, piece.mixed)
            columns = None if paths is None else [".".join(one) for one in paths if _type_at(schema, one) is not None]
            count = start
            for batch in _adaptive(file, columns, start):
                count += batch.num_rows
                for column in batch.columns:
                    column.validate()
                yield from _decoded(batch)
            if start > file.metadata.num_rows:
                raise InputChanged(
                    f"{path} is shorter than it was; run the same command again, it starts this shard anew"
                )
            if count != file.metadata.num_rows:
                raise ShardUnreadable(
                    f"{path} has {file.metadata.num_rows - count:,} rows fewer than the {file.metadata.num_rows:,} "
                    "that it says; replace or remove it"
                )
    except FileNotFoundError as fault:
        raise InputChanged(f"{path} has gone since the run began; put it back, or run again without it") from fault
    except (pa.ArrowException, OSError, OverflowError, ValueError) as fault:
        reason = " ".join(str(fault).split())
        raise ShardUnreadable(f"{path} is not a readable Parquet file ({reason}); replace or remove it") from fault


def _check(path: str, schema: pa.Schema, fields: Fields, mixed: bool) -> None:
    """Raise :class:`ShardUnreadable` for a table that holds no text, or that could not be written."""
    kind = _type_at(schema, fields.text)
    if kind is None or not is_text(kind):
        name = fields.text_name
        found = f"{name!r} is of type {kind}" if kind is not None else f"its columns are {', '.join(schema.names)}"
        raise ShardUnreadable(
            f"{path} has no string column {name!r} ({found}); set text_field to the column that holds the text, or "
            "rename or convert that column"
        )
    reason = unwritable(schema)
    if reason:
        raise ShardUnreadable(f"{path} cannot be written as JSON: {reason}; rename, convert or drop that column")
    if mixed and "meta" not in schema.names:
        raise ShardUnreadable(f"{path} has no column 'meta' that names the source; list the sources in a config")


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType | None:
    """The type of a column, or of a field of a struct; ``None`` where there is none, or more than one."""
    kind: Any = pa.struct(list(schema))
    for name in path:
        if not pa.types.is_struct(kind) or len(kind.get_all_field_indices(name)) != 1:
            return None
        kind = kind.field(name).type
    return kind


def _adaptive(file: Any, columns: list[str] | None, start: int) -> Iterator[pa.RecordBatch]:
    """Batches as they are stored, from row ``start`` on, of fewer rows where rows are large."""
    dictionaries = any(pa.types.is_dictionary(kind) for kind in file.schema_arrow.types)
    most = DICTIONARY_ROWS if dictionaries else ROWS
    fitting = 1
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start >= rows:
            start -= rows
            continue
        done, start = start, 0
        while done < rows:
            limit = min(most, fitting)
            skipped, complete = done, True
            for batch in file.iter_batches(limit, row_groups=[group], columns=columns):
                if skipped >= batch.num_rows:
                    skipped -= batch.num_rows
                    continue
                batch, skipped = batch.slice(skipped), 0
                done += batch.num_rows
                fitting = max(1, BATCH_BYTES * batch.num_rows // max(1, batch.nbytes))
                yield batch
                # Another size costs reading the group's earlier rows again, so it changes for a large reason alone.
                if limit > 2 * fitting or 8 * limit <= min(most, fitting):
                    complete = False
                    break
            if complete:
                break


def _decoded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """``batch`` without dictionaries in its columns, in slices of about ``BATCH_BYTES``."""
    import pyarrow.compute as pc

    if not any(pa.types.is_dictionary(kind) for kind in batch.schema.types):
        yield batch
        return
    sizes = np.full(batch.num_rows, 1, dtype=np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and (is_text(column.type) or pa.types.is_binary(column.type.value_type)):
            lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
            sizes += pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    slices = (np.cumsum(sizes) - sizes) // BATCH_BYTES
    starts = [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist(), batch.num_rows]
    for begin, end in itertools.pairwise(starts):
        part = batch.slice(begin, end - begin)
        columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in part.columns]
        yield pa.RecordBatch.from_arrays(columns, names=part.schema.names)


def _at(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    """The values at ``path``; nulls where a record lacks it."""
    import pyarrow.compute as pc

    found: Any = pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
    for name in path:
        if not pa.types.is_struct(found.type) or len(found.type.get_all_field_indices(name)) != 1:
            return pa.nulls(batch.num_rows)
        found = pc.struct_field(found, name)
    return found


def _utf8(column: pa.Array) -> tuple[Texts, NDArray[np.bool_], NDArray[np.bool_], int]:
    """The texts of a column, which of them are null, which are not UTF-8, and their characters."""
    import pyarrow.compute as pc

    values = column.cast(pa.large_binary())
    _, offsets, data = values.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    null = values.is_null().to_numpy(zero_copy_only=False)
    content = np.frombuffer(b"", dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    texts = Texts(content, bounds[:-1], np.where(null, bounds[:-1], bounds[1:]))
    not_utf8 = np.zeros(len(values), dtype=np.bool_)
    try:
        characters = pc.sum(pc.utf8_length(values.cast(pa.large_string()))).as_py() or 0
    except pa.ArrowInvalid:
        found = _texts(column)
        not_utf8[:] = [isinstance(text, bytes) for text in found]
        characters = sum(len(text) for text in found if text is not None)
    return texts, null, not_utf8, characters


def _texts(column: pa.Array) -> list[Any]:
    """``str``, ``None``, or ``bytes`` where a value is not UTF-8."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = [None if not value.is_valid else value.as_buffer().to_pybytes() for value in column]
        for index, value in enumerate(values):
            try:
                values[index] = None if value is None else value.decode()
            except UnicodeDecodeError:
                continue
    return values


def column_values(column: pa.Array) -> list[Any]:
    """The values of a column as JSON can hold them."""
    batch = pa.RecordBatch.from_arrays([column], names=["value"])
    return [row["value"] for row, _ in RowWriter(batch.schema).rows(batch)]
