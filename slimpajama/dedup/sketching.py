"""Stage 1: each piece is read once, and leaves a rows file and its broken records in the quarantine."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from slimpajama.corpus.discovery import Piece
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import BadRecord, RecordBatch, read_records
from slimpajama.dedup.rows import BAD, SHORT, SOUND, Rows, RowsWriter
from slimpajama.dedup.sketch import Sketcher
from slimpajama.errors import TooManyBadRecords
from slimpajama.text.normalisation import Normalisation
from slimpajama.workspace import atomic_file

__all__ = ["VERSION", "PieceCounts", "SketchItem", "sketch_piece"]

VERSION = 1
"""Raised when what this stage writes changes, so that older results are not reused."""

ENOUGH_TO_JUDGE = 10_000
"""Records after which a shard that is mostly broken stops the run at once, not at its end."""


@dataclass(frozen=True, slots=True)
class SketchItem:
    """One piece and all that its rows depend on."""

    piece: Piece
    reader: LineReader
    num_perm: int
    seed: int
    bands: int
    rows: int
    min_cleaned_characters: int
    normalisation: Normalisation
    max_bad_fraction: float
    rows_file: Path
    quarantine_file: Path

    @property
    def output_files(self) -> tuple[Path, ...]:
        """The files that are there when the item is done."""
        return (self.rows_file,)


@dataclass(slots=True)
class PieceCounts:
    """What a piece held; also the stage's result, as a mapping of these fields."""

    records: int = 0
    bad: int = 0
    in_lsh: int = 0
    text_bytes: int = 0
    first_bad: tuple[int, str] | None = None

    def as_result(self) -> dict[str, Any]:
        """The fields as plain values for a marker."""
        return {name: getattr(self, name) for name in self.__slots__}


def sketch_piece(item: SketchItem) -> dict[str, Any]:
    """Read, measure and sketch every record of a piece; see :class:`PieceCounts` for what is returned.

    Raises :class:`TooManyBadRecords` early when most of a long shard is broken; the caller judges whole shards.
    """
    sketcher = Sketcher(
        num_perm=item.num_perm,
        seed=item.seed,
        bands=item.bands,
        rows=item.rows,
        shortest=item.min_cleaned_characters,
        normalisation=item.normalisation,
    )
    counts = PieceCounts()
    with ExitStack() as stack:
        file = stack.enter_context(atomic_file(item.rows_file))
        writer = stack.enter_context(RowsWriter(file, item.bands))
        quarantine: BinaryIO | None = None
        for batch in read_records(item.piece, item.reader):
            if batch.bad and quarantine is None:
                quarantine = stack.enter_context(atomic_file(item.quarantine_file))
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
            if counts.records >= ENOUGH_TO_JUDGE and counts.bad > counts.records * item.max_bad_fraction:
                raise too_many_bad(item.piece.file.path, counts, item.max_bad_fraction)
    if quarantine is None:
        item.quarantine_file.unlink(missing_ok=True)
    return counts.as_result()


def too_many_bad(path: str, counts: PieceCounts, allowed: float) -> TooManyBadRecords:
    """The error for a shard of which more than ``allowed`` is broken."""
    position, reason = counts.first_bad or (0, "")
    return TooManyBadRecords(
        f"{path}: {counts.bad:,} of {counts.records:,} records read are bad ({counts.bad / counts.records:.1%}, "
        f"allowed are {allowed:.1%}), the first at byte {position:,}: {reason}; mend or remove the shard, or raise "
        "max_bad_fraction"
    )


def _rows(batch: RecordBatch, sketcher: Sketcher, item: SketchItem) -> Rows:
    count = len(batch.ids)
    sketches = sketcher.sketch(batch.texts)
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
    keys = np.zeros((count, item.bands), dtype=np.uint64)
    keys[sound] = sketches.keys
    ids = np.array(batch.ids, dtype=np.uint64)
    return Rows(ids, np.array(batch.sources, dtype=np.uint8), status, sizes, cleaned, rewritten, keys)


def _quarantined(bad: BadRecord, piece: Piece) -> bytes:
    record = {
        "shard": piece.file.relative,
        "position": bad.position,
        "reason": bad.reason,
        "bytes": bad.size,
        "first_bytes": bad.first.decode("utf-8", "backslashreplace"),
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
