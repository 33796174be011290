"""From lines to texts: what each record is, and what is wrong with those that are broken.

Two paths give the same records. On the fast one, kernels validate a whole block of lines, match the sources that they
name and write their texts, unescaped, into one buffer (:mod:`slimpajama.corpus.json_scan`): Python makes no object for
a record. Whatever they leave undecided is parsed line by line (:mod:`slimpajama.corpus.parsed_line`). About 1 GB/s
against 0.2. Rejected: ``pyarrow.json`` and ``polars`` (slower, they give no byte offsets, and one broken line fails its
whole block).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.discovery import POSITION_BITS, Piece
from slimpajama.corpus.fields import SET_NAME, TEXT_ALONE, Fields, id_text, values_at
from slimpajama.corpus.json_scan import (
    BLANK,
    SOUND,
    UNDECIDED,
    Names,
    WantedValues,
    match_names,
    scan_lines,
    scan_scratch,
)
from slimpajama.corpus.json_strings import ROOM, unescape_strings
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.parsed_line import SoundRecord, parse_line
from slimpajama.corpus.strict_json import BEYOND_INTEGERS, exact_integer, value_as_written
from slimpajama.corpus.texts import Texts

__all__ = [
    "FIRST_BYTES",
    "BadRecord",
    "RecordBatch",
    "ids_of",
    "joined_batches",
    "parse_lines",
    "read_records",
    "sources_of",
]

FIRST_BYTES = 120


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that goes to the quarantine: where it is, why, its size in bytes, and how it begins."""

    position: int
    reason: str
    size: int
    first: bytes


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """n successive records of a piece. ``ids`` ``uint64[n]``, ``sources`` ``uint8[n]`` and ``sizes`` ``int64[n]``
    (bytes of the record) cover all of them, ``texts`` only the sound ones; ``bad`` maps an index into ``ids`` to what
    is wrong there. ``repaired`` are indices of sound records that are not strict JSON. ``document_ids`` and
    ``preferred``, what lies at the fields of that name, cover all records, or none where none are wanted.
    ``start``: position of the first line or row, blank ones included."""

    ids: NDArray[np.uint64]
    sources: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    texts: Texts
    bad: dict[int, BadRecord]
    start: int
    document_ids: list[str | None] = field(default_factory=list)
    preferred: list[tuple[Any, ...]] = field(default_factory=list)
    repaired: list[int] = field(default_factory=list)

    @property
    def sound(self) -> NDArray[np.int64]:
        """Indices of the records that ``texts`` are of."""
        mask = np.ones(self.ids.size, dtype=np.bool_)
        mask[list(self.bad)] = False
        return np.flatnonzero(mask)


def joined_batches(batches: Sequence[RecordBatch]) -> RecordBatch:
    """One batch of the records of all, which may be of several pieces."""
    firsts = np.cumsum([0, *(batch.ids.size for batch in batches)]).tolist()
    numbered = list(zip(firsts, batches, strict=False))
    return RecordBatch(
        ids=np.concatenate([batch.ids for batch in batches]),
        sources=np.concatenate([batch.sources for batch in batches]),
        sizes=np.concatenate([batch.sizes for batch in batches]),
        texts=Texts.joined([batch.texts for batch in batches]),
        bad={first + index: bad for first, batch in numbered for index, bad in batch.bad.items()},
        start=batches[0].start,
        document_ids=[one for batch in batches for one in batch.document_ids],
        preferred=[one for batch in batches for one in batch.preferred],
        repaired=[first + index for first, batch in numbered for index in batch.repaired],
    )


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


def ids_of(piece: Piece, owners: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """``uint64[n]``: of records at ``positions`` ``int64[n]``; ``owners`` ``int64[n]``: which of the piece's shards."""
    shards = np.array([shard.index for shard in piece.shards], dtype=np.uint64)
    ids: NDArray[np.uint64] = (shards[owners] << np.uint64(POSITION_BITS)) + positions.astype(np.uint64)
    return ids


def sources_of(piece: Piece, owners: NDArray[np.int64]) -> NDArray[np.uint8]:
    """``uint8[n]``: the source of each record; ``owners`` are those of :func:`ids_of`."""
    return np.array([shard.source for shard in piece.shards], dtype=np.uint8)[owners]


def parse_lines(block: LineBlock, piece: Piece, fields: Fields, *, scan: bool = True) -> RecordBatch:
    """The records of a block of JSON lines. Without ``scan`` each is parsed by itself, to the same result."""
    starts, stops = block.starts, block.stops
    sizes = np.full(1, block.too_large, dtype=np.int64) if block.too_large else stops - starts
    wanted = _wanted(piece, fields) if scan and not block.too_large else None
    found = _scanned(block, piece, wanted) if wanted else _nothing_scanned(starts.size)
    parsed: dict[int, SoundRecord] = {}
    broken: dict[int, BadRecord] = {}
    for line in np.flatnonzero(found.verdicts == UNDECIDED).tolist():
        content = bytes(block.data[starts[line] : stops[line]])
        if not block.too_large and not content.strip(b" \t\r\n"):
            found.verdicts[line] = BLANK
            continue
        record = "too large" if block.too_large else parse_line(content, piece, fields)
        if isinstance(record, SoundRecord):
            parsed[line] = record
            found.owners[line] = record.owner
        else:
            # Whose it is cannot be read, so a broken record of a mixed file is booked on the first source.
            found.owners[line] = 0
            position = block.offset + int(starts[line])
            broken[line] = BadRecord(position, record, int(sizes[line]), content[:FIRST_BYTES])
    lines = np.flatnonzero(found.verdicts != BLANK)
    owners = found.owners[lines]
    named = (fields.document_id,) if fields.document_id else ()
    beside = _values_beside(block, found, parsed, lines, (*named, *fields.preferred))
    places = dict(zip(lines.tolist(), range(lines.size), strict=True)) if parsed or broken else {}
    return RecordBatch(
        ids=ids_of(piece, owners, starts[lines] + block.offset),
        sources=sources_of(piece, owners),
        sizes=sizes[lines],
        texts=_texts(block, found, parsed),
        bad={places[line]: bad for line, bad in broken.items()},
        start=block.offset + int(starts[0]) if starts.size else block.offset,
        document_ids=[id_text(values[0]) for values in beside] if fields.document_id else [],
        preferred=[values[len(named) :] for values in beside] if fields.preferred else [],
        repaired=[places[line] for line, record in parsed.items() if record.repaired],
    )


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What kernels found in n lines: ``verdicts`` ``uint8[n]``, ``spans`` ``int64[n, p, 2]`` of the wanted values, and
    ``owners`` ``int64[n]``, the number among the piece's shards that each line belongs to."""

    verdicts: NDArray[np.uint8]
    spans: NDArray[np.int64]
    owners: NDArray[np.int64]


def _nothing_scanned(count: int) -> _Scanned:
    spans = np.empty((count, 1, 2), dtype=np.int64)
    return _Scanned(np.full(count, UNDECIDED, dtype=np.uint8), spans, np.zeros(count, dtype=np.int64))


def _wanted(piece: Piece, fields: Fields) -> WantedValues | None:
    """The values that kernels look for: the text, the name of the source if it counts, and the others in their order.

    ``None`` where these are more than they can look for.
    """
    names = (SET_NAME,) if piece.mixed else ()
    document_id = (fields.document_id,) if fields.document_id else ()
    return _packed((fields.text, *names, *document_id, *fields.preferred))


@functools.lru_cache(maxsize=16)
def _packed(paths: tuple[tuple[str, ...], ...]) -> WantedValues | None:
    return WantedValues.of(paths)


def _scanned(block: LineBlock, piece: Piece, wanted: WantedValues) -> _Scanned:
    count = block.starts.size
    data = np.frombuffer(block.data.toreadonly(), dtype=np.uint8)
    spans = np.empty((count, wanted.path_stops.size, 2), dtype=np.int64)
    verdicts = np.empty(count, dtype=np.uint8)
    owners = np.zeros(count, dtype=np.int64)
    names = wanted.names
    scan_lines(
        data, block.starts, block.stops, names.joined, names.stops, wanted.path_stops, scan_scratch(), spans, verdicts
    )
    if piece.mixed:
        sources = Names.of(piece.set_names)
        match_names(data, spans, sources.joined, sources.stops, verdicts, owners)
    return _Scanned(verdicts, spans, owners)


def _texts(block: LineBlock, found: _Scanned, parsed: Mapping[int, SoundRecord]) -> Texts:
    """The texts of all sound records, in order."""
    fast = found.verdicts == SOUND
    begins, ends = found.spans[fast, 0, 0], found.spans[fast, 0, 1]
    encoded = [record.text.encode() for record in parsed.values()]
    longest = int((ends - begins).sum())
    target = np.empty(longest + ROOM + sum(map(len, encoded)), dtype=np.uint8)
    starts, stops = np.empty(fast.size, dtype=np.int64), np.empty(fast.size, dtype=np.int64)
    fast_starts, fast_stops = np.empty_like(begins), np.empty_like(begins)
    data = np.frombuffer(block.data.toreadonly(), dtype=np.uint8)
    unescape_strings(data, begins, ends, target, fast_starts, fast_stops)
    starts[fast], stops[fast] = fast_starts, fast_stops
    end = longest + ROOM
    for line, text in zip(parsed, encoded, strict=True):
        target[end : end + len(text)] = np.frombuffer(text, dtype=np.uint8)
        starts[line], stops[line] = end, end + len(text)
        end += len(text)
    fast[list(parsed)] = True
    target.setflags(write=False)
    return Texts(target, starts[fast], stops[fast])


def _values_beside(
    block: LineBlock,
    found: _Scanned,
    parsed: Mapping[int, SoundRecord],
    lines: NDArray[np.int64],
    paths: Sequence[tuple[str, ...]],
) -> list[tuple[Any, ...]]:
    """What lies at ``paths``, the last of those that were wanted, in each of ``lines``; nothing in broken ones."""
    if not paths:
        return []
    values: list[tuple[Any, ...]] = []
    nothing = (None,) * len(paths)
    sound = found.verdicts == SOUND
    for line in lines.tolist():
        if sound[line]:
            spans = found.spans[line, -len(paths) :].tolist()
            raw = [block.data[begin:end] if begin >= 0 else b"null" for begin, end in spans]
            values.append(tuple(exact_integer(orjson.loads(one), one) for one in raw))
        elif line in parsed:
            content = bytes(block.data[block.starts[line] : block.stops[line]])
            found_there = zip(values_at(parsed[line].record, paths), paths, strict=True)
            values.append(tuple(_exact(value, content, path) for value, path in found_there))
        else:
            values.append(nothing)
    return values


def _exact(value: Any, line: bytes, path: tuple[str, ...]) -> Any:
    huge = isinstance(value, float) and abs(value) >= BEYOND_INTEGERS
    return exact_integer(value, value_as_written(line, path)) if huge else value
