"""Candidates: for each band and range of keys, the pairs of documents that a round compares.

A task reads the links of its range, learns which documents stay so far, and lists pairs (see
:mod:`slimpajama.dedup.checking.candidates`). It holds 160 bytes for each linked document of the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from slimpajama.dedup.checking.candidates import buckets_of, candidates_of
from slimpajama.dedup.checking.fates import Stays, stays
from slimpajama.dedup.checking.rounds import CheckRound
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.pairs import PairsToCompare, write_pairs
from slimpajama.dedup.files.row_lookup import ranks_of
from slimpajama.dedup.lsh import read_links
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.stages.link import LinkResult
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["CandidatesPayload", "CandidatesResult", "CandidatesStage"]


@dataclass(frozen=True, slots=True)
class CandidatesPayload:
    """The links of one range, which documents stay by ``tables`` of fates, and where the pairs go."""

    links_file: Path
    tables: tuple[Path, ...]
    rows_list: Path
    precedence: Precedence
    window: int
    pairs_file: Path


class CandidatesResult(StageResult, frozen=True, kw_only=True):
    """How many pairs there are, and how many comparisons within a bucket the window left out."""

    pairs: int
    left_out: int
    table: FileRecord


@dataclass(frozen=True)
class CandidatesStage(Stage[CandidatesPayload, CandidatesResult]):
    """The candidates of ``links`` in one round."""

    dedup: DedupRun
    links: Sequence[LinkResult]
    round: CheckRound

    name: ClassVar[str] = "candidates"
    title: ClassVar[str] = "candidates"
    version: ClassVar[int] = 2
    result_type = CandidatesResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)
    scales_with: ClassVar[Scale] = "links"

    @property
    def label(self) -> str:
        """One for each round."""
        return self.round.work.label(self.title)

    def tasks(self) -> Sequence[Task[CandidatesPayload]]:
        """One for each file of links."""
        dedup, tables = self.dedup, self.round.tables
        inputs = {
            "version": self.version,
            "window": self.round.window,
            "fates": content_digest(tables),
            "sources": asdict(dedup.sources),
            "prefer": list(dedup.config.prefer),
        }
        return [
            Task(
                str(number),
                CandidatesPayload(
                    links_file=path_of(result.links.path),
                    tables=tuple(path_of(table.path) for table in tables),
                    rows_list=dedup.layout.rows_list,
                    precedence=dedup.precedence,
                    window=self.round.window,
                    pairs_file=self.round.work.folder / f"candidates-{number}.arrow",
                ),
                inputs | {"links": content_digest([result.links])},
                result.links.bytes,
                written_files([result.links, *tables]),
            )
            for number, result in enumerate(self.links)
        ]

    @staticmethod
    def run(payload: CandidatesPayload) -> CandidatesResult:
        """List the pairs of one range."""
        bucketed = buckets_of(read_links(payload.links_file))
        fates: Stays = stays(bucketed.ids, payload.tables)
        precedence = payload.precedence
        found = candidates_of(
            bucketed,
            fates.in_global,
            fates.in_local,
            precedence.sources,
            payload.window,
            precedence.first_own,
            precedence.places(bucketed.ids, ranks_of(payload.rows_list, bucketed.ids, precedence)),
        )
        record = write_pairs(payload.pairs_file, PairsToCompare(found.documents, found.candidates))
        return CandidatesResult(pairs=found.documents.size, left_out=found.left_out, table=record)
