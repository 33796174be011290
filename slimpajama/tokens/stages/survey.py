"""Survey: how many documents of a shard are kept, and how much text they are.

Reads two columns of the decisions, no text, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow.parquet as pq

from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.storage.paths import opened
from slimpajama.tokens.dedup_reader import KeptShard, read_rows
from slimpajama.tokens.token_run import TokenRun, shard_key

__all__ = ["SurveyPayload", "SurveyResult", "SurveyStage"]


@dataclass(frozen=True, slots=True)
class SurveyPayload:
    """One shard."""

    shard: KeptShard


class SurveyResult(StageResult, frozen=True, kw_only=True):
    """What one shard holds. ``survivors``: documents kept globally. ``text_bytes``: of all kept documents."""

    survivors: int
    text_bytes: int


@dataclass(frozen=True)
class SurveyStage(Stage[SurveyPayload, SurveyResult]):
    """A look at the decisions on every shard."""

    tokens: TokenRun

    name: ClassVar[str] = "survey"
    title: ClassVar[str] = "survey"
    version: ClassVar[int] = 4
    result_type = SurveyResult
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[SurveyPayload]]:
        """One for each shard."""
        return [
            Task(
                shard_key(shard),
                SurveyPayload(shard),
                {"version": self.version, "shard": shard.digest},
                1,
                shard.files[1:],
            )
            for shard in self.tokens.documents.shards
        ]

    @staticmethod
    def run(payload: SurveyPayload) -> SurveyResult:
        """Look at the decisions on one shard."""
        with opened(payload.shard.decisions) as decisions:
            table = pq.read_table(decisions, columns=["kept_global", "bytes"], filters=read_rows(payload.shard))
        return SurveyResult(
            survivors=int(table.column("kept_global").to_numpy().sum()),
            text_bytes=int(table.column("bytes").to_numpy().sum()),
        )
