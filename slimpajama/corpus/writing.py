"""Records out: the kept records of a piece, in input order, as ``{"text", "meta"}`` lines in one zstd frame per file.

The text and the members of ``meta`` are copied as the JSON they came as, byte for byte; only ``redpajama_set_name`` is
added, and a text is encoded anew only if normalisation changed it. Other fields of the record move into ``meta``, so
nothing is lost (Common Crawl's ``pred_label`` and ``source`` stand at the top of the record). Lines that are not kept
are never parsed. One frame per file, because common readers stop at the end of the first without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

from slimpajama.corpus.discovery import Piece
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import parquet_batches, texts_of
from slimpajama.errors import InputChanged, ShardUnreadable
from slimpajama.storage import place, status_of
from slimpajama.workspace import OutputFile, atomic_file

__all__ = ["ShardWriter", "changed", "kept_lines", "rebuilt_line"]

FLUSH_BYTES = 1 << 20
NESTING = 1 << 11

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def rebuilt_line(line: bytes | memoryview, set_name: str, text: bytes | None = None) -> bytes:
    """One record of the output, with its newline, from the JSON of an input record.

    ``text``: its text as JSON, where that is to be replaced.
    """
    fields = _fields(line)
    own = fields.pop("text")
    meta = fields.pop("meta", None)
    members = b"" if meta is None else bytes(meta).strip()
    if members.startswith(b"{"):
        whole, members = members, members[1:-1].strip()
        if fields or b"redpajama_set_name" in members:
            inner: dict[str, Any] = dict(_fields(whole))
            inner.pop("redpajama_set_name", None)
            members = _joined(_with_others(inner, fields))
    else:
        members = _joined(_with_others({} if members in (b"", b"null") else {"meta": members}, fields))
    separator = b"," if members else b""
    name = orjson.dumps(set_name)
    return b"".join(
        (
            *(b'{"text":', own if text is None else text, b',"meta":{', members, separator),
            *(b'"redpajama_set_name":', name, b"}}\n"),
        )
    )


def _fields(record: bytes | memoryview | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _decoder.decode(record)
    except RecursionError:
        # The reader lets 1,024 levels through, of which Python's own limit may allow fewer.
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(usual + NESTING)
        try:
            return _decoder.decode(record)
        finally:
            sys.setrecursionlimit(usual)


def _with_others(meta: dict[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """``meta`` with the record's other fields; one whose name is taken there gets underscores until it is free."""
    for name, value in others.items():
        free = name
        while free in meta or free == "redpajama_set_name":
            free += "_"
        meta[free] = value
    return meta


def _joined(members: Mapping[str, Any]) -> bytes:
    return b",".join(orjson.dumps(name) + b":" + bytes(value) for name, value in members.items())


def kept_lines(
    piece: Piece,
    reader: LineReader,
    positions: NDArray[np.int64],
    sources: NDArray[np.int64],
    rewritten: NDArray[np.bool_],
    normalise: Callable[[str], str],
    start: int = 0,
) -> Iterator[bytes]:
    """The output lines of the records at ``positions`` ``int64[n]`` (ascending), in order.

    ``start``: where a record begins, at or before the first of them. ``sources`` ``int64[n]``: source of each.
    ``rewritten`` ``bool[n]``: whether ``normalise`` changes its text. Raises :class:`InputChanged` where the shard is
    another than was found at first, or one of them is no longer at its place; ends early where the shard does.
    """
    with suppress(FileNotFoundError):  # which is explained where the shard is opened
        status = status_of(place(piece.file.path))
        found = piece.file
        if (status.size, status.modified_ns, status.version) != (found.size, found.modified_ns, found.version):
            raise InputChanged(
                f"{piece.file.path} changed during the run; run the same command again, it starts this shard anew"
            )
    set_names = dict(zip((shard.source for shard in piece.shards), piece.set_names, strict=True))
    if piece.file.format == "parquet":
        row = start
        for batch in parquet_batches(piece, None, start):
            first, last = np.searchsorted(positions, (row, row + batch.num_rows))
            records = _as_python(batch.take(positions[first:last] - row), piece)
            for index, (record, source) in enumerate(zip(records, sources[first:last].tolist(), strict=True)):
                if not isinstance(record["text"], str):
                    raise changed(piece, int(positions[first + index]))
                text = orjson.dumps(normalise(record["text"]))
                yield rebuilt_line(orjson.dumps(record, default=str), set_names[source], text)
            row += batch.num_rows
        return
    for block in reader.blocks(piece, start):
        if block.starts.size and not block.too_large:
            first, last = np.searchsorted(positions, block.offset + block.starts[[0, -1]] + (0, 1))
            starts = positions[first:last] - block.offset
            at = np.minimum(np.searchsorted(block.starts, starts), block.starts.size - 1)
            moved = np.flatnonzero(block.starts[at] != starts)
            if moved.size:
                raise changed(piece, block.offset + int(starts[moved[0]]))
            for start, stop, source, renew in zip(
                starts.tolist(),
                block.stops[at].tolist(),
                sources[first:last].tolist(),
                rewritten[first:last].tolist(),
                strict=True,
            ):
                line = block.data[start:stop]
                try:
                    renewed = orjson.dumps(normalise(orjson.loads(line)["text"])) if renew else None
                    yield rebuilt_line(line, set_names[source], renewed)
                except (msgspec.DecodeError, orjson.JSONDecodeError, KeyError, TypeError) as fault:
                    raise changed(piece, block.offset + start) from fault


def _as_python(batch: pa.RecordBatch, piece: Piece) -> list[dict[str, Any]]:
    try:
        records: list[dict[str, Any]] = batch.to_pylist()
    except UnicodeDecodeError:
        # Only a text can be at fault here, and it was sound when it was first read.
        records = [{"text": text} for text in texts_of(batch.column("text"))]
    except (pa.ArrowException, ArithmeticError, LookupError, ValueError) as fault:
        reason = " ".join(str(fault).split())
        raise ShardUnreadable(
            f"{piece.file.path} has a column beside 'text' with values that cannot be written as JSON ({reason}); "
            "convert or drop that column"
        ) from fault
    return records


class ShardWriter:
    """One compressed stream that goes to one file, or to two that hold the same."""

    def __init__(self, stack: ExitStack, paths: Sequence[Path], level: int) -> None:
        self._files: list[OutputFile] = [stack.enter_context(atomic_file(path)) for path in paths]
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
        self._lines: list[bytes] = []
        self._waiting = 0

    def write(self, line: bytes) -> None:
        """Append one line, with its newline."""
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting >= FLUSH_BYTES:
            self._send(self._compressor.compress(b"".join(self._lines)))
            self._lines.clear()
            self._waiting = 0

    def finish(self) -> None:
        """End the frame. A writer that is not finished leaves a frame that breaks off."""
        self._send(self._compressor.compress(b"".join(self._lines)) + self._compressor.flush())

    @property
    def records(self) -> list[dict[str, Any]]:
        """Path, size and digest of each file; final once the writer is finished."""
        return [file.record for file in self._files]

    def _send(self, compressed: bytes) -> None:
        for file in self._files:
            file.write(compressed)


def changed(piece: Piece, position: int) -> InputChanged:
    """The error for a shard whose record at ``position`` is no longer what an earlier stage read."""
    place = "row" if piece.file.format == "parquet" else "byte"
    return InputChanged(
        f"{piece.file.path} changed during the run: the record at {place} {position:,} is not there any more; "
        "run the same command again, it starts this shard anew"
    )
