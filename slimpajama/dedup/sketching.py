"""Stage 1: each piece is read once, and leaves a rows file and its broken records in the quarantine.

A compressed or Parquet shard cannot be cut beforehand and may be of any size: after every ``part_bytes`` of it, what
is known so far is put aside with a marker, so that a killed run goes on from there (what is before is decompressed
once more, which is cheap, and thrown away). In the end the parts become one rows file. Where they begin is a result
too: the outputs of the shard are cut there.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.decoding import beginning_of
from slimpajama.corpus.diagnosis import not_json_lines, other_text_field
from slimpajama.corpus.discovery import POSITION_BITS, Piece, ShardFile
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.json_array import holds_array
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import BadRecord, RecordBatch, read_records
from slimpajama.dedup.careful import DOCUMENT_SECONDS, Care, leave_out, next_care, sketch_one_by_one
from slimpajama.dedup.rows import BAD, DOCUMENT_ID, SHORT, SOUND, Rows, RowsWriter, join_rows
from slimpajama.dedup.sketch import Sketcher
from slimpajama.engine import Death, Trial
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import TooManyBadRecords
from slimpajama.logging import LOGGER
from slimpajama.markers import ANY_BYTES, Markers
from slimpajama.storage import is_remote, opened, place, remove_file
from slimpajama.text.normalisation import Normalisation
from slimpajama.workspace import OutputFile, atomic_file

__all__ = ["VERSION", "PieceCounts", "SketchItem", "has_parts", "sketch_piece", "try_again"]

VERSION = 4
"""Raised when what this stage writes changes, so that older results are not reused."""

ENOUGH_TO_JUDGE = 10_000
"""Records after which a shard that is mostly broken stops the run at once, not at its end."""

COMPRESSION = 8
"""A shard that is this much smaller on disk than a part is of text is read in one go."""


@dataclass(frozen=True, slots=True)
class SketchItem:
    """One piece and all that its rows depend on. ``part_bytes``: 0 where it is read in one go; else ``parts`` remembers
    its finished parts, which depend on ``depends``. ``care``: of a try after a worker died."""

    piece: Piece
    reader: LineReader
    fields: Fields
    num_perm: int
    seed: int
    bands: int
    rows: int
    min_cleaned_characters: int
    normalisation: Normalisation
    max_bad_fraction: float
    rows_file: Path
    quarantine_file: Path
    part_bytes: int
    parts: Markers
    depends: dict[str, Any]
    care: Care | None = None


@dataclass(slots=True)
class PieceCounts:
    """What a piece, or a part of it, held; also the stage's result, as a mapping of these fields."""

    records: int = 0
    bad: int = 0
    in_lsh: int = 0
    text_bytes: int = 0
    first_bad: tuple[int, str] | None = None

    def add(self, later: PieceCounts) -> None:
        """Count what comes later in the shard, too."""
        self.records += later.records
        self.bad += later.bad
        self.in_lsh += later.in_lsh
        self.text_bytes += later.text_bytes
        self.first_bad = self.first_bad or later.first_bad

    def as_result(self) -> dict[str, Any]:
        """The fields as plain values for a marker."""
        return {name: getattr(self, name) for name in self.__slots__}


def has_parts(piece: Piece, part_bytes: int) -> bool:
    """Whether a piece may hold more than ``part_bytes`` of text, and cannot be cut without reading it."""
    return piece.stop is None and piece.input_bytes * COMPRESSION > part_bytes


def try_again(item: SketchItem, death: Death, document_seconds: float = DOCUMENT_SECONDS) -> Trial[SketchItem] | None:
    """What to try next of a piece whose worker died: each document by itself, without those that are to blame."""
    folder = Path(tempfile.gettempdir()) if is_remote(item.rows_file) else item.rows_file.parent
    name = hashlib.blake2b(str(item.rows_file).encode(), digest_size=4).hexdigest()
    care = next_care(item.care, death, folder / f"at.{name}.tmp")  # named as what cleaning removes
    if care is None:
        return None
    for culprit in care.left_out[len(item.care.left_out) if item.care else 0 :]:
        LOGGER.warning(
            "%s: the document at %s %d is quarantined: %s",
            item.piece.file.path,
            "row" if item.piece.file.format == "parquet" else "byte",
            culprit.position,
            culprit.reason,
        )
    return Trial(replace(item, care=care), document_seconds)


def sketch_piece(item: SketchItem) -> dict[str, Any]:
    """Read, measure and sketch every record of a piece.

    Returns the fields of :class:`PieceCounts` and ``parts``, the positions at which its parts begin. Raises
    :class:`TooManyBadRecords` early when most of a long shard is broken; the caller judges whole shards.
    """
    whole = PieceCounts()
    sketcher = Sketcher(
        num_perm=item.num_perm,
        seed=item.seed,
        bands=item.bands,
        rows=item.rows,
        shortest=item.min_cleaned_characters,
        normalisation=item.normalisation,
    )
    content = ContentDigest()
    if not item.part_bytes:
        batches = read_records(item.piece, item.reader, fields=item.fields, content=content)
        files, _ = _sketch_part(item, sketcher, batches, whole, item.rows_file, item.quarantine_file)
        return {**whole.as_result(), "parts": [0], "content": [content.take()], "files": files}
    parts: list[dict[str, Any]] = []
    starts: list[int | None] = [0]
    while (
        starts[-1] is not None and (part := item.parts.result(str(len(parts)), item.depends, ANY_BYTES)[0]) is not None
    ):
        parts.append(part)
        starts.append(part["next"])
        whole.add(PieceCounts(**part["counts"]))
    batches = (
        read_records(item.piece, item.reader, starts[-1], item.fields, content) if starts[-1] is not None else iter(())
    )
    while starts[-1] is not None:
        counts = PieceCounts()
        stem = item.parts.folder / str(len(parts))
        targets = stem.with_suffix(".arrow"), stem.with_suffix(".jsonl")
        files, head = _sketch_part(item, sketcher, batches, counts, *targets, before=whole)
        starts.append(head.start if head is not None else None)
        parts.append({"counts": counts.as_result(), "next": starts[-1], "content": content.take(), "files": files})
        item.parts.finish(stem.name, item.depends, parts[-1])
        whole.add(counts)
        if head is not None:
            batches = itertools.chain([head], batches)
    return {
        **whole.as_result(),
        "parts": starts[:-1],
        "content": [part["content"] for part in parts],
        "files": _joined(item, parts),
    }


def _sketch_part(
    item: SketchItem,
    sketcher: Sketcher,
    batches: Iterator[RecordBatch],
    counts: PieceCounts,
    rows_file: Path,
    quarantine_file: Path,
    before: PieceCounts | None = None,
) -> tuple[list[dict[str, Any]], RecordBatch | None]:
    """Sketch ``batches`` up to ``item.part_bytes`` of them, adding to ``counts``.

    Returns the records of the files written, the rows first, and the batch that the next part begins with.
    """
    earlier = before or PieceCounts()
    size = 0
    head = None
    quarantine: OutputFile | None = None
    with ExitStack() as stack:
        file = stack.enter_context(atomic_file(rows_file))
        writer = stack.enter_context(RowsWriter(file, item.bands, bool(item.fields.document_id)))
        for batch in batches:
            beat()
            if item.part_bytes and size >= item.part_bytes and batch.ids:
                head = batch
                break
            size += sum(batch.sizes)
            if item.care:
                leave_out(batch, item.care.left_out)
            if batch.bad and quarantine is None:
                quarantine = stack.enter_context(atomic_file(quarantine_file))
            for bad in batch.bad.values():
                if quarantine is not None:
                    quarantine.write(_quarantined(bad, item.piece))
                counts.first_bad = counts.first_bad or (bad.position, bad.reason)
            rows = _rows(batch, sketcher, item)
            counts.records += len(batch.ids)
            counts.bad += len(batch.bad)
            counts.in_lsh += int(rows.keys.any(axis=1).sum())
            counts.text_bytes += int(rows.bytes[rows.status != BAD].sum())
            writer.append(rows)
            records, broken = earlier.records + counts.records, earlier.bad + counts.bad
            if records >= ENOUGH_TO_JUDGE and broken > records * item.max_bad_fraction:
                earlier.add(counts)
                raise too_many_bad(item.piece.file, earlier, item.max_bad_fraction, item.fields.text_name)
    if quarantine is None:
        remove_file(quarantine_file)
    return [written.record for written in (file, quarantine) if written is not None], head


def _joined(item: SketchItem, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One rows file and one quarantine out of those of the parts; returns their records."""
    with_ids = bool(item.fields.document_id)
    with atomic_file(item.rows_file) as file:
        join_rows([place(part["files"][0]["path"]) for part in parts], file, item.bands, with_ids)
    files = [file.record]
    quarantines = [place(part["files"][1]["path"]) for part in parts if len(part["files"]) > 1]
    if not quarantines:
        remove_file(item.quarantine_file)
        return files
    with atomic_file(item.quarantine_file) as joined:
        for path in quarantines:
            with opened(path) as quarantine:
                shutil.copyfileobj(quarantine, joined)
    return [*files, joined.record]


def _position(batch: RecordBatch) -> int:
    return batch.ids[0] & ((1 << POSITION_BITS) - 1)


def too_many_bad(file: ShardFile, counts: PieceCounts, allowed: float, text_field: str) -> TooManyBadRecords:
    """The error for a shard of which more than ``allowed`` is broken; most of it alike is a fault of the whole file."""
    position, reason = counts.first_bad or (0, "")
    remedy = _remedy(file, reason, text_field) if counts.bad * 2 > counts.records else ""
    if not remedy:
        remedy = "mend or remove the shard" + (", or raise max_bad_fraction" if counts.bad < counts.records else "")
    return TooManyBadRecords(
        f"{file.path}: {counts.bad:,} of {counts.records:,} records read are bad ({counts.bad / counts.records:.1%}, "
        f"allowed are {allowed:.1%}), the first at byte {position:,}: {reason}; {remedy}"
    )


def _remedy(file: ShardFile, reason: str, text_field: str) -> str:
    """What the whole file seems to be, and what to do; empty where that is not known."""
    head = beginning_of(file) if file.format != "parquet" else b""
    if reason.startswith("no field"):
        return other_text_field(head, text_field)
    return not_json_lines(head) if head and not holds_array(file, "keep") else ""


def _rows(batch: RecordBatch, sketcher: Sketcher, item: SketchItem) -> Rows:
    count = len(batch.ids)
    sketches = sketch_one_by_one(batch, sketcher, item.care.at) if item.care else sketcher.sketch(batch.texts)
    sound = np.ones(count, dtype=np.bool_)
    sound[list(batch.bad)] = False
    status = np.full(count, BAD, dtype=np.uint8)
    status[sound] = np.where(sketches.cleaned < item.min_cleaned_characters, SHORT, SOUND)
    sizes = np.array(batch.sizes, dtype=np.int64)
    sizes[sound] = sketches.sizes
    cleaned = np.zeros(count, dtype=np.int64)
    cleaned[sound] = sketches.cleaned
    rewritten = np.zeros(count, dtype=np.bool_)
    rewritten[sound] = sketches.rewritten
    rewritten[batch.repaired] = True
    keys = np.zeros((count, item.bands), dtype=np.uint64)
    keys[sound] = sketches.keys
    ids = np.array(batch.ids, dtype=np.uint64)
    document_ids = pa.array(batch.document_ids, DOCUMENT_ID.type) if item.fields.document_id else None
    return Rows(ids, np.array(batch.sources, dtype=np.uint8), status, sizes, cleaned, rewritten, keys, document_ids)


def _quarantined(bad: BadRecord, piece: Piece) -> bytes:
    record = {
        "shard": piece.file.relative,
        "position": bad.position,
        "reason": bad.reason,
        "bytes": bad.size,
        "first_bytes": bad.first.decode("utf-8", "backslashreplace"),
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
