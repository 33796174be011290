"""Held-out texts: the 13-word runs of what was drawn, shard by shard, for the search that follows.

Only shards with held-out documents are read, once more. Each writes a file of rows ``HELD_OUT_RUN``: 12 bytes for a
run, some 10 KB for a page. Rejected: keeping the runs of all documents that could be drawn while tokenising (eight
times as many, and nobody knows yet which).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import write_array
from slimpajama.tokens.dedup_reader import KeptShard, kept_documents
from slimpajama.tokens.held_out_runs import HELD_OUT_RUN, beginnings, distinct_runs
from slimpajama.tokens.holdout import TEST, VALIDATION, load_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.stages.holdout import HoldoutResult
from slimpajama.tokens.token_run import TokenRun, shard_key

__all__ = ["HeldOutTextsPayload", "HeldOutTextsResult", "HeldOutTextsStage"]


@dataclass(frozen=True, slots=True)
class HeldOutTextsPayload:
    """A shard in which held-out documents lie, and where their runs go."""

    shard: KeptShard
    layout: StoreLayout
    runs_file: Path


class HeldOutTextsResult(StageResult, frozen=True, kw_only=True):
    """The ``runs`` of so many held-out ``texts`` of a ``source``."""

    source: str
    texts: int
    runs: int
    runs_file: FileRecord


@dataclass(frozen=True)
class HeldOutTextsStage(Stage[HeldOutTextsPayload, HeldOutTextsResult]):
    """The runs of what the ``holdout`` drew."""

    tokens: TokenRun
    holdout: HoldoutResult

    name: ClassVar[str] = "held-out-texts"
    title: ClassVar[str] = "held-out texts"
    version: ClassVar[int] = 2
    result_type = HeldOutTextsResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled", "slimpajama.dedup.run_kernels")
    scales_with: ClassVar[Scale] = "kept text"

    def tasks(self) -> Sequence[Task[HeldOutTextsPayload]]:
        """One for each shard that holds one."""
        layout = self.tokens.layout
        inputs = {"version": self.version, "holdout": content_digest([self.holdout.drawn])}
        beside = written_files([self.holdout.drawn])
        return [
            Task(
                shard_key(shard),
                HeldOutTextsPayload(shard, layout, layout.held_out_runs(shard.source, shard.name)),
                inputs | {"shard": shard.digest},
                1,
                (*shard.files, *beside),
            )
            for shard in self.tokens.documents.shards
            if shard.name in self.holdout.shards.get(shard.source, ())
        ]

    @staticmethod
    def run(payload: HeldOutTextsPayload) -> HeldOutTextsResult:
        """Hash the held-out texts of one shard."""
        holdout = load_holdout(payload.layout.drawn)
        texts, parts = 0, [np.zeros(0, dtype=HELD_OUT_RUN)]
        for batch in kept_documents(payload.shard):
            beat()
            places = holdout.places(batch.clusters)
            states = np.where(batch.clusters == batch.ids, holdout.states[places], 0)  # survivors stand for clusters
            chosen = np.flatnonzero((places >= 0) & ((states == VALIDATION) | (states == TEST)))
            own = places[chosen]
            found = distinct_runs(beginnings(batch.texts.chosen(chosen), holdout.given[own], holdout.whole[own]))
            rows = np.zeros(found.hashes.size, dtype=HELD_OUT_RUN)
            rows["run"] = found.hashes
            rows["text"] = np.repeat(np.arange(chosen.size) + texts, np.diff(found.offsets))
            parts.append(rows)
            texts += chosen.size
        count = sum(part.size for part in parts)
        return HeldOutTextsResult(
            source=payload.shard.source,
            texts=texts,
            runs=count,
            runs_file=write_array(payload.runs_file, HELD_OUT_RUN, count, parts),
        )
