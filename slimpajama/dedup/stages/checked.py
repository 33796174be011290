"""Checked: the clusters of checked removals, when all rounds are done.

One task that copies the table of the last round to where the clusters of any deduplication lie. As long as its marker
holds, no round is looked at, so what the rounds left can be removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from slimpajama.dedup.checking.rounds import CHECK, GUESSES, ROUNDS, WIDEST, threshold_held
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.stages.all_rows import rows_digests
from slimpajama.dedup.stages.candidates import CandidatesStage
from slimpajama.dedup.stages.cluster import ClusterResult
from slimpajama.dedup.stages.compare import CompareStage
from slimpajama.dedup.stages.estimate import EstimateStage
from slimpajama.dedup.stages.greedy import GreedyStage
from slimpajama.dedup.stages.link import LinkResult
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.dedup.stages.texts import TextsStage
from slimpajama.stages.stage import Scale, Stage, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import atomic_file, content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import opened, path_of

__all__ = ["CheckFigures", "CheckedPayload", "CheckedResult", "CheckedStage"]


ROUND_STAGES = (CandidatesStage, EstimateStage, TextsStage, CompareStage, GreedyStage)
"""What the table of the last round comes from."""


class CheckFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was checked in how many ``rounds``.

    Pairs of documents that agree in a band, by what settled them: equal texts (``copies``), the signatures
    (``estimated``) or the texts (``compared``); ``similar``: those that reach the threshold. ``left_out``: comparisons
    within a band that the last round did not make.
    """

    rounds: int
    copies: int
    estimated: int
    compared: int
    similar: int
    left_out: int


class CheckedResult(ClusterResult, frozen=True, kw_only=True):
    """The clusters, and what was checked."""

    checks: CheckFigures


@dataclass(frozen=True, slots=True)
class CheckedPayload:
    """The ``table`` of the last round, what was checked, and where the clusters go."""

    table: Path
    linked: int
    checks: CheckFigures
    clusters_file: Path


@dataclass(frozen=True)
class CheckedStage(Stage[CheckedPayload, CheckedResult]):
    """The clusters of ``links`` of what was ``sketched``, by the ``table`` of the last round once it is known."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    links: Sequence[LinkResult]
    copies: Sequence[FileRecord]
    table: FileRecord | None = None
    linked: int = 0
    checks: CheckFigures | None = None

    name: ClassVar[str] = "checked"
    title: ClassVar[str] = CHECK
    version: ClassVar[int] = 1
    result_type = CheckedResult
    scales_with: ClassVar[Scale] = "links"
    single: ClassVar[bool] = True

    @property
    def inputs(self) -> dict[str, object]:
        """All that the clusters depend on."""
        dedup = self.dedup
        return {
            "version": [self.version, *(stage.version for stage in ROUND_STAGES)],
            "rounds": [GUESSES, ROUNDS, WIDEST],
            "threshold": threshold_held(dedup.config),
            "links": fingerprint([content_digest([result.links]) for result in self.links]),
            "copies": content_digest(self.copies),
            **rows_digests(dedup, self.sketched),
            "texts": fingerprint([list(result.content) for result in self.sketched]),
            "sources": asdict(dedup.sources),
            "prefer": list(dedup.config.prefer),
        }

    def tasks(self) -> Sequence[Task[CheckedPayload]]:
        """One."""
        if self.table is None or self.checks is None:
            raise ValueError("the last round is not done")
        payload = CheckedPayload(path_of(self.table.path), self.linked, self.checks, self.dedup.layout.clusters)
        return [Task("all", payload, self.inputs, self.table.bytes, written_files([self.table]))]

    @staticmethod
    def run(payload: CheckedPayload) -> CheckedResult:
        """Copy the table."""
        with opened(payload.table) as source, atomic_file(payload.clusters_file) as file:
            shutil.copyfileobj(source, file)
        return CheckedResult(linked=payload.linked, table=file.record, checks=payload.checks)
