"""Tokenise: the documents of one shard become tokens, written as sorted runs.

The shard's documents are looked up in the holdout; members of a held-out cluster that are not its survivor are
counted and go no further. The rest are encoded once, for both scopes, and every document carries what the later
steps need: its place in the shuffle, its cluster, its flags and a 128-bit hash of its text. Memory: one batch, one
run (an eighth of ``memory_bytes``) and what the encoder remembers (a quarter). Runs of a
shard depend on the shard and the settings alone. Rejected: tokenising per scope, which does most of the work twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.tokens.dedup_reader import KeptShard, kept_documents
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.encoding import Backend, shared_encoder
from slimpajama.tokens.holdout import SPLITS, TRAIN, Holdout, load_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.run_files import RUN_RECORD, RunWriter, SortedRun
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.stages.holdout import HoldoutResult
from slimpajama.tokens.stages.survey import SurveyResult
from slimpajama.tokens.stages.tokenizer import TokenizerResult
from slimpajama.tokens.summary import PerScope, PerSplit
from slimpajama.tokens.token_run import TokenRun, shard_key
from slimpajama.tokens.tokenizer import TokenizerFile

__all__ = [
    "TokenizePayload",
    "TokenizeResult",
    "TokenizeSettings",
    "TokenizeStage",
    "TokenizedDocuments",
    "tokenize_documents",
]


@dataclass(frozen=True, slots=True)
class TokenizeSettings:
    """What tokenising depends on besides the documents.

    ``holdout``: what :meth:`Holdout.save` wrote. ``memory_bytes``: per worker, for runs and the encoder.
    ``bucket_bytes``: size of the tokens of a bucket, at most, save for the luck of the hash; the order of later epochs
    depends on the buckets, so it does not follow from memory or workers.
    """

    tokenizer: TokenizerFile
    backend: Backend
    holdout: Path
    seed: int
    memory_bytes: int = 1 << 30
    bucket_bytes: int = 1 << 28

    @property
    def run_bytes(self) -> int:
        """Size of a run in memory."""
        return self.memory_bytes // 8


@dataclass(frozen=True, slots=True)
class TokenizePayload:
    """One shard, to become sorted runs in the store ``layout``."""

    shard: KeptShard
    settings: TokenizeSettings
    layout: StoreLayout


class TokenizedDocuments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents that came ``in``, went to each split, or were ``excluded`` because their cluster is held out."""

    in_: PerScope = msgspec.field(name="in")
    train: PerScope
    validation: PerScope
    test: PerScope
    excluded: PerScope


class TokenizeResult(StageResult, frozen=True, kw_only=True):
    """What came of one shard of a source. ``text_bytes``: UTF-8 bytes that were tokenised."""

    source: str
    shard: str
    runs: tuple[SortedRun, ...]
    text_bytes: int
    tokens: PerSplit
    documents: TokenizedDocuments


@dataclass(frozen=True)
class TokenizeStage(Stage[TokenizePayload, TokenizeResult]):
    """The tokens of every shard that was ``surveyed``."""

    tokens: TokenRun
    surveyed: Sequence[SurveyResult]
    holdout: HoldoutResult
    tokenizer: TokenizerResult

    name: ClassVar[str] = "tokenise"
    title: ClassVar[str] = "tokenise"
    version: ClassVar[int] = 4
    result_type = TokenizeResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled",)
    scales_with: ClassVar[Scale] = "kept text"

    @property
    def settings(self) -> TokenizeSettings:
        """What all tasks, and the stages that follow, are given."""
        return TokenizeSettings(
            self.tokenizer.tokenizer,
            self.tokenizer.backend,
            self.tokens.layout.holdout,
            self.tokens.config.seed,
            self.tokens.memory,
        )

    def tasks(self) -> Sequence[Task[TokenizePayload]]:
        """One for each shard."""
        settings = self.settings
        inputs = {
            "version": self.version,
            "settings": {"seed": settings.seed, "backend": settings.backend},
            "tokenizer": settings.tokenizer.digest,
            "holdout": content_digest([self.holdout.clusters]),
        }
        beside = written_files([self.holdout.clusters, self.tokenizer.file])
        return [
            Task(
                shard_key(shard),
                TokenizePayload(shard, settings, self.tokens.layout),
                inputs | {"shard": shard.digest},
                survey.text_bytes,
                (*shard.files, *beside),
            )
            for shard, survey in zip(self.tokens.documents.shards, self.surveyed, strict=True)
        ]

    @staticmethod
    def run(payload: TokenizePayload) -> TokenizeResult:
        """Tokenise one shard."""
        shard = payload.shard
        return tokenize_documents(
            kept_documents(shard), shard.source, shard.name, payload.settings, payload.layout.runs_of(shard.source)
        )


def tokenize_documents(
    batches: Iterable[DocumentBatch], source: str, shard: str, settings: TokenizeSettings, folder: Path
) -> TokenizeResult:
    """Tokenise the documents of one shard of ``source`` into runs in ``folder``.

    Raises :class:`ConservationError` where a batch's flags and clusters contradict each other.
    """
    encoder = shared_encoder(settings.tokenizer, settings.backend, settings.memory_bytes)
    holdout = load_holdout(settings.holdout)
    writer = RunWriter(folder, shard, encoder.dtype, settings.run_bytes)
    counts = {state: {"global": 0, "local": 0} for state in ("in", *SPLITS, "excluded")}
    text_bytes = 0
    for batch in batches:
        beat()
        splits, wanted = _assigned(batch, source, holdout)
        _count(counts, batch, splits, wanted)
        indices = np.flatnonzero(wanted)
        texts = batch.texts.chosen(indices)
        encoded = texts.encoded()
        tokens, lengths = encoder.encode(encoded)
        text_bytes += int(texts.sizes.sum())
        documents = np.empty(indices.size, dtype=RUN_RECORD)
        documents["split"] = splits[indices]
        for name in ("kept_global", "kept_local", "duplicates_global", "duplicates_local"):
            documents[name] = getattr(batch, name)[indices]
        documents["tokens"] = lengths
        documents["id"] = batch.ids[indices]
        documents["cluster"] = batch.clusters[indices]
        documents["key"] = seeded_hash(documents["id"], settings.seed, "shuffle")
        documents["text"] = text_hashes(encoded)
        writer.add(documents, tokens)
    writer.flush()
    return TokenizeResult(
        source=source,
        shard=shard,
        runs=tuple(writer.runs),
        text_bytes=text_bytes,
        tokens=PerSplit(**dict(zip(SPLITS, writer.tokens.tolist(), strict=True))),
        documents=msgspec.convert(counts, TokenizedDocuments),
    )


def text_hashes(documents: list[bytes]) -> NDArray[np.uint64]:
    """``uint64[n, 2]``: a 128-bit hash of each of n UTF-8 texts.

    xxh3, as nobody gains by two texts of one hash: the one in train would be left out. blake2b took a sixth of the
    stage.
    """
    digests = b"".join(map(xxhash.xxh3_128_digest, documents))
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64)


def _assigned(batch: DocumentBatch, source: str, holdout: Holdout) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The split of each document's cluster, and whether the document is in it."""
    survives = batch.clusters == batch.ids
    wrong = np.flatnonzero(survives != batch.kept_global)
    if wrong.size:
        document = int(batch.ids[wrong[0]])
        raise ConservationError(
            f"document {document:#x} of source {source} is {'' if survives[wrong[0]] else 'not '}the survivor of its "
            "global cluster but marked otherwise: the decisions are inconsistent; run the deduplication again"
        )
    splits = holdout.split_of(batch.clusters)
    return splits, (splits == TRAIN) | survives


def _count(
    counts: dict[str, dict[str, int]],
    batch: DocumentBatch,
    splits: NDArray[np.uint8],
    wanted: NDArray[np.bool_],
) -> None:
    for scope, mask in (("global", batch.kept_global), ("local", batch.kept_local)):
        counts["in"][scope] += int(np.count_nonzero(mask))
        counts["excluded"][scope] += int(np.count_nonzero(mask & ~wanted))
        for split, name in enumerate(SPLITS):
            counts[name][scope] += int(np.count_nonzero(mask & wanted & (splits == split)))
