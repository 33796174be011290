"""Near held-out: which texts say nearly what a held-out one says, and so are not for train.

One task, as it takes all shards to tell which runs stand in many documents; how it is decided, and what it costs, is in
:mod:`slimpajama.tokens.near_texts`. Its file of contents goes to the shuffle, which leaves them out and counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import write_array
from slimpajama.storage.paths import path_of
from slimpajama.tokens.held_out_runs import HeldOutFiles
from slimpajama.tokens.near_texts import SharingFiles, near_contents
from slimpajama.tokens.stages.held_out_texts import HeldOutTextsResult
from slimpajama.tokens.stages.shared_runs import SharedRunsResult, held_out_files
from slimpajama.tokens.token_run import TokenRun

__all__ = ["NearHeldOutPayload", "NearHeldOutResult", "NearHeldOutStage"]


@dataclass(frozen=True, slots=True)
class NearHeldOutPayload:
    """The runs of held-out texts, what each shard shares with them, the share that is too much, and the result.

    ``sources``: of each file of held-out texts.
    """

    held_out: HeldOutFiles
    sources: tuple[str, ...]
    files: tuple[SharingFiles, ...]
    share: float
    contents_file: Path


class NearHeldOutResult(StageResult, frozen=True, kw_only=True):
    """The contents that are not for train: so many, as ``uint64[2 * contents]``, sorted.

    ``common``: by source, how many held-out texts are not searched for, as most of each stands in many documents.
    """

    contents: int
    common: dict[str, int]
    contents_file: FileRecord


@dataclass(frozen=True)
class NearHeldOutStage(Stage[NearHeldOutPayload, NearHeldOutResult]):
    """The decision on what is ``shared`` with the held-out ``texts``."""

    tokens: TokenRun
    texts: Sequence[HeldOutTextsResult]
    shared: Sequence[SharedRunsResult]

    name: ClassVar[str] = "near-held-out"
    title: ClassVar[str] = "near held-out"
    version: ClassVar[int] = 2
    result_type = NearHeldOutResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.run_kernels",)
    scales_with: ClassVar[Scale] = "documents"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[NearHeldOutPayload]]:
        """One."""
        held_out, share = held_out_files(self.texts), self.tokens.config.holdout_overlap
        records = [record for one in self.shared for record in one.files]
        inputs = {
            "version": self.version,
            "settings": {"holdout_overlap": share},
            "held-out texts": held_out.digest,
            "shared runs": content_digest(records),
        }
        files = tuple(
            SharingFiles(path_of(one.documents_file.path), path_of(one.runs_file.path)) for one in self.shared
        )
        sources = tuple(one.source for one in self.texts)
        payload = NearHeldOutPayload(held_out, sources, files, share, self.tokens.layout.near_held_out)
        reads = written_files([*(one.runs_file for one in self.texts), *records])
        return [Task("all", payload, inputs, 1, reads)]

    @staticmethod
    def run(payload: NearHeldOutPayload) -> NearHeldOutResult:
        """Decide, and write the contents."""
        near = near_contents(payload.held_out.open(), payload.files, payload.share)
        numbers = near.contents.reshape(-1)
        common: dict[str, int] = {}
        ends = np.cumsum(payload.held_out.texts, dtype=np.int64)[:-1]
        for source, own in zip(payload.sources, np.split(near.common, ends), strict=True):
            common[source] = common.get(source, 0) + int(own.sum())
        return NearHeldOutResult(
            contents=near.contents.shape[0],
            common=common,
            contents_file=write_array(payload.contents_file, np.dtype("<u8"), numbers.size, [numbers]),
        )
