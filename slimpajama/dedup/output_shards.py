"""Which records of a bundle are kept, and the shards of one part of it.

Where both scopes keep the same records of a part, the shard is compressed once and written twice; where they differ in
one record, it is compressed twice (two scopes cannot share a part of a zstd frame, and more than one frame per file
would be lost on common readers). The stage that puts parts together is :mod:`slimpajama.dedup.stages.write`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.config.dedup import Scope
from slimpajama.corpus.bundle_records import bundle_batches
from slimpajama.corpus.content import PartsCheck
from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.line_batch import END_OF_PART, LineBatch
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.corpus.shard_formats import ShardFormat
from slimpajama.corpus.shard_writer import DuplicateCounts, Replacements, ShardWriter, kept_batches
from slimpajama.dedup.counted_duplicates import COUNT_COLUMNS, CountedDuplicates
from slimpajama.dedup.files.layout import OutputShard
from slimpajama.dedup.files.sketches import row_batches
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import opened
from slimpajama.text.normalisation import Normalisation, normaliser

__all__ = ["KeptRecords", "Reading", "batches_of_kept", "kept_records", "write_part"]

_BITS = {"global": 1, "local": 2}
"""Of a record's code: kept in that scope. The rest of the code is its source."""


def write_part(
    outputs: Sequence[OutputShard],
    codes: NDArray[np.uint16],
    batches: Iterator[LineBatch],
    format: ShardFormat,
    level: int,
) -> tuple[list[FileRecord], int]:
    """Write one line for each of ``codes``; returns the records of the files, and how many lines there were."""
    paths: dict[int, dict[int, Path]] = {}
    for shard in outputs:
        paths.setdefault(shard.source, {})[_BITS[shard.scope]] = shard.path
    count = 0
    with ExitStack() as stack:
        writers: list[ShardWriter] = []
        receiving: list[NDArray[np.bool_]] = []  # by code
        for source, by_bit in paths.items():
            differ = any(np.any(codes == source << 2 | bit) for bit in by_bit)
            groups = [[bit] for bit in by_bit] if differ else [list(by_bit)]
            for bits in groups:
                writer = ShardWriter(stack, [by_bit[bit] for bit in bits], format.encoder(level))
                writers.append(writer)
                received = np.zeros(source + 1 << 2, dtype=np.bool_)
                received[[source << 2 | flags for flags in range(1, 4) if any(flags & bit for bit in bits)]] = True
                receiving.append(received)
        for batch in batches:
            if not batch:  # the part ends here, and is what was read first
                break
            own = codes[count : count + len(batch)]
            count += len(batch)
            for writer, received in zip(writers, receiving, strict=True):
                writer.write(batch.chosen(received.take(own, mode="clip") & (own < received.size)))
        for writer in writers:
            writer.finish()
    records = {record.path: record for writer in writers for record in writer.records}
    return [records[str(shard.path)] for shard in outputs], count


@dataclass(frozen=True, slots=True)
class KeptRecords:
    """The records of a bundle that some output keeps. ``pieces`` ``int64[n]``: the number of the piece of each.
    ``positions`` ``int64[n]``, ``rewritten`` ``bool[n]`` and ``codes`` ``uint16[n]``: ``source << 2`` and ``_BITS``.
    ``counts``: what they stand for, where that is wanted."""

    pieces: NDArray[np.int64]
    positions: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    codes: NDArray[np.uint16]
    counts: DuplicateCounts | None

    def of_source(self, source: int) -> KeptRecords:
        """Those of one source."""
        own = np.flatnonzero(self.codes >> 2 == source)
        counts = self.counts and DuplicateCounts(self.counts.table, self.counts.numbers[own])
        return KeptRecords(self.pieces[own], self.positions[own], self.rewritten[own], self.codes[own], counts)


class Reading(Protocol):
    """How a bundle was read when it was deduplicated."""

    @property
    def reader(self) -> LineReader:
        """How its lines are read."""
        ...

    @property
    def fields(self) -> Fields:
        """Where its records hold their texts."""
        ...

    @property
    def normalisation(self) -> Normalisation:
        """What its texts are stored as."""
        ...


def kept_records(
    bundle: Bundle,
    decisions_file: Path,
    rows_file: Path,
    scopes: Collection[Scope],
    start: int,
    source_names: Sequence[str] | None = None,
) -> KeptRecords:
    """What any of the ``scopes`` keeps from position ``start`` on; with ``source_names``, what it stands for, too."""
    import pyarrow.parquet as pq

    source_of_shard = {shard.index: shard.source for shard in bundle.shards}
    shards = np.array(sorted(source_of_shard), dtype=np.int64)
    sources = np.array([source_of_shard[shard] for shard in shards.tolist()], dtype=np.uint16)
    rewritten = np.concatenate(
        [np.zeros(0, dtype=np.bool_), *(flags for (flags,) in row_batches(rows_file, ["rewritten"]))]
    )
    counting = CountedDuplicates(source_names) if source_names is not None else None
    columns = ["id", "position", "kept_global", "kept_local", *(COUNT_COLUMNS if counting else ())]
    kept: list[tuple[NDArray[Any], ...]] = []
    row = 0
    with opened(decisions_file) as decisions, pq.ParquetFile(decisions) as file:
        for batch in file.iter_batches(columns=columns):
            flags = np.zeros(batch.num_rows, dtype=np.uint16)
            for scope in scopes:
                flags |= batch.column(f"kept_{scope}").to_numpy(zero_copy_only=False) * np.uint16(_BITS[scope])
            positions = batch.column("position").to_numpy()
            chosen = np.flatnonzero((flags != 0) & (positions >= start))
            ids = batch.column("id").to_numpy()[chosen]
            own = sources[np.searchsorted(shards, (ids >> np.uint64(POSITION_BITS)).astype(np.int64))]
            numbers = bundle.numbers_of(ids)
            kept.append((numbers, positions[chosen], rewritten[row + chosen], own << 2 | flags[chosen]))
            if counting:
                counting.add(batch.take(pa.array(chosen)), own)
            row += batch.num_rows
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_), np.zeros(0, np.uint16))
    found = [np.concatenate(column) for column in zip(empty, *kept, strict=True)]
    return KeptRecords(found[0], found[1], found[2], found[3], counting.counts() if counting else None)


def batches_of_kept(
    bundle: Bundle,
    kept: KeptRecords,
    reading: Reading,
    parts: Sequence[int],
    content: Sequence[str],
    replaced: Replacements | None = None,
) -> Iterator[LineBatch]:
    """The output lines of the records ``kept`` of a bundle, from the first of ``parts`` on; each part is followed by an
    empty batch, once it has proved to be what was read first.

    ``parts``: positions at which the parts of the only piece begin, or 0; ``content``: their digests, or those of
    several pieces. Raises :class:`InputChanged`.
    """

    def batches_of(number: int, rows: slice, starts: Sequence[int], digests: Sequence[str]) -> Iterator[LineBatch]:
        piece = bundle.pieces[number]
        # How much of a shard that breaks off can be read depends on where reading began.
        whole = starts[0] == 0 or reading.reader.truncated != "keep"
        return kept_batches(
            piece,
            reading.reader,
            kept.positions[rows],
            (kept.codes[rows] >> 2).astype(np.int64),
            kept.rewritten[rows],
            normaliser(reading.normalisation),
            starts[0],
            reading.fields,
            replaced,
            PartsCheck(piece, starts, digests, compare_last=whole),
            kept.counts if kept.counts is None or len(bundle.pieces) == 1 else kept.counts.among(rows),
        )

    if len(bundle.pieces) == 1:
        yield from batches_of(0, slice(None), parts, content)
        return
    yield from bundle_batches(
        bundle, kept.pieces, kept.positions, lambda number, rows: batches_of(number, rows, parts, content[number:][:1])
    )
    yield END_OF_PART
