"""Survey: how many documents of a shard are kept, and which of them the holdout could draw.

Reads three columns of the decisions, no text. What comes back per shard is a few thousand ids however large it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq

from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import write_array
from slimpajama.storage.paths import opened
from slimpajama.tokens.dedup_reader import KeptShard, read_rows
from slimpajama.tokens.holdout import candidates
from slimpajama.tokens.token_run import TokenRun, shard_key

__all__ = ["SurveyPayload", "SurveyResult", "SurveyStage"]


@dataclass(frozen=True, slots=True)
class SurveyPayload:
    """One shard, the rate and seed of the draw, and where the candidates go."""

    shard: KeptShard
    rate: float
    seed: int
    candidates_file: Path


class SurveyResult(StageResult, frozen=True, kw_only=True):
    """What one shard holds.

    ``survivors``: documents kept globally. ``text_bytes``: of all kept documents. ``candidates``: the survivors that
    the holdout could draw, ``uint64[k]``.
    """

    survivors: int
    text_bytes: int
    candidates: FileRecord


@dataclass(frozen=True)
class SurveyStage(Stage[SurveyPayload, SurveyResult]):
    """A look at the decisions on every shard."""

    tokens: TokenRun

    name: ClassVar[str] = "survey"
    title: ClassVar[str] = "survey"
    version: ClassVar[int] = 3
    result_type = SurveyResult
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[SurveyPayload]]:
        """One for each shard."""
        config, layout = self.tokens.config, self.tokens.layout
        return [
            Task(
                shard_key(shard),
                SurveyPayload(shard, config.holdout, config.seed, layout.survey(shard.source, shard.name)),
                {
                    "version": self.version,
                    "settings": {"holdout": config.holdout, "seed": config.seed},
                    "shard": shard.digest,
                },
                1,
                shard.files[1:],
            )
            for shard in self.tokens.documents.shards
        ]

    @staticmethod
    def run(payload: SurveyPayload) -> SurveyResult:
        """Look at the decisions on one shard, and write the candidates."""
        with opened(payload.shard.decisions) as decisions:
            table = pq.read_table(decisions, columns=["id", "kept_global", "bytes"], filters=read_rows(payload.shard))
        ids = table.column("id").to_numpy()[table.column("kept_global").to_numpy()]
        chosen = candidates(ids, payload.rate, payload.seed)
        return SurveyResult(
            survivors=int(ids.size),
            text_bytes=int(table.column("bytes").to_numpy().sum()),
            candidates=write_array(payload.candidates_file, chosen.dtype, chosen.size, [chosen]),
        )
