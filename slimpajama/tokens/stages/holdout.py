"""Holdout: draw the clusters of validation and test from the candidates of all shards.

One task, because which documents are drawn depends on all of them. Reads the candidates, some tens of megabytes for a
billion documents; how they are drawn is in :mod:`slimpajama.tokens.holdout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array
from slimpajama.storage.paths import path_of
from slimpajama.tokens.holdout import HoldoutAccount, candidates, draw_holdout
from slimpajama.tokens.stages.survey import SurveyResult
from slimpajama.tokens.token_run import TokenRun

__all__ = ["HoldoutPayload", "HoldoutResult", "HoldoutStage", "SourceCandidates"]


@dataclass(frozen=True, slots=True)
class SourceCandidates:
    """One source: how many ``survivors`` it has, and the files of those that can be drawn."""

    source: str
    survivors: int
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class HoldoutPayload:
    """The candidates of each source, rate and seed of the draw, and where the holdout goes."""

    sources: tuple[SourceCandidates, ...]
    rate: float
    seed: int
    holdout_file: Path


class HoldoutResult(StageResult, frozen=True, kw_only=True):
    """How many documents were drawn of each source, and the ``clusters`` that are held out."""

    account: HoldoutAccount
    clusters: FileRecord


@dataclass(frozen=True)
class HoldoutStage(Stage[HoldoutPayload, HoldoutResult]):
    """The draw from what was ``surveyed``, shard by shard."""

    tokens: TokenRun
    surveyed: Sequence[SurveyResult]

    name: ClassVar[str] = "holdout"
    title: ClassVar[str] = "holdout"
    version: ClassVar[int] = 2
    result_type = HoldoutResult
    scales_with: ClassVar[Scale] = "documents"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[HoldoutPayload]]:
        """One."""
        config = self.tokens.config
        by_source = self._by_source()
        sources = tuple(
            SourceCandidates(
                source, sum(one.survivors for one in own), tuple(path_of(one.candidates.path) for one in own)
            )
            for source, own in by_source.items()
        )
        inputs = {
            "version": self.version,
            "settings": {"holdout": config.holdout, "seed": config.seed},
            "survey": fingerprint(
                [
                    [source, [[one.survivors, content_digest([one.candidates])] for one in own]]
                    for source, own in by_source.items()
                ]
            ),
        }
        payload = HoldoutPayload(sources, config.holdout, config.seed, self.tokens.layout.holdout)
        return [Task("all", payload, inputs, 1, written_files(one.candidates for one in self.surveyed))]

    def _by_source(self) -> dict[str, list[SurveyResult]]:
        documents = self.tokens.documents
        found: dict[str, list[SurveyResult]] = {source: [] for source in documents.sources}
        for shard, result in zip(documents.shards, self.surveyed, strict=True):
            found[shard.source].append(result)
        return found

    @staticmethod
    def run(payload: HoldoutPayload) -> HoldoutResult:
        """Draw the holdout and write it."""
        chosen = {}
        for source in payload.sources:
            joined = np.zeros(0, dtype=np.uint64)
            for file in source.files:
                joined = candidates(np.concatenate([joined, map_array(file)]), payload.rate, payload.seed)
            chosen[source.source] = joined
        survivors = {source.source: source.survivors for source in payload.sources}
        holdout, account = draw_holdout(chosen, survivors, payload.rate, payload.seed)
        return HoldoutResult(account=account, clusters=holdout.save(payload.holdout_file))
