"""Survey: how many documents of a shard are kept, and how much text they are.

Reads two columns of the decisions, no text, and writes nothing. Of a shard that is published as held out, it also
counts the documents that were removed, by the shards of the input that their survivors lie in: they are in no split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq

from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.storage.paths import opened
from slimpajama.tokens.dedup_reader import DedupOutput, KeptShard, read_rows, removed_rows
from slimpajama.tokens.holdout import SPLITS, TRAIN
from slimpajama.tokens.holdout_warnings import RemovedOfSplit
from slimpajama.tokens.token_run import TokenRun, shard_key

__all__ = ["SurveyPayload", "SurveyResult", "SurveyStage", "removed_of_split"]


@dataclass(frozen=True, slots=True)
class SurveyPayload:
    """One shard."""

    shard: KeptShard


class SurveyResult(StageResult, frozen=True, kw_only=True):
    """What one shard holds. ``survivors``: documents kept globally. ``text_bytes``: of all kept documents.

    ``removed``: of a held-out shard, numbers of shards of the input, and how many documents are removed for a survivor
    in each.
    """

    survivors: int
    text_bytes: int
    removed: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class SurveyStage(Stage[SurveyPayload, SurveyResult]):
    """A look at the decisions on every shard."""

    tokens: TokenRun

    name: ClassVar[str] = "survey"
    title: ClassVar[str] = "survey"
    version: ClassVar[int] = 5
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
            removed=_removed(payload.shard) if payload.shard.split != SPLITS[TRAIN] and not payload.shard.rest else (),
        )


def _removed(shard: KeptShard) -> tuple[tuple[int, int], ...]:
    with opened(shard.decisions) as decisions:
        table = pq.read_table(decisions, columns=["cluster_global"], filters=removed_rows(shard))
    survivors = table.column("cluster_global").to_numpy().astype(np.uint64)
    numbers, counts = np.unique(survivors >> np.uint64(POSITION_BITS), return_counts=True)
    return tuple(zip(numbers.tolist(), counts.tolist(), strict=True))


def removed_of_split(documents: DedupOutput, surveyed: Sequence[SurveyResult]) -> RemovedOfSplit:
    """What is in no split because another split, or train of an earlier source, has a duplicate of it."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for shard, survey in zip(documents.shards, surveyed, strict=True):
        for number, count in survey.removed:
            stays = documents.splits[number]
            if stays != shard.split:
                of_source = found.setdefault((shard.split, stays), {})
                of_source[shard.source] = of_source.get(shard.source, 0) + count
    return dict(sorted(found.items()))
