"""From lines to texts: what each record is, and what is wrong with those that are broken.

JSON is parsed by ``orjson``, whole and strictly: of the libraries compared (``benchmarks/readers.py``) it is the
fastest that refuses every line this project must refuse. ``msgspec`` with a typed record is as fast, but skips the
fields it is not asked for, invalid UTF-8 in them included. Rejected: ``pyarrow.json`` and ``polars`` (slower, they give
no byte offsets, and one broken line fails its whole block). A line whose text is sound, and whose only fault is a
number or a surrogate beside the text, is no broken record: it is repaired when it is written.
"""

from __future__ import annotations

import itertools
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.discovery import POSITION_BITS, Piece, Shard
from slimpajama.corpus.fields import TEXT_ALONE, Fields, document_id_of, preferred_values, value_at
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.strict_json import LARGE_LINE, parse, parse_large, repaired, utf8_fault

__all__ = [
    "FIRST_BYTES",
    "BadRecord",
    "RecordBatch",
    "joined_batches",
    "names_no_source",
    "parse_lines",
    "read_records",
]

FIRST_BYTES = 120
_WHITE_SPACE = np.frombuffer(b" \t\r", dtype=np.uint8)
NAMED_FIELDS = 12
"""How many of a record's fields a reason lists."""


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
    ``texts`` only the sound ones; ``bad`` maps an index into ``ids`` to what is wrong there. ``repaired`` are indices
    of sound records that are not strict JSON. ``document_ids`` and ``preferred``, what lies at the fields of that name,
    cover all records, or none where none are wanted.
    ``start``: position of the first line or row, blank ones included."""

    ids: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    document_ids: list[str | None] = field(default_factory=list)
    preferred: list[tuple[Any, ...]] = field(default_factory=list)
    repaired: list[int] = field(default_factory=list)
    bad: dict[int, BadRecord] = field(default_factory=dict)
    start: int = 0


def joined_batches(batches: Sequence[RecordBatch]) -> RecordBatch:
    """One batch of the records of all, which may be of several pieces."""
    whole = RecordBatch(start=batches[0].start)
    for batch in batches:
        first = len(whole.ids)
        whole.ids += batch.ids
        whole.sources += batch.sources
        whole.sizes += batch.sizes
        whole.texts += batch.texts
        whole.document_ids += batch.document_ids
        whole.preferred += batch.preferred
        whole.repaired += (first + index for index in batch.repaired)
        whole.bad |= {first + index: bad for index, bad in batch.bad.items()}
    return whole


def read_records(
    piece: Piece,
    reader: LineReader,
    start: int = 0,
    fields: Fields = TEXT_ALONE,
    content: ContentDigest | None = None,
) -> Iterator[RecordBatch]:
    """All records of a piece, in order, in batches of about 8 MiB. Blank lines are no records.

    ``start``: a position (as in ids) at which a record begins; those before it are left out.
    ``content`` has taken in all of a batch when the next one is given out, or the end is reached.
    """
    return piece.file.format.read(piece, reader, start, fields, content or ContentDigest())


def parse_lines(block: LineBlock, piece: Piece, fields: Fields) -> RecordBatch:
    """The records of a block of JSON lines."""
    batch = RecordBatch(start=block.offset + int(block.starts[0]) if block.starts.size else block.offset)
    ids, sources, sizes, texts = batch.ids, batch.sources, batch.sizes, batch.texts
    data, offset, loads, paths, with_ids, with_preferred = (
        block.data,
        block.offset,
        orjson.loads,
        fields.paths,
        bool(fields.document_id),
        bool(fields.preferred),
    )
    text_path = () if fields.text == ("text",) else fields.text
    by_name = dict(zip(piece.set_names, piece.shards, strict=True))
    shard = piece.shards[0]
    first_id = (shard.index << POSITION_BITS) + offset
    for start, stop in _lines_with_content(block):
        line = data[start:stop]
        try:
            record = loads(line) if stop - start < LARGE_LINE else parse_large(bytes(line), paths)
            text = value_at(record, text_path) if text_path else record["text"]
            if type(text) is str and not block.too_large:
                if piece.mixed:
                    shard = by_name[record["meta"]["redpajama_set_name"]]
                    first_id = (shard.index << POSITION_BITS) + offset
                if with_ids:
                    batch.document_ids.append(document_id_of(record, fields))
                if with_preferred:
                    batch.preferred.append(preferred_values(record, fields))
                ids.append(first_id + start)
                sources.append(shard.source)
                sizes.append(stop - start)
                texts.append(text)
                continue
        except (ValueError, TypeError, KeyError, IndexError):
            pass
        content = bytes(line)
        if not block.too_large and not content.strip(b" \t\r\n"):
            continue
        found: str | _Repaired = "too large" if block.too_large else _second_look(content, piece, fields)
        if isinstance(found, _Repaired):
            batch.repaired.append(len(ids))
            texts.append(found.text)
            owner, size, document_id = found.shard, stop - start, document_id_of(found.record, fields)
        else:
            # Whose it is cannot be read, so a broken record of a mixed file is booked on the first source.
            owner, size, document_id = piece.shards[0], block.too_large or stop - start, None
            batch.bad[len(ids)] = BadRecord(offset + start, found, size, content[:FIRST_BYTES])
        if with_ids:
            batch.document_ids.append(document_id)
        if with_preferred:
            record = found.record if isinstance(found, _Repaired) else None
            batch.preferred.append(preferred_values(record, fields))
        ids.append((owner.index << POSITION_BITS) + offset + start)
        sources.append(owner.source)
        sizes.append(size)
    return batch


def _lines_with_content(block: LineBlock) -> Iterator[tuple[int, int]]:
    """Where lines start and stop, without those of no byte or one of white space, of which there may be millions."""
    starts, stops = block.starts, block.stops
    sizes = stops - starts
    if sizes.size and sizes.min() <= 1:
        one = np.flatnonzero(sizes == 1)
        blank = sizes == 0
        blank[one] = np.isin(np.frombuffer(block.data, dtype=np.uint8)[starts[one]], _WHITE_SPACE)
        starts, stops = starts[~blank], stops[~blank]
    return zip(starts.tolist(), stops.tolist(), strict=True)


@dataclass(frozen=True, slots=True)
class _Repaired:
    """A record that is sound but for numbers or surrogates beside its text."""

    record: Any
    text: str
    shard: Shard


def _second_look(line: bytes, piece: Piece, fields: Fields) -> str | _Repaired:
    """The record that a line holds once it is repaired, or the reason that it is quarantined for.

    The slow path: only lines that cannot be used as they are come here.
    """
    count = 0
    try:
        record: Any = parse(line, fields.paths)
    except ValueError as fault:
        wrong_byte = utf8_fault(line)
        if wrong_byte is not None:
            return f"not UTF-8 (byte {wrong_byte} of the record)"
        strict, count = repaired(line)
        try:
            record = parse(strict, fields.paths) if count else None
        except ValueError:
            count = 0
        if not count:
            return f"not JSON ({_explained(fault)})"
    if not isinstance(record, dict):
        return f"not an object but {_json_type(record)}"
    name = fields.text_name
    try:
        text = value_at(record, fields.text)
    except (KeyError, TypeError, IndexError):
        names = ", ".join(map(reprlib.repr, itertools.islice(record, NAMED_FIELDS)))
        return f"no field {name!r}" + (f" but {names}; the setting text_field names the text" if names else "")
    if not isinstance(text, str):
        return f"{name!r} is {_json_type(text)}, not a string"
    # Surrogates in the text itself are found by putting something else in their place.
    if count and value_at(parse(repaired(line, rb"\ufffc")[0], fields.paths), fields.text) != text:
        return f"{name!r} holds a lone surrogate"
    shard = piece.shards[0]
    if piece.mixed:
        meta = record.get("meta")
        named = meta.get("redpajama_set_name") if isinstance(meta, dict) else None
        if not isinstance(named, str) or named not in piece.set_names:
            return names_no_source(named, piece)
        shard = piece.shards[piece.set_names.index(named)]
    return _Repaired(record, text, shard)


def _explained(fault: ValueError) -> str:
    return f"{fault.msg} at character {fault.pos}" if isinstance(fault, orjson.JSONDecodeError) else str(fault)


def names_no_source(named: object, piece: Piece) -> str:
    """Why a record of a mixed shard that names ``named`` is bad."""
    return f"meta.redpajama_set_name is {reprlib.repr(named)}, none of {', '.join(piece.set_names)}"


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
