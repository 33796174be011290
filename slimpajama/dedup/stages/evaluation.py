"""Evaluation: the items of all evaluation sets are read and indexed, before any document is.

One task, as the sets are small beside a corpus: about a minute for a million items. What it depends on are the bytes of
the files, not their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from slimpajama.config.decontaminate import DecontaminateConfig
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.evaluation_index import IndexFiles, item_runs, table_entries
from slimpajama.dedup.evaluation_items import EvaluationFile, evaluation_files, read_items
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.storage.atomic import content_digest, file_record
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of
from slimpajama.text.nfc import nfc

__all__ = ["EvaluationPayload", "EvaluationResult", "EvaluationStage", "IndexedFile", "index_files"]


@dataclass(frozen=True, slots=True)
class EvaluationPayload:
    """The files of all sets, and where the index goes. ``ngram``: words of a run."""

    files: tuple[EvaluationFile, ...]
    index: IndexFiles
    ngram: int


class IndexedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file: the set it is of, its path below the set's folder, and how many items it holds.

    ``lines``: of the items; those of all files are numbered on. ``not_checkable``: of too few words to be looked for.
    """

    set_name: str
    name: str
    lines: tuple[int, ...]
    not_checkable: int


class EvaluationResult(StageResult, frozen=True, kw_only=True):
    """What was indexed, and the arrays of the index."""

    files_read: tuple[IndexedFile, ...]
    arrays: tuple[FileRecord, ...]

    @property
    def items(self) -> int:
        """How many there are."""
        return sum(len(file.lines) for file in self.files_read)


@dataclass(frozen=True)
class EvaluationStage(Stage[EvaluationPayload, EvaluationResult]):
    """The index of the sets that ``chosen`` names."""

    dedup: DedupRun
    chosen: DecontaminateConfig

    name: ClassVar[str] = "evaluation"
    title: ClassVar[str] = "evaluation items"
    version: ClassVar[int] = 1
    result_type = EvaluationResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.run_kernels",)
    scales_with: ClassVar[Scale] = "fixed"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[EvaluationPayload]]:
        """One."""
        files = tuple(evaluation_files(self.chosen))
        records = [file_record(path_of(file.path)) for file in files]
        inputs: dict[str, object] = {
            "version": self.version,
            "ngram": self.chosen.ngram,
            "overlap": self.chosen.overlap,
            "sets": [
                [file.set_name, file.name, file.fields, record.bytes, record.blake2b]
                for file, record in zip(files, records, strict=True)
            ],
        }
        index = IndexFiles(self.dedup.layout.evaluation, self.chosen.overlap)
        payload = EvaluationPayload(files, index, self.chosen.ngram)
        return [Task("all", payload, inputs, sum(record.bytes for record in records))]

    @staticmethod
    def run(payload: EvaluationPayload) -> EvaluationResult:
        """Read and index all items."""
        index = payload.index
        every = [read_items(file) for file in payload.files]
        texts = [nfc(item.text) for items in every for item in items]
        runs = item_runs(texts, payload.ngram)
        arrays = index.write(runs, table_entries(runs, texts, index.overlap))
        checkable, place = runs.counts > 0, 0
        files = []
        for file, items in zip(payload.files, every, strict=True):
            own = checkable[place : place + len(items)]
            lines = tuple(item.line for item in items)
            files.append(IndexedFile(file.set_name, file.name, lines, int((~own).sum())))
            place += len(items)
        return EvaluationResult(files_read=tuple(files), arrays=arrays)


def index_files(dedup: DedupRun, evaluation: EvaluationResult) -> IndexFiles:
    """Where the index of a run lies, with its digest."""
    chosen = dedup.config.decontaminate
    if chosen is None:
        raise ValueError("the run is not decontaminated")
    return IndexFiles(dedup.layout.evaluation, chosen.overlap, content_digest(evaluation.arrays))
