"""Finish: check what the shuffle wrote, then write the index of the token store and its summary.

Every document and every token is accounted for, source by source and scope by scope, no cluster and no text may be on
two sides of the split, and every piece of a document must be there; only then the store gets its index, without which
nobody takes it for one. ``holdout.npy`` is written of what lies in the buckets, so that it can be made again from them.
Reads the rows of pieces, no tokens. Memory: 24 bytes for each held-out document, and the rows of a bucket.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import fingerprint, write_json
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array
from slimpajama.storage.paths import path_of
from slimpajama.tokens.column_counts import column_values, count_values
from slimpajama.tokens.columns import ColumnValues, read_values
from slimpajama.tokens.contents import is_among, sorted_contents
from slimpajama.tokens.draw import HoldoutAccount
from slimpajama.tokens.held_out_rows import Entries, write_holdout
from slimpajama.tokens.holdout import LEFT_OUT, SPLITS, TRAIN
from slimpajama.tokens.holdout_warnings import holdout_warnings
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.pieces import begins
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.stages.held_out_texts import HeldOutTextsStage
from slimpajama.tokens.stages.holdout import HoldoutResult, HoldoutStage
from slimpajama.tokens.stages.near_held_out import NearHeldOutStage
from slimpajama.tokens.stages.shared_runs import SharedRunsStage
from slimpajama.tokens.stages.shuffle import BucketResult, ShuffleStage
from slimpajama.tokens.stages.survey import SurveyResult, SurveyStage, removed_of_split
from slimpajama.tokens.stages.tokenize import TokenizeResult, TokenizeStage
from slimpajama.tokens.stages.tokenizer import TokenizerResult, TokenizerStage
from slimpajama.tokens.store import BucketEntry, StoreContent, StoreIndex
from slimpajama.tokens.summary import (
    ColumnValue,
    Counts,
    PerScope,
    ScopeAccount,
    SourceAccount,
    TokenizerUsed,
    TokenSummary,
)
from slimpajama.tokens.token_run import TokenRun
from slimpajama.tokens.tokenizer import TokenizerFile

__all__ = [
    "FinishPayload",
    "FinishResult",
    "FinishStage",
    "KeptFile",
    "check_store",
    "store_inputs",
]


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
    """What earlier stages found, and what the summary says besides. ``columns``: the metadata kept, by source."""

    layout: StoreLayout
    sources: tuple[str, ...]
    tokenized: tuple[TokenizeResult, ...]
    buckets: tuple[BucketResult, ...]
    shuffle_seed: int
    piece_tokens: int
    backend: str
    tokenizer: TokenizerFile
    tokenizer_name: str
    holdout: HoldoutAccount
    warnings: tuple[str, ...]
    seconds: float
    tokenizer_file: KeptFile
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    common_held_out: Mapping[str, int] = field(default_factory=dict)


class FinishResult(StageResult, frozen=True, kw_only=True):
    """The finished store. ``beside``: the tokenizer and the holdout that it was made with."""

    summary: TokenSummary
    index_file: FileRecord
    summary_file: FileRecord
    bucket_files: tuple[FileRecord, ...]
    beside: tuple[KeptFile, ...]


@dataclass(frozen=True)
class FinishStage(Stage[FinishPayload, FinishResult]):
    """The check of what earlier stages wrote, in ``seconds`` so far.

    ``common_held_out``: by source, held-out documents that were not searched for.
    """

    tokens: TokenRun
    surveyed: Sequence[SurveyResult]
    holdout: HoldoutResult
    tokenizer: TokenizerResult
    tokenized: Sequence[TokenizeResult]
    buckets: Sequence[BucketResult]
    seconds: float
    common_held_out: Mapping[str, int]

    name: ClassVar[str] = "store"
    title: ClassVar[str] = "token store"
    version: ClassVar[int] = 6
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
            shuffle_seed=config.shuffle_seed,
            piece_tokens=config.piece_tokens,
            backend=self.tokenizer.backend,
            tokenizer=self.tokenizer.tokenizer,
            tokenizer_name=config.tokenizer or "trained on this corpus",
            holdout=self.holdout.account,
            warnings=(*self.tokenizer.warnings, *self.tokens.earlier_tokenizer_warnings(self.tokenizer.digest)),
            seconds=round(self.seconds, 3),
            tokenizer_file=KeptFile.of(self.tokenizer.file, layout),
            columns={
                source: columns
                for source in self.tokens.documents.sources
                if (columns := self.tokens.columns_of(source))
            },
            common_held_out=self.common_held_out,
        )
        payload = replace(payload, warnings=(*payload.warnings, *self._holdout_warnings(payload)))
        values = [result.values for result in self.tokenized if result.values]
        reads = written_files([*(file for bucket in self.buckets for file in bucket.files), *values])
        weight = sum(bucket.bytes for bucket in self.buckets)
        return [Task("all", payload, store_inputs(self.tokens), weight, reads)]

    def _holdout_warnings(self, payload: FinishPayload) -> list[str]:
        tokens = {source: _account(source, payload).global_.tokens for source in payload.sources}
        removed = removed_of_split(self.tokens.documents, self.surveyed)
        return holdout_warnings(payload.holdout, tokens, self.common_held_out, removed)

    @staticmethod
    def run(payload: FinishPayload) -> FinishResult:
        """Check the store, then write its index and its summary."""
        layout = payload.layout
        accounts = {source: _account(source, payload) for source in payload.sources}
        content = StoreContent(
            shuffle_seed=payload.shuffle_seed,
            piece_tokens=payload.piece_tokens,
            vocabulary=payload.tokenizer.vocabulary,
            end_of_text=payload.tokenizer.end_of_text,
            tokenizer=payload.tokenizer.digest,
            sources=_entries(payload.sources, payload.buckets),
            columns=payload.columns or msgspec.UNSET,
        )
        check_store(layout, payload.sources, content.sources)
        for source, columns in payload.columns.items():
            values = _columns(source, columns, payload)
            accounts[source] = msgspec.structs.replace(accounts[source], columns=values)
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
            beside=(KeptFile.of(write_holdout(layout, content.sources), layout), payload.tokenizer_file),
        )


def store_inputs(tokens: TokenRun) -> dict[str, object]:
    """All that a finished store depends on, known before any stage has run."""
    stages = (
        SurveyStage,
        TokenizerStage,
        TokenizeStage,
        HoldoutStage,
        HeldOutTextsStage,
        SharedRunsStage,
        NearHeldOutStage,
        ShuffleStage,
        FinishStage,
    )
    return {
        "versions": {stage.name: stage.version for stage in stages},
        "settings": tokens.config.model_dump(mode="json", exclude={"holdout_from"}),
        "earlier holdout": tokens.earlier_digest(),
        "tokenizer": tokens.given_tokenizer(),
        "documents": fingerprint([[shard.source, shard.name, shard.digest] for shard in tokens.documents.shards]),
    }


def check_store(layout: StoreLayout, sources: Sequence[str], entries: Entries) -> None:
    """Read back every piece's row and see that no global cluster and no text is in two splits, and no piece is missing.

    Nothing the stages knew is used: what is held out is what lies in validation and test. Raises
    :class:`ConservationError` naming a cluster, or the source of which a piece is missing.
    """
    clusters = np.zeros(0, dtype=np.uint64)
    contents = np.zeros((0, 2), dtype=np.uint64)
    for split in reversed(SPLITS):
        held_clusters, held_contents = [clusters], [contents]
        for source in sources:
            missing = _Missing()
            for number in range(len(entries[source][split])):
                beat()
                files = layout.bucket(source, split, number)
                rows = map_array(files.documents)
                if int(rows["tokens"].sum(dtype=np.int64)) != map_array(files.tokens).size:
                    raise ConservationError(
                        f"{files.tokens} does not hold the tokens that its rows say; remove {layout.root} and run again"
                    )
                both = np.isin(rows["cluster"], clusters) | is_among(rows["text"], contents)
                if both.any():
                    raise ConservationError(
                        f"global cluster {int(rows['cluster'][both][0]):#x} has a document in {source}/{split} and "
                        f"one, or its text, in another split; remove {layout.root} and run again, and report this"
                    )
                missing.add(rows)
                if split != SPLITS[TRAIN]:
                    held_clusters.append(np.array(rows["cluster"][begins(rows)]))
                    held_contents.append(np.array(rows["text"][begins(rows)]))
            if split == SPLITS[TRAIN] and missing:
                raise ConservationError(
                    f"{source}/{split} lacks a piece of a document, or has one twice; remove {layout.root} and run "
                    "again, and report this"
                )
        clusters = np.unique(np.concatenate(held_clusters))
        contents = sorted_contents(np.concatenate(held_contents))


class _Missing:
    """Whether pieces of documents are missing; true where they are. Sums alone, whatever the number of documents."""

    def __init__(self) -> None:
        self._ids = 0
        self._pieces = 0

    def add(self, rows: NDArray[np.void]) -> None:
        """Take the rows of a bucket."""
        first, last = begins(rows), rows["ends"]
        # Each document begins once and ends once, and its last piece says how many come after the first.
        mixed = seeded_hash(rows["id"], 0, "pieces of a document")
        self._ids += int(mixed[first].sum(dtype=np.uint64)) - int(mixed[last].sum(dtype=np.uint64))
        self._pieces += int(rows["piece"][last].sum(dtype=np.int64)) - int(np.count_nonzero(~first))

    def __bool__(self) -> bool:
        return self._ids % 2**64 != 0 or self._pieces != 0


def _entries(sources: Sequence[str], buckets: Sequence[BucketResult]) -> dict[str, dict[str, tuple[BucketEntry, ...]]]:
    in_order = sorted(buckets, key=lambda bucket: bucket.number)
    return {
        source: {
            split: tuple(bucket.entry for bucket in in_order if (bucket.source, bucket.split) == (source, split))
            for split in SPLITS
        }
        for source in sources
    }


def _account(source: str, payload: FinishPayload) -> SourceAccount:
    """Documents of a source by what became of them and tokens by split, per scope, checked against each other."""
    shards = [result for result in payload.tokenized if result.source == source]
    own = [bucket for bucket in payload.buckets if bucket.source == source]
    return SourceAccount(
        text_bytes=sum(result.text_bytes for result in shards),
        global_=_scope_account(source, "global", shards, own),
        local=_scope_account(source, "local", shards, own),
        common_held_out=payload.common_held_out.get(source, 0),
    )


def _columns(source: str, columns: Sequence[str], payload: FinishPayload) -> dict[str, tuple[ColumnValue, ...]]:
    """The values of a source's columns, with what train has of each."""
    seen = ColumnValues(source, columns)
    for result in payload.tokenized:
        if result.source == source and result.values is not None:
            seen.merge(read_values(path_of(result.values.path)))
    buckets = [bucket for bucket in payload.buckets if (bucket.source, bucket.split) == (source, SPLITS[TRAIN])]
    rows = (map_array(path_of(bucket.documents_file.path)) for bucket in buckets)
    counts = count_values(rows, columns)
    return {column: column_values(source, column, counts[column], seen.shown(column)) for column in columns}


def _scope_account(
    source: str, scope: str, shards: Sequence[TokenizeResult], buckets: Sequence[BucketResult]
) -> ScopeAccount:
    documents = _counts(
        sum(result.documents.of(scope) for result in shards),
        [(bucket.split, bucket.documents.of(scope), _of_scope(bucket.left_documents, scope)) for bucket in buckets],
    )
    tokens = _counts(
        sum(result.tokens.of(scope) for result in shards),
        [(bucket.split, bucket.tokens.of(scope), _of_scope(bucket.left_tokens, scope)) for bucket in buckets],
    )
    for what, counts in (("documents", documents), ("tokens", tokens)):
        if counts.out != counts.in_:
            states = {split: counts.of(split) for split in SPLITS} | counts.left_out
            raise ConservationError(
                f"source {source}, {scope} scope: {counts.in_} {what} went in but {counts.out} came out "
                f"({', '.join(f'{count} {state}' for state, count in states.items())}); "
                "remove the token store and run again, and report this"
            )
    return ScopeAccount(documents=documents, tokens=tokens)


def _of_scope(counts: Mapping[str, PerScope], scope: str) -> dict[str, int]:
    return {why: count.of(scope) for why, count in counts.items()}


def _counts(came_in: int, buckets: Sequence[tuple[str, int, Mapping[str, int]]]) -> Counts:
    """``buckets``: of each, the split, how many are in it, and how many it leaves out, by why."""
    kept = {split: sum(count for name, count, _ in buckets if name == split) for split in SPLITS}
    left_out = {why: sum(left.get(why, 0) for _, _, left in buckets) for why in (*LEFT_OUT, "beyond")}
    return Counts(in_=came_in, **kept, **left_out)
