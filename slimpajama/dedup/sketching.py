"""Reading records and sketching them into a rows file, with the broken ones in the quarantine.

What one call is given is a bundle, or a part of a piece; the stage that puts parts together is
:mod:`slimpajama.dedup.stages.sketch`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.config.preference import Preference
from slimpajama.corpus.discovery import Piece, ShardFile
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.corpus.records import BadRecord, RecordBatch
from slimpajama.dedup.careful import Care, leave_out, sketch_one_by_one
from slimpajama.dedup.contamination import MatchesWriter, Screen
from slimpajama.dedup.files.sketches import BAD, CONTAMINATED, DOCUMENT_ID, SHORT, SOUND, Rows, RowShape, RowsWriter
from slimpajama.dedup.key_methods import KeyMethod, TextSketcher
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.ranks import UNRANKED, ranks_of
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import TooManyBadRecords
from slimpajama.logging import LOGGER
from slimpajama.storage.atomic import OutputFile, atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import remove_file

__all__ = ["PieceCounts", "SketchSettings", "Sketched", "has_parts", "sketch_part", "too_many_bad"]

ENOUGH_TO_JUDGE = 10_000
"""Records after which a shard that is mostly broken stops the run at once, not at its end."""

COMPRESSION = 8
"""A shard that is this much smaller on disk than a part is of text is read in one go."""


@dataclass(frozen=True, slots=True)
class SketchSettings:
    """All that rows depend on besides their bundle. ``max_bad_fraction``: of records; more of them stop the run.
    ``preferences``: of which rows hold ranks. ``screen``: of evaluation items, if documents are held against any."""

    reader: LineReader
    fields: Fields
    params: MinHashParams
    method: KeyMethod
    max_bad_fraction: float
    preferences: tuple[Preference, ...] = ()
    screen: Screen | None = None

    def sketcher(self) -> TextSketcher:
        """What turns texts into keys."""
        return self.method.sketcher(self.params)

    @property
    def shape(self) -> RowShape:
        """The columns of the rows."""
        params = self.params
        return RowShape(
            bands=params.bands,
            minima=params.values if params.checked else 0,
            ranks=len(self.preferences),
            document_ids=bool(self.fields.document_id),
        )


class PieceCounts(msgspec.Struct, forbid_unknown_fields=True):
    """What a piece, or a part of it, held. ``first_bad``: position and reason. ``unranked``: documents in LSH that lack
    what they are preferred by, for each such key."""

    records: int = 0
    bad: int = 0
    in_lsh: int = 0
    text_bytes: int = 0
    first_bad: tuple[int, str] | None = None
    unranked: list[int] = []

    def add(self, later: PieceCounts) -> None:
        """Count what comes later in the shard, too."""
        self.records += later.records
        self.bad += later.bad
        self.in_lsh += later.in_lsh
        self.text_bytes += later.text_bytes
        self.first_bad = self.first_bad or later.first_bad
        self.count_unranked(later.unranked)

    def count_unranked(self, counts: Sequence[int]) -> None:
        """Add to ``unranked``."""
        self.unranked = [sum(pair) for pair in itertools.zip_longest(self.unranked, counts, fillvalue=0)]


@dataclass(frozen=True, slots=True)
class Sketched:
    """The files written, and the batch that the next part begins with, unless the piece is at its end."""

    sketches: FileRecord
    quarantine: FileRecord | None
    matches: FileRecord | None
    head: RecordBatch | None


def has_parts(bundle: Bundle, part_bytes: int) -> bool:
    """Whether it is a piece that may hold more than ``part_bytes`` of text, and cannot be cut without reading it."""
    piece = bundle.first
    return len(bundle.pieces) == piece.parts == 1 and piece.input_bytes * COMPRESSION > part_bytes


def sketch_part(
    bundle: Bundle,
    settings: SketchSettings,
    sketcher: TextSketcher,
    batches: Iterator[RecordBatch],
    counts: Sequence[PieceCounts],
    rows_file: Path,
    quarantine_file: Path,
    matches_file: Path,
    *,
    part_bytes: int = 0,
    care: Care | None = None,
    before: PieceCounts | None = None,
) -> Sketched:
    """Sketch ``batches`` of a bundle, up to ``part_bytes`` of them unless that is 0, adding to the ``counts`` of each
    piece.

    ``before``: what earlier parts held. ``care``: of a try after a worker died. Raises :class:`TooManyBadRecords` early
    when most of a long shard is broken; the caller judges whole shards.
    """
    earlier = before or PieceCounts()
    size = 0
    identified: set[int] = set()
    head = None
    quarantine: OutputFile | None = None
    with ExitStack() as stack:
        file = stack.enter_context(atomic_file(rows_file))
        writer = stack.enter_context(RowsWriter(file, settings.shape))
        matches = MatchesWriter(matches_file, stack)
        for batch in batches:
            beat()
            if part_bytes and size >= part_bytes and batch.ids.size:
                head = batch
                break
            size += int(batch.sizes.sum())
            if care:
                batch = leave_out(batch, care.left_out)
            if batch.bad and quarantine is None:
                quarantine = stack.enter_context(atomic_file(quarantine_file))
            numbers = bundle.numbers_of(batch.ids)
            for index, bad in batch.bad.items():
                if quarantine is not None:
                    quarantine.write(_quarantined(bad, bundle.pieces[numbers[index]]))
            if settings.fields.document_id and len(identified) < len(counts):
                identified.update(numbers[[one is not None for one in batch.document_ids]].tolist())
            rows = _rows(batch, sketcher, settings, care, matches)
            _count(rows, batch, numbers, counts)
            writer.append(rows)
            if len(counts) == 1:
                records, broken = earlier.records + counts[0].records, earlier.bad + counts[0].bad
                if records >= ENOUGH_TO_JUDGE and broken > records * settings.max_bad_fraction:
                    earlier.add(counts[0])
                    file_read = bundle.first.file
                    raise too_many_bad(file_read, earlier, settings.max_bad_fraction, settings.fields.text_name)
    if quarantine is None:
        remove_file(quarantine_file)
    if matches.file is None:
        remove_file(matches_file)
    if settings.fields.document_id:
        _warn_of_unidentified(bundle, counts, identified, settings.fields)
    return Sketched(
        file.record,
        quarantine.record if quarantine is not None else None,
        matches.file.record if matches.file is not None else None,
        head,
    )


def _count(rows: Rows, batch: RecordBatch, numbers: NDArray[np.int64], counts: Sequence[PieceCounts]) -> None:
    """Add rows to the ``counts`` of the pieces of these ``numbers``, which ascend."""
    has_keys: NDArray[np.bool_] = np.any(rows.keys, axis=1)
    for number in range(int(numbers[0]), int(numbers[-1]) + 1) if numbers.size else ():
        begin, end = np.searchsorted(numbers, np.array([number, number + 1])).tolist()
        own, in_lsh = counts[number], has_keys[begin:end]
        own.records += end - begin
        own.in_lsh += int(np.count_nonzero(in_lsh))
        own.text_bytes += int(rows.bytes[begin:end][rows.status[begin:end] != BAD].sum())
        if rows.ranks is not None:
            own.count_unranked((rows.ranks[begin:end][in_lsh] == UNRANKED).sum(axis=0).tolist())
    for index, bad in batch.bad.items():
        own = counts[numbers[index]]
        own.bad += 1
        own.first_bad = own.first_bad or (bad.position, bad.reason)


def _warn_of_unidentified(bundle: Bundle, counts: Sequence[PieceCounts], identified: set[int], fields: Fields) -> None:
    without = [number for number, own in enumerate(counts) if own.records > own.bad and number not in identified]
    if without:
        documents = sum(counts[number].records - counts[number].bad for number in without)
        more = f" and {len(without) - 1:,} other shards" if len(without) > 1 else ""
        LOGGER.warning(
            f"{bundle.pieces[without[0]].file.path}{more}: none of {documents:,} documents has the field that id_field "
            f"names, {'.'.join(fields.document_id)!r}; correct the setting if they should have one"
        )


def too_many_bad(file: ShardFile, counts: PieceCounts, allowed: float, text_field: str) -> TooManyBadRecords:
    """The error for a shard of which more than ``allowed`` is broken; most of it alike is a fault of the whole file."""
    position, reason = counts.first_bad or (0, "")
    remedy = file.format.remedy(file, reason, text_field) if counts.bad * 2 > counts.records else ""
    if not remedy:
        remedy = "mend or remove the shard" + (", or raise max_bad_fraction" if counts.bad < counts.records else "")
    return TooManyBadRecords(
        f"{file.path}: {counts.bad:,} of {counts.records:,} records read are bad ({counts.bad / counts.records:.1%}, "
        f"allowed are {allowed:.1%}), the first at byte {position:,}: {reason}; {remedy}"
    )


def _rows(
    batch: RecordBatch, sketcher: TextSketcher, settings: SketchSettings, care: Care | None, matches: MatchesWriter
) -> Rows:
    count, sound = batch.ids.size, batch.sound
    sketches = sketch_one_by_one(batch, sketcher, care.at) if care else sketcher.sketch(batch.texts)
    status = np.full(count, BAD, dtype=np.uint8)
    status[sound] = np.where(sketches.cleaned < settings.params.min_cleaned_characters, SHORT, SOUND)
    sizes = batch.sizes.copy()
    sizes[sound] = sketches.sizes
    cleaned = np.zeros(count, dtype=np.int64)
    cleaned[sound] = sketches.cleaned
    rewritten = np.zeros(count, dtype=np.bool_)
    rewritten[sound] = sketches.rewritten
    rewritten[batch.repaired] = True
    keys = np.zeros((count, settings.params.bands), dtype=np.uint64)
    keys[sound] = sketches.keys
    hashes = np.zeros((count, 2), dtype=np.uint64)
    hashes[sound] = sketches.hashes
    minima = None
    if sketches.minima is not None:
        minima = np.zeros((count, settings.shape.minima), dtype=np.uint8)
        minima[sound] = sketches.minima
    if settings.screen is not None:
        taking_part = status[sound] == SOUND
        found = settings.screen.found(
            batch.texts.chosen(taking_part), sketches.rewritten[taking_part], settings.params.normalisation
        )
        places = sound[taking_part][found.texts]
        matches.append(batch.ids[places], batch.sources[places], found)
        if settings.screen.action == "remove":
            status[places] = CONTAMINATED
            keys[places] = 0
    return Rows(
        ids=batch.ids,
        sources=batch.sources,
        status=status,
        bytes=sizes,
        cleaned=cleaned,
        rewritten=rewritten,
        keys=keys,
        hashes=hashes,
        minima=minima,
        ranks=ranks_of(settings.preferences, cleaned, batch.preferred) if settings.preferences else None,
        document_ids=pa.array(batch.document_ids, DOCUMENT_ID.type) if settings.fields.document_id else None,
    )


def _quarantined(bad: BadRecord, piece: Piece) -> bytes:
    record = {
        "shard": piece.file.relative,
        "position": bad.position,
        "reason": bad.reason,
        "bytes": bad.size,
        "first_bytes": bad.first.decode("utf-8", "backslashreplace"),
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
