"""Finish: check what the shuffle wrote, then write the index of the token store and its summary.

Every document is accounted for, source by source and scope by scope, and no cluster may have documents on two sides of
the split; only then the store gets its index, without which nobody takes it for one. Reads the documents' rows, no
tokens. Memory: 8 bytes for each held-out document, and the rows of a bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import fingerprint, write_json
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array
from slimpajama.tokens.holdout import SPLITS, TEST, TRAIN, Holdout, HoldoutAccount
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.stages.held_out import HeldOutStage
from slimpajama.tokens.stages.holdout import HoldoutResult, HoldoutStage
from slimpajama.tokens.stages.shuffle import BucketResult, ShuffleStage
from slimpajama.tokens.stages.survey import SurveyStage
from slimpajama.tokens.stages.tokenize import TokenizeResult, TokenizeStage
from slimpajama.tokens.stages.tokenizer import TokenizerResult, TokenizerStage
from slimpajama.tokens.store import BucketEntry, StoreContent, StoreIndex
from slimpajama.tokens.summary import (
    DocumentCounts,
    PerSplit,
    ScopeAccount,
    SourceAccount,
    TokenizerUsed,
    TokenSummary,
)
from slimpajama.tokens.token_run import TokenRun
from slimpajama.tokens.tokenizer import TokenizerFile

__all__ = ["FinishPayload", "FinishResult", "FinishStage", "KeptFile", "check_store", "store_inputs"]


class KeptFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file beside the buckets that an earlier stage wrote and can write again, by its name in the store.

    It is no :class:`FileRecord`, because the store still holds where such a file is gone.
    """

    name: str
    bytes: int
    blake2b: str

    @classmethod
    def of(cls, record: FileRecord, layout: StoreLayout) -> KeptFile:
        """The file of a stage's result."""
        return cls(layout.relative(record.path), record.bytes, record.blake2b)

    def record(self, layout: StoreLayout) -> FileRecord:
        """As the result of its stage holds it."""
        return FileRecord(str(layout.root / self.name), self.bytes, self.blake2b)


@dataclass(frozen=True, slots=True)
class FinishPayload:
    """What earlier stages found, and what the summary says besides."""

    layout: StoreLayout
    sources: tuple[str, ...]
    tokenized: tuple[TokenizeResult, ...]
    buckets: tuple[BucketResult, ...]
    seed: int
    backend: str
    tokenizer: TokenizerFile
    tokenizer_name: str
    holdout: HoldoutAccount
    warnings: tuple[str, ...]
    seconds: float
    beside: tuple[KeptFile, ...]


class FinishResult(StageResult, frozen=True, kw_only=True):
    """The finished store. ``beside``: the tokenizer and the holdout that it was made with."""

    summary: TokenSummary
    index_file: FileRecord
    summary_file: FileRecord
    bucket_files: tuple[FileRecord, ...]
    beside: tuple[KeptFile, ...]


@dataclass(frozen=True)
class FinishStage(Stage[FinishPayload, FinishResult]):
    """The check of what earlier stages wrote, in ``seconds`` so far."""

    tokens: TokenRun
    holdout: HoldoutResult
    tokenizer: TokenizerResult
    tokenized: Sequence[TokenizeResult]
    buckets: Sequence[BucketResult]
    seconds: float

    name: ClassVar[str] = "store"
    title: ClassVar[str] = "token store"
    version: ClassVar[int] = 4
    result_type = FinishResult
    scales_with: ClassVar[Scale] = "kept text"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[FinishPayload]]:
        """One."""
        layout, config = self.tokens.layout, self.tokens.config
        payload = FinishPayload(
            layout=layout,
            sources=self.tokens.documents.sources,
            tokenized=tuple(self.tokenized),
            buckets=tuple(self.buckets),
            seed=config.seed,
            backend=self.tokenizer.backend,
            tokenizer=self.tokenizer.tokenizer,
            tokenizer_name=config.tokenizer or "trained on this corpus",
            holdout=self.holdout.account,
            warnings=self.tokenizer.warnings,
            seconds=round(self.seconds, 3),
            beside=tuple(KeptFile.of(file, layout) for file in (self.holdout.clusters, self.tokenizer.file)),
        )
        reads = written_files(file for bucket in self.buckets for file in bucket.files)
        weight = sum(bucket.bytes for bucket in self.buckets)
        return [Task("all", payload, store_inputs(self.tokens), weight, reads)]

    @staticmethod
    def run(payload: FinishPayload) -> FinishResult:
        """Check the store, then write its index and its summary."""
        layout = payload.layout
        accounts = {source: _account(source, payload.tokenized, payload.buckets) for source in payload.sources}
        content = StoreContent(
            seed=payload.seed,
            vocabulary=payload.tokenizer.vocabulary,
            end_of_text=payload.tokenizer.end_of_text,
            tokenizer=payload.tokenizer.digest,
            sources=_entries(payload.sources, payload.buckets),
        )
        check_store(layout, payload.sources, content.sources)
        # The entries carry the digests of all files: equal fingerprint, equal store.
        index = StoreIndex.of(content, fingerprint(msgspec.to_builtins(content)), payload.sources)
        summary = TokenSummary(
            backend=payload.backend,
            vocabulary=payload.tokenizer.vocabulary,
            bytes=sum(bucket.bytes for bucket in payload.buckets),
            buckets=len(payload.buckets),
            fingerprint=index.fingerprint,
            sources=accounts,
            holdout=payload.holdout,
            tokenizer=TokenizerUsed(name=payload.tokenizer_name, digest=payload.tokenizer.digest),
            warnings=payload.warnings,
            seconds=payload.seconds,
        )
        return FinishResult(
            summary=summary,
            index_file=write_json(layout.index, msgspec.to_builtins(index)),
            summary_file=write_json(layout.summary, summary.as_dict()),
            bucket_files=tuple(file for bucket in payload.buckets for file in bucket.files),
            beside=payload.beside,
        )


def store_inputs(tokens: TokenRun) -> dict[str, object]:
    """All that a finished store depends on, known before any stage has run."""
    stages = (SurveyStage, HoldoutStage, TokenizerStage, TokenizeStage, HeldOutStage, ShuffleStage, FinishStage)
    return {
        "versions": {stage.name: stage.version for stage in stages},
        "settings": tokens.config.model_dump(mode="json"),
        "tokenizer": tokens.given_tokenizer(),
        "documents": fingerprint([[shard.source, shard.name, shard.digest] for shard in tokens.documents.shards]),
    }


def check_store(
    layout: StoreLayout, sources: Sequence[str], entries: Mapping[str, Mapping[str, Sequence[BucketEntry]]]
) -> None:
    """Read back every document's row and see that no global cluster is in two splits, and that lengths add up.

    Nothing the stages knew is used: the held-out clusters are those of the validation and test documents as they
    lie on disk. Raises :class:`ConservationError` naming a cluster.
    """
    seen = np.zeros(0, dtype=np.uint64)
    for split in reversed(SPLITS):
        here = []
        for source, number in ((name, number) for name in sources for number in range(len(entries[name][split]))):
            beat()
            files = layout.bucket(source, split, number)
            documents = map_array(files.documents)
            if int(documents["tokens"].sum(dtype=np.int64)) != map_array(files.tokens).size:
                raise ConservationError(
                    f"{files.tokens} does not hold the tokens that its documents say; "
                    f"remove {layout.root} and run again"
                )
            clusters = np.ascontiguousarray(documents["cluster"])
            both = clusters[Holdout(seen, np.full(seen.size, TEST, dtype=np.uint8)).split_of(clusters) != TRAIN]
            if both.size:
                raise ConservationError(
                    f"global cluster {int(both[0]):#x} has a document in {source}/{split} and one in another split; "
                    f"remove {layout.root} and run again, and report this"
                )
            here.append(clusters if split != SPLITS[TRAIN] else clusters[:0])
        seen = np.unique(np.concatenate([seen, *here]))


def _entries(sources: Sequence[str], buckets: Sequence[BucketResult]) -> dict[str, dict[str, tuple[BucketEntry, ...]]]:
    in_order = sorted(buckets, key=lambda bucket: bucket.number)
    return {
        source: {
            split: tuple(bucket.entry for bucket in in_order if (bucket.source, bucket.split) == (source, split))
            for split in SPLITS
        }
        for source in sources
    }


def _account(source: str, tokenized: Sequence[TokenizeResult], buckets: Sequence[BucketResult]) -> SourceAccount:
    """Documents of a source by what became of them and tokens by split, per scope, checked against each other."""
    shards = [result for result in tokenized if result.source == source]
    own = [bucket for bucket in buckets if bucket.source == source]
    return SourceAccount(
        text_bytes=sum(result.text_bytes for result in shards),
        global_=_scope_account(source, "global", shards, own),
        local=_scope_account(source, "local", shards, own),
    )


def _scope_account(
    source: str, scope: str, shards: Sequence[TokenizeResult], buckets: Sequence[BucketResult]
) -> ScopeAccount:
    documents, tokens = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    for bucket in buckets:
        documents[bucket.split] += bucket.documents.of(scope)
        tokens[bucket.split] += bucket.tokens.of(scope)
    counts = DocumentCounts(
        in_=sum(result.documents.in_.of(scope) for result in shards),
        excluded=sum(result.documents.excluded.of(scope) for result in shards),
        decontaminated=sum(bucket.decontaminated.of(scope) for bucket in buckets),
        **documents,
    )
    if counts.out != counts.in_:
        states = {**documents, "excluded": counts.excluded, "decontaminated": counts.decontaminated}
        raise ConservationError(
            f"source {source}, {scope} scope: {counts.in_} documents went in but {counts.out} came out "
            f"({', '.join(f'{count} {state}' for state, count in states.items())}); "
            "remove the token store and run again, and report this"
        )
    return ScopeAccount(documents=counts, tokens=PerSplit(**tokens))
