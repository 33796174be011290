"""JSON lines, and ``.json`` files, which hold lines or one array of records.

Lines may be cut into ranges (:mod:`slimpajama.corpus.pieces`), an array may not. Lines are read by
:mod:`slimpajama.corpus.lines` and parsed by :mod:`slimpajama.corpus.records`; an array is turned into lines on the way
(:mod:`slimpajama.corpus.json_array`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal

import msgspec
import numpy as np
import orjson

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.decoding import ShardBytes, beginning_of
from slimpajama.corpus.diagnosis import not_json_lines, other_text_field
from slimpajama.corpus.fields import Fields, value_at
from slimpajama.corpus.formats.base import InputFormat
from slimpajama.corpus.json_array import ArrayLines, holds_array
from slimpajama.corpus.lines import LineReader, LineSource
from slimpajama.corpus.pieces import POSITION_BITS, Piece, ShardFile
from slimpajama.corpus.records import RecordBatch, parse_lines
from slimpajama.corpus.shard_beginnings import copied_lines
from slimpajama.corpus.shard_writer import PartEnds, SecondPass, changed, rebuilt_line
from slimpajama.corpus.strict_json import strict
from slimpajama.errors import InputError, ShardUnreadable

__all__ = ["ENOUGH_BYTES", "JsonFormat", "JsonLinesFormat"]

ENOUGH_BYTES = 1 << 16
"""Decoded of a shard to learn the labels of its first records, if that holds a record."""

MOST_BYTES = 1 << 20
"""Decoded where the first record is longer."""

RECORDS = 256
"""Records whose labels are looked at, at most."""


class JsonLinesFormat(InputFormat):
    """``.jsonl`` and ``.ndjson``: a record on each line."""

    name = "jsonl"
    endings: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    divisible = True

    def open_lines(
        self, file: ShardFile, truncated: Literal["stop", "keep"], position: int, raw: BinaryIO | None = None
    ) -> LineSource:
        """The lines of ``file`` from byte ``position`` of them on. ``raw``: the file, opened."""
        return _opened(file, truncated, position, raw)

    def read(
        self, piece: Piece, reader: LineReader, start: int, fields: Fields, content: ContentDigest
    ) -> Iterator[RecordBatch]:
        """See :meth:`InputFormat.read`."""
        for block in reader.blocks(piece, start):
            if block.starts.size and block.offset + int(block.starts[-1]) >= 1 << POSITION_BITS:
                raise ShardUnreadable(
                    f"{piece.file.path} holds more than {1 << POSITION_BITS:,} bytes, which ids cannot name; split it"
                )
            yield parse_lines(block, piece, fields)
            content.add_lines(block)

    def kept_lines(self, piece: Piece, reader: LineReader, asked: SecondPass) -> Iterator[bytes]:
        """See :meth:`InputFormat.kept_lines`."""
        positions, sources, rewritten, fields, check = (
            asked.positions,
            asked.sources,
            asked.rewritten,
            asked.fields,
            asked.check,
        )
        set_names, ends = asked.set_names, PartEnds(check)
        for block in reader.blocks(piece, asked.start):
            if check is not None:
                check.add_lines(block)
            if block.starts.size and not block.too_large:
                first, last = np.searchsorted(positions, block.offset + block.starts[[0, -1]] + (0, 1))
                starts = positions[first:last] - block.offset
                at = np.minimum(np.searchsorted(block.starts, starts), block.starts.size - 1)
                moved = np.flatnonzero(block.starts[at] != starts)
                if moved.size:
                    raise changed(piece, block.offset + int(starts[moved[0]]))
                for start, stop, source, renew, duplicates in zip(
                    starts.tolist(),
                    block.stops[at].tolist(),
                    sources[first:last].tolist(),
                    rewritten[first:last].tolist(),
                    asked.duplicates(int(first), int(last)),
                    strict=True,
                ):
                    if block.offset + start >= ends.next:
                        yield from ends.before(block.offset + start)
                    line: bytes | memoryview = block.data[start:stop]
                    try:
                        renewed = None
                        if renew:
                            line, record, count = strict(line, fields.paths)
                            renewed = orjson.dumps(asked.normalise(value_at(record, fields.text)))
                            asked.replaced.add(source, count, f"{piece.file.path}, byte {block.offset + start:,}")
                        yield rebuilt_line(line, set_names[source], renewed, fields, piece.keeps_labels, duplicates)
                    except (msgspec.DecodeError, ValueError, KeyError, TypeError) as fault:
                        raise changed(piece, block.offset + start) from fault
        yield from ends.closing()

    def first_labels(self, file: ShardFile) -> list[Any]:
        """See :meth:`InputFormat.first_labels`."""
        return list(_labels(self._beginning(file)))

    def _beginning(self, file: ShardFile) -> bytes:
        """The first decoded bytes: 64 KiB, or up to the end of the first line, within 1 MiB, and up to a fault."""
        content, block = bytearray(), memoryview(bytearray(1 << 14))
        with (
            suppress(InputError),
            closing(self.open_lines(file, "stop", 0)) as source,
        ):
            while len(content) < MOST_BYTES and (len(content) < ENOUGH_BYTES or b"\n" not in content):
                read = source.read_into(block)
                if not read:
                    break
                content += block[:read]
        return bytes(content)

    def remedy(self, file: ShardFile, reason: str, text_field: str) -> str:
        """See :meth:`InputFormat.remedy`."""
        head = beginning_of(file)
        return other_text_field(head, text_field) if reason.startswith("no field") else not_json_lines(head)

    def copy_beginning(self, file: ShardFile, most: int, target: Path) -> int:
        """See :meth:`InputFormat.copy_beginning`."""
        return copied_lines(file, self, most, target)


class JsonFormat(JsonLinesFormat):
    """``.json``: lines, or one array of records."""

    name = "json"
    endings = (".json",)
    divisible = False
    may_be_description = True

    def open_lines(
        self, file: ShardFile, truncated: Literal["stop", "keep"], position: int, raw: BinaryIO | None = None
    ) -> LineSource:
        """See :meth:`JsonLinesFormat.open_lines`."""
        array = holds_array(file, truncated)
        source = _opened(file, truncated, position, raw)
        return ArrayLines(source, inside=position > 0) if array else source

    def remedy(self, file: ShardFile, reason: str, text_field: str) -> str:
        """See :meth:`InputFormat.remedy`."""
        if not reason.startswith("no field") and holds_array(file, "keep"):
            return ""
        return super().remedy(file, reason, text_field)


def _opened(file: ShardFile, truncated: Literal["stop", "keep"], position: int, raw: BinaryIO | None) -> ShardBytes:
    source = ShardBytes(file, truncated, raw)
    try:
        if position:
            source.skip(position)
    except BaseException:
        source.close()
        raise
    return source


def _labels(beginning: bytes) -> Iterator[Any]:
    for line in beginning.split(b"\n")[:RECORDS]:
        try:
            record = orjson.loads(line.strip(b" \xef\xbb\xbf\x1e\r\0"))
        except orjson.JSONDecodeError:
            continue  # broken, or not whole
        if isinstance(record, dict):
            meta = record.get("meta")
            yield meta.get("redpajama_set_name") if isinstance(meta, dict) else None
