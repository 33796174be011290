"""Texts: documents that a round compares by their texts are read again, each shard as a stream, and put aside.

Only lines of needed documents are parsed. What is read is compared with what the first pass read, so a shard that has
changed since is noticed. Documents of an earlier run are read from the input of that run. Holds 32 MB of text.
Rejected: random reads (a compressed shard has no beginning but its first byte), and keeping all linked texts from the
first pass (which of them are linked is not known then).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import orjson
from numpy.typing import NDArray

from slimpajama.corpus.bundle_records import bundle_batches
from slimpajama.corpus.content import PartsCheck
from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.corpus.line_batch import in_batches
from slimpajama.corpus.shard_writer import kept_lines
from slimpajama.dedup.checking.rounds import PairWork, ReadingPass
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.pairs import NeededTexts, read_pairs, share_of
from slimpajama.dedup.files.sketches import read_columns
from slimpajama.dedup.files.spilled_texts import SpillWriter
from slimpajama.dedup.stages.diff import spans_of
from slimpajama.dedup.stages.estimate import EstimateResult
from slimpajama.dedup.stages.sketch import forget_sketch
from slimpajama.errors import InputChanged
from slimpajama.stages.stage import Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import atomic_file, content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of
from slimpajama.text.normalisation import normaliser
from slimpajama.versions import versions

__all__ = ["TextsPayload", "TextsResult", "TextsStage"]


@dataclass(frozen=True, slots=True)
class TextsPayload:
    """The texts of one bundle that ``needed_files`` list and one pass takes."""

    source: TextSource
    needed_files: tuple[Path, ...]
    reading: ReadingPass
    texts_file: Path


class TextsResult(StageResult, frozen=True, kw_only=True):
    """How many texts were put aside."""

    texts: int
    spilled: FileRecord


@dataclass(frozen=True)
class TextsStage(Stage[TextsPayload, TextsResult]):
    """The texts that ``estimated`` pairs of a round need in one ``reading`` pass over ``sources``."""

    dedup: DedupRun
    sources: Sequence[TextSource]
    estimated: Sequence[EstimateResult]
    reading: ReadingPass
    work: PairWork

    name: ClassVar[str] = "texts"
    title: ClassVar[str] = "read texts"
    version: ClassVar[int] = 1
    result_type = TextsResult

    @property
    def label(self) -> str:
        """One for each round and pass."""
        return self.work.label(self.reading.label(self.title))

    def tasks(self) -> Sequence[Task[TextsPayload]]:
        """One for each bundle that holds a needed text."""
        shards = {shard for result in self.estimated for shard in result.shards}
        needed = [result.needed for result in self.estimated]
        tasks = []
        for number, source in enumerate(self.sources):
            if shards.isdisjoint(shard.index for shard in source.bundle.shards):
                continue
            key = f"{self.reading.number}-{number}"
            inputs: dict[str, object] = {
                "version": [self.version, versions()["unicode"]],
                "needed": content_digest(needed),
                "content": list(source.content),
                "pass": asdict(self.reading),
            }
            payload = TextsPayload(
                source=source,
                needed_files=tuple(path_of(record.path) for record in needed),
                reading=self.reading,
                texts_file=self.work.texts / f"{key}.arrow",
            )
            reads = written_files(needed)
            tasks.append(Task(key, payload, inputs, source.bundle.input_bytes, reads))
        return tasks

    @staticmethod
    def run(payload: TextsPayload) -> TextsResult:
        """Put the needed texts of one bundle aside. Raises :class:`InputChanged` where a shard is another by now."""
        source = payload.source
        try:
            return _put_aside(payload)
        except InputChanged as fault:
            if source.sketch_marker is not None and source.sketch_parts is not None:
                forget_sketch(source.sketch_marker, source.sketch_parts)
                raise
            raise InputChanged(
                f"{source.bundle.paths} has changed since it was deduplicated, and its texts are "
                "needed to compare removals; bring back what it was, or run that deduplication again"
            ) from fault


def _put_aside(payload: TextsPayload) -> TextsResult:
    source, bundle, reading = payload.source, payload.source.bundle, payload.reading
    needed = _needed_of(payload)
    ids, first = np.unique(needed.ids, return_index=True)
    ends = [*first.tolist()[1:], needed.ids.size]
    by_position = np.lexsort((ids & _POSITION, bundle.numbers_of(ids)))
    numbers = bundle.numbers_of(ids)[by_position]
    positions = (ids & _POSITION).astype(np.int64)[by_position]
    all_ids, sources, rewritten = read_columns(source.rows_file, ["id", "source", "rewritten"])
    order = np.argsort(all_ids)
    rows = order[np.searchsorted(all_ids, ids[by_position], sorter=order)]
    shares = share_of(needed.spreads, reading.shares)
    normalise = normaliser(source.normalisation)

    def lines_of(number: int, own: slice) -> Iterator[bytes]:
        if own.start == own.stop:
            return iter(())
        piece = bundle.pieces[number]
        content = source.content if len(bundle.pieces) == 1 else source.content[number : number + 1]
        return kept_lines(
            piece,
            source.reader,
            positions[own],
            sources[rows[own]].astype(np.int64),
            rewritten[rows[own]],
            normalise,
            0,
            source.fields,
            check=PartsCheck(piece, source.parts, content),
        )

    with atomic_file(payload.texts_file) as file:
        writer = SpillWriter(file)
        batches = bundle_batches(bundle, numbers, positions, lambda *piece: in_batches(lines_of(*piece)))
        lines = (line for batch in batches for line in batch.lines())
        for at, line in zip(by_position.tolist(), lines, strict=True):
            text = orjson.loads(line)["text"].encode()
            entries = slice(int(first[at]), ends[at])
            wanted = zip(needed.is_candidate[entries].tolist(), shares[entries].tolist(), strict=True)
            for is_candidate, share in sorted(set(wanted)):
                writer.append(share, is_candidate, int(ids[at]), text)
        writer.close()
    return TextsResult(texts=ids.size, spilled=file.record)


_POSITION = np.uint64((1 << POSITION_BITS) - 1)


def _needed_of(payload: TextsPayload) -> NeededTexts:
    """What is needed of a bundle, by id."""
    parts: list[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]] = []
    for path in payload.needed_files:
        needed = read_pairs(path, NeededTexts)
        for low, high in spans_of(payload.source.bundle):
            begin, end = np.searchsorted(needed.ids, np.array([low, high], dtype=np.uint64))
            parts.append((needed.ids[begin:end], needed.spreads[begin:end], needed.is_candidate[begin:end]))
    ids, spreads, is_candidate = (np.concatenate(column) for column in zip(*parts, strict=True))
    shares = share_of(spreads, payload.reading.shares)
    own = np.flatnonzero((shares >= payload.reading.first) & (shares < payload.reading.last))
    order = own[np.argsort(ids[own], kind="stable")]
    return NeededTexts(ids[order], spreads[order], is_candidate[order])
