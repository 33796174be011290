"""From lines or Parquet rows to texts: what each record is, and what is wrong with those that are broken.

JSON is parsed by ``orjson``, whole and strictly: of the libraries compared (``benchmarks/readers.py``) it is the
fastest that refuses every line this project must refuse. ``msgspec`` with a typed record is as fast, but skips the
fields it is not asked for, invalid UTF-8 in them included. Rejected: ``pyarrow.json`` and ``polars`` (slower, they give
no byte offsets, and one broken line fails its whole block).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from slimpajama.corpus.discovery import POSITION_BITS, Piece
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.errors import InputChanged, ShardUnreadable
from slimpajama.storage import is_remote, opened, place

__all__ = ["BadRecord", "RecordBatch", "parquet_batches", "read_records", "texts_of"]

PARQUET_ROWS = 4096
PARQUET_BYTES = 8 << 20
"""About how much of a table is read at a time; its rows may be large (a book each), or small and many."""
FIRST_BYTES = 120


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that goes to the quarantine: where it is, why, its size in bytes, and how it begins."""

    position: int
    reason: str
    size: int
    first: bytes


@dataclass(slots=True)
class RecordBatch:
    """Successive records of a piece. ``ids``, ``sources`` and ``sizes`` (bytes of the record) cover all of them,
    ``texts`` only the sound ones; ``bad`` maps an index into ``ids`` to what is wrong there."""

    ids: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    bad: dict[int, BadRecord] = field(default_factory=dict)


def read_records(piece: Piece, reader: LineReader, start: int = 0) -> Iterator[RecordBatch]:
    """All records of a piece, in order, in batches of about 8 MiB. Blank lines are no records.

    ``start``: a position (as in ids) at which a record begins; those before it are left out.
    """
    if piece.file.format == "parquet":
        yield from _read_parquet(piece, reader.max_line_bytes, start)
        return
    for block in reader.blocks(piece, start):
        if block.starts.size and block.offset + int(block.starts[-1]) >= 1 << POSITION_BITS:
            raise ShardUnreadable(
                f"{piece.file.path} holds more than {1 << POSITION_BITS:,} bytes, which ids cannot name; split it"
            )
        yield _parse(block, piece)


def _parse(block: LineBlock, piece: Piece) -> RecordBatch:
    batch = RecordBatch()
    ids, sources, sizes, texts = batch.ids, batch.sources, batch.sizes, batch.texts
    data, offset, loads = block.data, block.offset, orjson.loads
    by_name = dict(zip(piece.set_names, piece.shards, strict=True))
    shard = piece.shards[0]
    first_id = (shard.index << POSITION_BITS) + offset
    for start, stop in zip(block.starts.tolist(), block.stops.tolist(), strict=True):
        if start == stop:
            continue
        line = data[start:stop]
        try:
            record = loads(line)
            text = record["text"]
            if type(text) is str and not block.too_large:
                if piece.mixed:
                    shard = by_name[record["meta"]["redpajama_set_name"]]
                    first_id = (shard.index << POSITION_BITS) + offset
                ids.append(first_id + start)
                sources.append(shard.source)
                sizes.append(stop - start)
                texts.append(text)
                continue
        except (orjson.JSONDecodeError, TypeError, KeyError, IndexError):
            pass
        content = bytes(line)
        if not block.too_large and not content.strip(b" \t\r\n"):
            continue
        reason = "too large" if block.too_large else _what_is_wrong(content, piece)
        size = block.too_large or stop - start
        batch.bad[len(ids)] = BadRecord(offset + start, reason, size, content[:FIRST_BYTES])
        # Whose it is cannot be read, so a broken record of a mixed file is booked on the first source.
        ids.append((piece.shards[0].index << POSITION_BITS) + offset + start)
        sources.append(piece.shards[0].source)
        sizes.append(size)
    return batch


def _what_is_wrong(line: bytes, piece: Piece) -> str:
    """The reason a line that cannot be used is quarantined for; the slow path, on broken lines only."""
    try:
        text = line.decode()
    except UnicodeDecodeError as fault:
        return f"not UTF-8 (byte {fault.start} of the record)"
    try:
        record: Any = orjson.loads(line)
    except orjson.JSONDecodeError as fault:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return f"not JSON ({fault.msg} at character {fault.pos})"
        return f"not strict JSON: a lone surrogate, NaN or Infinity ({fault.msg} at character {fault.pos})"
    if not isinstance(record, dict):
        return f"not an object but {_json_type(record)}"
    if "text" not in record:
        return "no field 'text'"
    if not isinstance(record["text"], str):
        return f"'text' is {_json_type(record['text'])}, not a string"
    meta = record.get("meta")
    named = meta.get("redpajama_set_name") if isinstance(meta, dict) else None
    return f"meta.redpajama_set_name is {named!r}, none of {', '.join(piece.set_names)}"


def _json_type(value: object) -> str:
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
    }
    return names.get(type(value), "an object")


def _read_parquet(piece: Piece, max_bytes: int, start: int) -> Iterator[RecordBatch]:
    columns = ["text", "meta"] if piece.mixed else ["text"]
    position = start
    for table in parquet_batches(piece, columns, start):
        batch = RecordBatch()
        metas: Sequence[Any] = table.column("meta").to_pylist() if piece.mixed else ()
        by_name = dict(zip(piece.set_names, piece.shards, strict=True))
        for index, text in enumerate(texts_of(table.column("text"))):
            shard = piece.shards[0]
            size = len(text.encode() if isinstance(text, str) else text or b"")
            reason = "" if isinstance(text, str) else "'text' is null" if text is None else "'text' is not UTF-8"
            if size > max_bytes:
                reason = "too large"
            elif not reason and piece.mixed:
                meta = metas[index]
                named = meta.get("redpajama_set_name") if isinstance(meta, dict) else None
                if named in by_name:
                    shard = by_name[named]
                else:
                    reason = f"meta.redpajama_set_name is {named!r}, none of {', '.join(piece.set_names)}"
            if reason:
                first = text.encode()[:FIRST_BYTES] if isinstance(text, str) else bytes(text or b"")[:FIRST_BYTES]
                batch.bad[len(batch.ids)] = BadRecord(position + index, reason, size, first)
            else:
                batch.texts.append(text)
            batch.ids.append((shard.index << POSITION_BITS) + position + index)
            batch.sources.append(shard.source)
            batch.sizes.append(size)
        position += table.num_rows
        yield batch


def texts_of(column: Any) -> list[Any]:
    """The column's values: ``str``, ``None``, or ``bytes`` where a value is not UTF-8."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = []
        for value in column.cast(pa.large_binary()).to_pylist():
            try:
                values.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                values.append(value)
    return values


def _rows_at_a_time(metadata: pq.FileMetaData) -> int:
    """As many rows as make about ``PARQUET_BYTES``, by the row group whose rows are the largest."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    largest = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=0.0)
    return max(1, min(PARQUET_ROWS, int(PARQUET_BYTES / max(largest, 1.0))))


def _groups_from(metadata: pq.FileMetaData, start: int) -> tuple[list[int], int]:
    """The row groups that hold row ``start`` and all after it, and how many rows of the first are before it."""
    first = 0
    while first < metadata.num_row_groups and start >= metadata.row_group(first).num_rows:
        start -= metadata.row_group(first).num_rows
        first += 1
    return list(range(first, metadata.num_row_groups)), start


def parquet_batches(piece: Piece, columns: Sequence[str] | None, start: int = 0) -> Iterator[Any]:
    """Record batches of a Parquet shard from row ``start`` on; its faults are errors that name it.

    ``columns``: ``None`` asks for all.
    """
    path = piece.file.path
    try:
        # Otherwise whole row groups are held.
        place_of_shard = place(path)
        source = opened(place_of_shard) if is_remote(place_of_shard) else path
        with pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20) as file:
            schema = file.schema_arrow
            kind = schema.field("text").type if schema.names.count("text") == 1 else None
            if kind not in (pa.string(), pa.large_string(), pa.string_view()):
                found = f"'text' of type {kind}" if kind is not None else f"its columns are {', '.join(schema.names)}"
                raise ShardUnreadable(f"{path} has no string column 'text' ({found}); rename or convert the column")
            if columns is not None and "meta" in columns and "meta" not in schema.names:
                raise ShardUnreadable(
                    f"{path} has no column 'meta' that names the source; list the sources in a config"
                )
            groups, skipped = _groups_from(file.metadata, start)
            missing = file.metadata.num_rows - start
            for batch in file.iter_batches(_rows_at_a_time(file.metadata), row_groups=groups, columns=columns):
                batch, skipped = batch.slice(skipped), max(0, skipped - batch.num_rows)
                if not batch.num_rows:
                    continue
                missing -= batch.num_rows
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    if name != "text":  # texts are judged one by one; other fields of a record must be sound
                        column.validate(full=True)
                yield batch
            if missing:
                raise ShardUnreadable(
                    f"{path} has {missing:,} rows fewer than the {file.metadata.num_rows:,} that it says; "
                    "replace or remove it"
                )
    except FileNotFoundError as fault:
        raise InputChanged(f"{path} has gone since the run began; put it back, or run again without it") from fault
    except (pa.ArrowException, OSError, OverflowError, ValueError) as fault:
        reason = " ".join(str(fault).split())
        raise ShardUnreadable(f"{path} is not a readable Parquet file ({reason}); replace or remove it") from fault
