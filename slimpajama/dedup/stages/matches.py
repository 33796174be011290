"""Matches: what all bundles found of evaluation items becomes one table, and is counted by set and source.

The table is for people and for other programs: each row names a document by id, source, shard and position, and an
item by its set, file and line. One task; it holds the matches of one bundle and a bit for each item and source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.contamination import read_matches
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.matches_table import MATCHES_SCHEMA
from slimpajama.dedup.stages.evaluation import EvaluationResult, IndexedFile
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import atomic_file, content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["MatchesPayload", "MatchesResult", "MatchesStage", "SetFigures"]


@dataclass(frozen=True, slots=True)
class MatchesPayload:
    """The ``found`` files, and for each the shards by their numbers; the items' files, and where the table goes."""

    found: tuple[tuple[Path, dict[int, str]], ...]
    files_read: tuple[IndexedFile, ...]
    source_names: tuple[str, ...]
    table_file: Path


class SetFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One evaluation set: its ``items``, those that are ``not_checkable`` as they have too few words, and those that
    were ``found`` in documents; ``documents``: how many of each source hold an item of it."""

    items: int
    not_checkable: int
    found: int
    documents: dict[str, int]


class MatchesResult(StageResult, frozen=True, kw_only=True):
    """``documents``: how many of each source match an item of any set; ``sets``: by name."""

    documents: dict[str, int]
    sets: dict[str, SetFigures]
    table: FileRecord


@dataclass(frozen=True)
class MatchesStage(Stage[MatchesPayload, MatchesResult]):
    """The table of what was found in what was ``sketched`` of the items of ``evaluation``."""

    dedup: DedupRun
    evaluation: EvaluationResult
    sketched: Sequence[SketchResult]

    name: ClassVar[str] = "matches"
    title: ClassVar[str] = "evaluation matches"
    version: ClassVar[int] = 1
    result_type = MatchesResult
    scales_with: ClassVar[Scale] = "documents"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[MatchesPayload]]:
        """One."""
        dedup = self.dedup
        found = [
            (own.matches, {shard.index: piece.file.relative for piece in bundle.pieces for shard in piece.shards})
            for bundle, own in zip(dedup.corpus.bundles, self.sketched, strict=True)
            if own.matches is not None
        ]
        records = [record for record, _ in found]
        inputs: dict[str, object] = {
            "version": self.version,
            "matches": content_digest(records),
            "items": content_digest(self.evaluation.arrays),
            "sets": [[file.set_name, file.name] for file in self.evaluation.files_read],
            "sources": list(dedup.source_names),
            "shards": [sorted(shards.items()) for _, shards in found],
        }
        payload = MatchesPayload(
            tuple((path_of(record.path), shards) for record, shards in found),
            self.evaluation.files_read,
            dedup.source_names,
            dedup.layout.matches,
        )
        return [Task("all", payload, inputs, sum(record.bytes for record in records), written_files(records))]

    @staticmethod
    def run(payload: MatchesPayload) -> MatchesResult:
        """Write the table."""
        import pyarrow.parquet as pq

        files, names = payload.files_read, payload.source_names
        set_names = list(dict.fromkeys(file.set_name for file in files))
        file_of = np.repeat(np.arange(len(files)), [len(file.lines) for file in files])
        lines = np.array([line for file in files for line in file.lines], dtype=np.int64)
        set_of = np.array([set_names.index(file.set_name) for file in files], dtype=np.int64)
        seen = np.zeros(lines.size, dtype=np.bool_)
        documents = np.zeros((len(set_names) + 1, len(names)), dtype=np.int64)  # the last row: of any set
        with (
            atomic_file(payload.table_file) as file,
            pq.ParquetWriter(file, MATCHES_SCHEMA, compression="zstd", compression_level=1) as writer,
        ):
            for path, shards in payload.found:
                beat()
                table = read_matches(path).combine_chunks()
                ids, sources, items = (table.column(name).to_numpy() for name in ("id", "source", "item"))
                seen[items] = True
                sets = set_of[file_of[items]]
                for number in range(len(set_names)):
                    documents[number] += _documents(ids[sets == number], sources[sets == number], len(names))
                documents[-1] += _documents(ids, sources, len(names))
                columns = [
                    ids,
                    [names[source] for source in sources.tolist()],
                    [shards[shard] for shard in (ids >> np.uint64(POSITION_BITS)).tolist()],
                    (ids & np.uint64((1 << POSITION_BITS) - 1)).astype(np.int64),
                    [set_names[number] for number in sets.tolist()],
                    [files[number].name for number in file_of[items].tolist()],
                    lines[items],
                    *(table.column(name) for name in ("overlap", "position", "excerpt")),
                ]
                writer.write_table(pa.table(columns, schema=MATCHES_SCHEMA))
        found = np.bincount(set_of[file_of[seen]], minlength=len(set_names)).tolist()
        return MatchesResult(
            documents=dict(zip(names, documents[-1].tolist(), strict=True)),
            sets={
                name: SetFigures(
                    sum(len(one.lines) for one in files if one.set_name == name),
                    sum(one.not_checkable for one in files if one.set_name == name),
                    found[number],
                    dict(zip(names, documents[number].tolist(), strict=True)),
                )
                for number, name in enumerate(set_names)
            },
            table=file.record,
        )


def _documents(ids: NDArray[np.uint64], sources: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """``int64[count]``: how many documents there are of each source, each counted once."""
    _, first = np.unique(ids, return_index=True)
    return np.bincount(sources[first], minlength=count)
