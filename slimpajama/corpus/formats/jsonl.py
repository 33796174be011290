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

import orjson

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.decoding import ShardBytes, beginning_of
from slimpajama.corpus.diagnosis import not_json_lines, other_text_field
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.formats.base import InputFormat
from slimpajama.corpus.json_array import ArrayLines, holds_array
from slimpajama.corpus.line_batch import BATCH_BYTES, END_OF_PART, LineBatch
from slimpajama.corpus.lines import LineReader, LineSource
from slimpajama.corpus.output_lines import OutputLines, kept_in_blocks
from slimpajama.corpus.pieces import POSITION_BITS, Piece, ShardFile
from slimpajama.corpus.records import RecordBatch, parse_lines
from slimpajama.corpus.shard_beginnings import copied_lines
from slimpajama.corpus.shard_writer import PartEnds, SecondPass
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
        ends, output = PartEnds(asked.check), OutputLines(piece, asked)
        for kept in kept_in_blocks(piece, reader, asked):
            for number, position in enumerate(kept.positions.tolist()):
                yield from ends.before(position)
                yield output.line(kept, number)
        yield from ends.closing()

    def kept_batches(self, piece: Piece, reader: LineReader, asked: SecondPass) -> Iterator[LineBatch]:
        """See :meth:`InputFormat.kept_batches`."""
        ends, output = PartEnds(asked.check), OutputLines(piece, asked)
        for kept in kept_in_blocks(piece, reader, asked):
            begin = 0
            while begin < len(kept):
                yield from (END_OF_PART for _ in ends.before(int(kept.positions[begin])))
                chunk = kept.chunk(begin, BATCH_BYTES, ends.next)
                yield output.batch(chunk)
                begin += len(chunk)
        yield from (END_OF_PART for _ in ends.closing())

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
