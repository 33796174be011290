"""Held-out texts: gather the hashes of all held-out texts, so that training documents of equal text can be removed.

One task, because a text may be held out in one source and be a training document in another. Reads the held-out
documents of each run, 16 bytes each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, write_array
from slimpajama.storage.paths import path_of
from slimpajama.tokens.decontamination import sorted_hashes
from slimpajama.tokens.holdout import TRAIN
from slimpajama.tokens.stages.tokenize import TokenizeResult
from slimpajama.tokens.token_run import TokenRun

__all__ = ["HeldOutPayload", "HeldOutResult", "HeldOutStage", "runs_digest"]


@dataclass(frozen=True, slots=True)
class HeldOutPayload:
    """The documents of all runs, and where the hashes go."""

    documents_files: tuple[Path, ...]
    texts_file: Path


class HeldOutResult(StageResult, frozen=True, kw_only=True):
    """The sorted hashes of the held-out texts, ``uint64[2 * n]``."""

    texts: FileRecord


@dataclass(frozen=True)
class HeldOutStage(Stage[HeldOutPayload, HeldOutResult]):
    """The held-out texts of what was ``tokenized``."""

    tokens: TokenRun
    tokenized: Sequence[TokenizeResult]

    name: ClassVar[str] = "held-out"
    title: ClassVar[str] = "held-out texts"
    version: ClassVar[int] = 4
    result_type = HeldOutResult
    scales_with: ClassVar[Scale] = "kept text"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[HeldOutPayload]]:
        """One."""
        runs = [run for result in self.tokenized for run in result.runs]
        payload = HeldOutPayload(tuple(path_of(run.documents.path) for run in runs), self.tokens.layout.held_out_texts)
        inputs = {"version": self.version, "runs": runs_digest(self.tokenized)}
        reads = written_files(file for result in self.tokenized for file in result.files)
        return [Task("all", payload, inputs, 1, reads)]

    @staticmethod
    def run(payload: HeldOutPayload) -> HeldOutResult:
        """Write the hashes."""
        hashes = [np.zeros((0, 2), dtype=np.uint64)]
        for file in payload.documents_files:
            documents = map_array(file)
            hashes.append(np.array(documents["text"][bisect_left(documents["split"], TRAIN + 1) :]))
        held_out = sorted_hashes(np.concatenate(hashes))
        return HeldOutResult(texts=write_array(payload.texts_file, held_out.dtype, held_out.size, [held_out.ravel()]))


def runs_digest(tokenized: Sequence[TokenizeResult]) -> str:
    """A digest of what all runs hold."""
    return fingerprint([content_digest(result.files) for result in tokenized])
