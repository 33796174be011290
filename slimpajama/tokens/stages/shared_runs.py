"""Shared runs: every document that may be in train is looked at once more, for runs of words of held-out texts.

Costs reading the deduplicated shards and hashing their words, a nanosecond or two for each byte, and a look-up of what
is found. Each shard writes its documents that share something, and the runs that they share: a few bytes for each
kilobyte of text. Nothing is decided here, as it takes all shards to tell which runs stand everywhere. Documents whose
cluster is held out, in the reserve or excluded are left alone, and so are shards of a published split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of
from slimpajama.tokens.dedup_reader import KeptShard, kept_documents
from slimpajama.tokens.held_out_runs import HeldOutFiles
from slimpajama.tokens.holdout import TRAIN, load_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.near_texts import SharingFiles, sharing_of, write_sharing
from slimpajama.tokens.stages.held_out_texts import HeldOutTextsResult
from slimpajama.tokens.stages.holdout import HoldoutResult
from slimpajama.tokens.stages.tokenize import TokenizeResult
from slimpajama.tokens.token_run import TokenRun, shard_key

__all__ = ["SharedRunsPayload", "SharedRunsResult", "SharedRunsStage", "held_out_files"]


@dataclass(frozen=True, slots=True)
class SharedRunsPayload:
    """A shard, the runs of held-out texts, and where what is shared goes."""

    shard: KeptShard
    layout: StoreLayout
    held_out: HeldOutFiles
    files: SharingFiles


class SharedRunsResult(StageResult, frozen=True, kw_only=True):
    """What the documents of one shard share with held-out texts; see :class:`SharingFiles`."""

    documents_file: FileRecord
    runs_file: FileRecord


@dataclass(frozen=True)
class SharedRunsStage(Stage[SharedRunsPayload, SharedRunsResult]):
    """The search for the runs of the held-out ``texts`` in all that was ``tokenized``."""

    tokens: TokenRun
    tokenized: Sequence[TokenizeResult]
    holdout: HoldoutResult
    texts: Sequence[HeldOutTextsResult]

    name: ClassVar[str] = "shared-runs"
    title: ClassVar[str] = "shared runs"
    version: ClassVar[int] = 1
    result_type = SharedRunsResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled", "slimpajama.dedup.run_kernels")
    scales_with: ClassVar[Scale] = "kept text"

    def tasks(self) -> Sequence[Task[SharedRunsPayload]]:
        """One for each shard that documents of train may come from."""
        layout, held_out = self.tokens.layout, held_out_files(self.texts)
        inputs = {
            "version": self.version,
            "holdout": content_digest([self.holdout.drawn]),
            "held-out texts": held_out.digest,
        }
        beside = written_files([self.holdout.drawn, *(one.runs_file for one in self.texts)])
        found = zip(self.tokens.documents.shards, self.tokenized, self.tokens.published, strict=True)
        return [
            Task(
                shard_key(shard),
                SharedRunsPayload(shard, layout, held_out, SharingFiles(*layout.sharing(shard.source, shard.name))),
                inputs | {"shard": shard.digest},
                tokenized.text_bytes,
                (*shard.files, *beside),
            )
            for shard, tokenized, split in found
            if split == TRAIN
        ]

    @staticmethod
    def run(payload: SharedRunsPayload) -> SharedRunsResult:
        """Look at the documents of one shard."""
        holdout, held_out = load_holdout(payload.layout.drawn), payload.held_out.open()
        parts = []
        for batch in kept_documents(payload.shard):
            beat()
            texts = batch.texts.chosen(holdout.places(batch.clusters) < 0)
            parts.append(sharing_of(texts, held_out))
        documents, runs = write_sharing(payload.files, parts)
        return SharedRunsResult(documents_file=documents, runs_file=runs)


def held_out_files(texts: Sequence[HeldOutTextsResult]) -> HeldOutFiles:
    """Where the runs of held-out ``texts`` lie."""
    records = [one.runs_file for one in texts]
    return HeldOutFiles(
        tuple(path_of(record.path) for record in records),
        tuple(one.texts for one in texts),
        sum(one.runs for one in texts),
        content_digest(records),
    )
