"""Tokenise: the documents of one shard become tokens, written as sorted runs of pieces.

Every kept document is encoded once, for both scopes and whatever is held out later, and carries what the later steps
need: the hash of its text (its content), its place in the shuffle, its cluster and its flags. Of the documents that may
be held out, those that a draw can reach are listed beside the runs. Memory: one batch, one run (an eighth of
``memory_bytes``) and what the encoder remembers (a quarter). Runs of a shard depend on the shard and the settings
alone. Rejected: tokenising per scope, which does most of the work twice; and drawing before tokenising, when it is not
known how many tokens a document has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import write_array
from slimpajama.tokens.columns import ColumnValues, with_columns
from slimpajama.tokens.contents import is_among, text_hashes
from slimpajama.tokens.dedup_reader import KeptShard, kept_documents
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.draw import CANDIDATE, CandidateList, HoldoutRule
from slimpajama.tokens.encoding import Backend, shared_encoder
from slimpajama.tokens.holdout import SPLITS, TRAIN, read_held_out
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.pieces import cut_into_pieces, piece_keys
from slimpajama.tokens.run_files import RUN_RECORD, RunWriter, SortedRun
from slimpajama.tokens.stages.survey import SurveyResult
from slimpajama.tokens.stages.tokenizer import TokenizerResult
from slimpajama.tokens.summary import PerScope
from slimpajama.tokens.token_run import TokenRun, shard_key
from slimpajama.tokens.tokenizer import TokenizerFile

__all__ = [
    "TokenizePayload",
    "TokenizeResult",
    "TokenizeSettings",
    "TokenizeStage",
    "tokenize_documents",
]


@dataclass(frozen=True, slots=True)
class TokenizeSettings:
    """What tokenising depends on besides the documents.

    ``rule``: of the draw. ``earlier``: a ``holdout.npy`` whose contents are to be held out, instead of a draw.
    ``piece_tokens``: length of a piece. ``memory_bytes``: per worker, for runs and the encoder. ``bucket_bytes``: size
    of the tokens of a bucket, at most, save for the luck of the hash; the order of later epochs depends on the buckets,
    so it does not follow from memory or workers.
    """

    tokenizer: TokenizerFile
    backend: Backend
    rule: HoldoutRule
    shuffle_seed: int
    piece_tokens: int = 2048
    earlier: Path | None = None
    memory_bytes: int = 1 << 30
    bucket_bytes: int = 1 << 28

    @property
    def run_bytes(self) -> int:
        """Size of a run in memory."""
        return self.memory_bytes // 8


@dataclass(frozen=True, slots=True)
class TokenizePayload:
    """One shard, to become sorted runs in the store ``layout``. ``split``: the one that it is published for.

    ``drawn``: whether documents of it may be drawn. ``columns``: the metadata that is kept of its source.
    """

    shard: KeptShard
    settings: TokenizeSettings
    layout: StoreLayout
    split: int
    drawn: bool
    columns: tuple[str, ...] = ()


class TokenizeResult(StageResult, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one shard of a source. ``text_bytes``: UTF-8 bytes that were tokenised.

    ``documents``, ``tokens``: that each scope keeps. ``all_tokens``: that either keeps. ``candidates``: the documents
    that the draw can hold out, as rows ``CANDIDATE``. ``values``: of the metadata columns, if there are some.
    """

    source: str
    shard: str
    runs: tuple[SortedRun, ...]
    text_bytes: int
    documents: PerScope
    tokens: PerScope
    all_tokens: int
    candidates: FileRecord
    values: FileRecord | None = None


@dataclass(frozen=True)
class TokenizeStage(Stage[TokenizePayload, TokenizeResult]):
    """The tokens of every shard that was ``surveyed``."""

    tokens: TokenRun
    surveyed: Sequence[SurveyResult]
    tokenizer: TokenizerResult

    name: ClassVar[str] = "tokenise"
    title: ClassVar[str] = "tokenise"
    version: ClassVar[int] = 5
    result_type = TokenizeResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled",)
    scales_with: ClassVar[Scale] = "kept text"

    @property
    def settings(self) -> TokenizeSettings:
        """What all tasks, and the stages that follow, are given."""
        config = self.tokens.config
        return TokenizeSettings(
            self.tokenizer.tokenizer,
            self.tokenizer.backend,
            self.tokens.rule,
            config.shuffle_seed,
            config.piece_tokens,
            self.tokens.earlier_file,
            self.tokens.memory,
        )

    def tasks(self) -> Sequence[Task[TokenizePayload]]:
        """One for each shard."""
        settings, config = self.settings, self.tokens.config
        inputs = {
            "version": self.version,
            "settings": {
                "backend": settings.backend,
                **config.model_dump(
                    include={
                        "holdout",
                        "holdout_least",
                        "holdout_most",
                        "holdout_seed",
                        "shuffle_seed",
                        "piece_tokens",
                    }
                ),
            },
            "tokenizer": settings.tokenizer.digest,
            "earlier holdout": self.tokens.earlier_digest(),
        }
        beside = written_files([self.tokenizer.file])
        splits = self.tokens.published
        columns = {source: self.tokens.columns_of(source) for source in self.tokens.documents.sources}
        return [
            Task(
                shard_key(shard),
                TokenizePayload(shard, settings, self.tokens.layout, split, not any(splits), columns[shard.source]),
                inputs
                | {"shard": shard.digest, "split": SPLITS[split], "drawn": not any(splits)}
                | ({"columns": columns[shard.source]} if columns[shard.source] else {}),
                survey.text_bytes,
                (*shard.files, *beside),
            )
            for shard, survey, split in zip(self.tokens.documents.shards, self.surveyed, splits, strict=True)
        ]

    @staticmethod
    def run(payload: TokenizePayload) -> TokenizeResult:
        """Tokenise one shard."""
        shard = payload.shard
        return tokenize_documents(
            kept_documents(shard, payload.columns),
            shard.source,
            shard.name,
            payload.settings,
            payload.layout,
            split=payload.split,
            drawn=payload.drawn,
            columns=payload.columns,
        )


def tokenize_documents(
    batches: Iterable[DocumentBatch],
    source: str,
    shard: str,
    settings: TokenizeSettings,
    layout: StoreLayout,
    *,
    split: int = TRAIN,
    drawn: bool = True,
    columns: Sequence[str] = (),
) -> TokenizeResult:
    """Tokenise the documents of one shard of ``source`` into runs of the store ``layout``.

    ``split``: the one that the shard is published for. ``drawn``: whether documents of it may be drawn. ``columns``:
    the metadata that is kept. Raises :class:`ConservationError` where a batch's flags and clusters contradict each
    other, and :class:`ConfigError` where a column has too many values.
    """
    encoder = shared_encoder(settings.tokenizer, settings.backend, settings.memory_bytes)
    earlier = None if settings.earlier is None else read_held_out(settings.earlier)["text"]
    writer = RunWriter(layout.runs_of(source), shard, encoder.dtype, settings.run_bytes)
    reachable = CandidateList(settings.rule)
    listed = [np.zeros(0, dtype=CANDIDATE)]
    counts = {what: {"global": 0, "local": 0} for what in ("documents", "tokens")}
    text_bytes = all_tokens = 0
    row, values = with_columns(RUN_RECORD, columns), ColumnValues(source, columns)
    for batch in batches:
        beat()
        _check(batch, source)
        encoded = batch.texts.encoded()
        tokens, lengths = encoder.encode(encoded)
        text_bytes += int(batch.texts.sizes.sum())
        all_tokens += tokens.size
        documents = np.zeros(len(encoded), dtype=row)
        for name in ("kept_global", "kept_local", "duplicates_global", "duplicates_local"):
            documents[name] = getattr(batch, name)
        documents["split"] = split
        documents["ends"] = True
        documents["tokens"] = lengths
        documents["id"] = batch.ids
        documents["cluster"] = batch.clusters
        documents["text"] = text_hashes(encoded)
        for field, hashes in values.add(batch.metadata):
            documents[field] = hashes
        for scope in ("global", "local"):
            mask = documents[f"kept_{scope}"]
            counts["documents"][scope] += int(np.count_nonzero(mask))
            counts["tokens"][scope] += int(lengths[mask].sum())
        if earlier is not None:
            listed.append(_candidates(documents[is_among(documents["text"], earlier)]))
        elif split != TRAIN:
            listed.append(_candidates(documents[documents["kept_global"]]))
        elif drawn and settings.rule.share:
            reachable.add(_candidates(documents))
        pieces = cut_into_pieces(documents, settings.piece_tokens)
        pieces["key"] = piece_keys(pieces, settings.shuffle_seed, "shuffle")
        writer.add(pieces, tokens)
    writer.flush()
    found = np.concatenate([*listed, reachable.rows()])
    return TokenizeResult(
        source=source,
        shard=shard,
        runs=tuple(writer.runs),
        text_bytes=text_bytes,
        documents=_per_scope(counts["documents"]),
        tokens=_per_scope(counts["tokens"]),
        all_tokens=all_tokens,
        candidates=write_array(layout.candidates(source, shard), CANDIDATE, found.size, [found]),
        values=values.write(layout.values(source, shard)) if columns else None,
    )


def _check(batch: DocumentBatch, source: str) -> None:
    survives = batch.clusters == batch.ids
    wrong = np.flatnonzero(survives != batch.kept_global)
    if wrong.size:
        document = int(batch.ids[wrong[0]])
        raise ConservationError(
            f"document {document:#x} of source {source} is {'' if survives[wrong[0]] else 'not '}the survivor of its "
            "global cluster but marked otherwise: the decisions are inconsistent; run the deduplication again"
        )


def _candidates(documents: NDArray[np.void]) -> NDArray[np.void]:
    rows = np.zeros(documents.size, dtype=CANDIDATE)
    for name in ("text", "id", "cluster", "tokens", "split"):
        rows[name] = documents[name]
    rows["survives"] = documents["kept_global"]
    return rows


def _per_scope(counts: dict[str, int]) -> PerScope:
    return PerScope(global_=counts["global"], local=counts["local"])
