"""From a finished deduplication to a token store: survey → holdout → tokenizer → tokenise → shuffle → check.

A store that was made of the same documents with the same settings is used as it is. One that was not is made anew as a
whole: tokenizer, holdout and shuffle are drawn from all documents.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from slimpajama.config.tokens import TokenConfig
from slimpajama.stages.markers import Markers
from slimpajama.stages.runner import PlainResult, Stages
from slimpajama.stages.written_files import WrittenFile, damage_of, written_files
from slimpajama.storage.atomic import content_digest, file_record, fingerprint, write_json
from slimpajama.storage.file_list import files_in
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import place, relative_name
from slimpajama.tokens.dedup_reader import DedupOutput, KeptShard, kept_documents
from slimpajama.tokens.stages import shuffle as shuffling
from slimpajama.tokens.stages import survey as surveying
from slimpajama.tokens.stages import tokenize as tokenizing
from slimpajama.tokens.stages import tokenizer as tokenizer_choice
from slimpajama.tokens.stages.shuffle import HeldOutItem, finish_store, gather_held_out, plan_buckets, sort_bucket
from slimpajama.tokens.stages.survey import HoldoutItem, SurveyItem
from slimpajama.tokens.stages.tokenize import RUNS, TokenizeSettings, tokenize_piece
from slimpajama.tokens.stages.tokenizer import TokenizerItem, samples_for_tokenizer, tokenizer_of
from slimpajama.tokens.store import STORE_FILE
from slimpajama.tokens.tokenizer import declared_beside, local_file

__all__ = ["make_store", "tokenize_shard"]

_BUCKET = re.compile(r"sources/[^/]+/[^/]+/\d+\.(documents|tokens)\.npy")

KERNELS = ("slimpajama.tokens.compiled",)


@dataclass(frozen=True, slots=True)
class TokenizeItem:
    """One shard, to become sorted runs below ``out``."""

    shard: KeptShard
    settings: TokenizeSettings
    out: Path


def tokenize_shard(item: TokenizeItem) -> dict[str, Any]:
    """See :func:`slimpajama.tokens.stages.tokenize.tokenize_piece`."""
    shard = item.shard
    return tokenize_piece(kept_documents(shard), shard.source, shard.name, item.settings, item.out)


@dataclass(frozen=True, slots=True)
class CheckItem:
    """What the stages before returned, and what the store's summary says besides."""

    sources: tuple[str, ...]
    tokenized: tuple[Mapping[str, Any], ...]
    buckets: tuple[Mapping[str, Any], ...]
    settings: TokenizeSettings
    out: Path
    account: Mapping[str, Any]
    beside: tuple[FileRecord, ...]


def check_item(item: CheckItem) -> dict[str, Any]:
    """Check and index the store, and write its summary, which is returned."""
    summary = {
        **finish_store(item.sources, item.tokenized, item.buckets, item.settings, item.out),
        **item.account,
    }
    write_json(item.out / "summary.json", summary)
    files = [file_record(item.out / name) for name in (STORE_FILE, "summary.json")]
    return {
        "summary": summary,
        "beside": [
            {"path": relative_name(file.path, item.out), "bytes": file.bytes, "blake2b": file.blake2b}
            for file in item.beside
        ],
        "files": [*files, *(file for bucket in item.buckets for file in bucket["files"])],
    }


def make_store(
    documents: DedupOutput, config: TokenConfig, out: Path, *, stages: Stages, memory: int
) -> dict[str, Any]:
    """Make the token store ``out`` of the kept documents, or find it made; returns its summary.

    The summary has the figures of :func:`slimpajama.tokens.stages.shuffle.finish_store`, the account of the
    ``holdout``, ``warnings`` and ``tokenizer``. ``memory``: bytes that an item may hold.
    """
    return _Store(documents, config, out, stages, min(memory, 1 << 30)).make()


@dataclass(slots=True)
class _Store:
    documents: DedupOutput
    config: TokenConfig
    out: Path
    stages: Stages
    memory: int

    def make(self) -> dict[str, Any]:
        began = time.perf_counter()
        depends = {
            "versions": [module.VERSION for module in (surveying, tokenizer_choice, tokenizing, shuffling)],
            "settings": self.config.model_dump(mode="json"),
            "tokenizer": _given_tokenizer(self.config),
            "documents": fingerprint([[shard.source, shard.name, shard.digest] for shard in self.documents.shards]),
        }
        finished = self.stages.finished("token store", self._markers("store"), "all", depends)
        if finished is not None and not self._has(finished["files"][:2]):  # the index and the summary
            finished = None
        made_of = msgspec.convert(finished["beside"], list[FileRecord]) if finished is not None else []
        if finished is not None and self._has(made_of):
            return dict(finished["summary"])
        surveys = self._survey()
        holdout = self._draw(surveys)
        chosen = self._choose_tokenizer(surveys)
        beside = [holdout["files"][0], chosen["files"][0]]
        if finished is not None and _digests(beside) == _digests(made_of):
            self.stages.remove_tree(self.out / "surveys")
            return dict(finished["summary"])
        self.stages.remove(self.out / STORE_FILE)
        tokenizer = tokenizer_of(chosen)
        settings = TokenizeSettings(
            tokenizer, chosen["backend"], self.out / "holdout.npy", self.config.seed, self.memory
        )
        tokenized = self._tokenize(settings, holdout, surveys, written_files(beside))
        buckets = self._shuffle(settings, tokenized)
        account = {
            "holdout": holdout["account"],
            "tokenizer": {"name": self.config.tokenizer or "trained on this corpus", "digest": tokenizer.digest},
            "warnings": chosen["warnings"],
            "seconds": round(time.perf_counter() - began, 3),
        }
        item = CheckItem(
            tuple(self.documents.sources), tuple(tokenized), tuple(buckets), settings, self.out, account, tuple(beside)
        )
        (checked,) = self.stages.run_plain(
            "token store",
            [item],
            check_item,
            markers=self._markers("store"),
            keys=["all"],
            depends=[depends],
            weights=[sum(bucket["bytes"] for bucket in buckets)],
            reads=[written_files(file for bucket in buckets for file in bucket["files"])],
        )
        self.stages.remove_tree(self.out / RUNS)
        self.stages.remove_tree(self.out / "surveys")
        self._remove_other_buckets(buckets)
        return dict(checked["summary"])

    def _has(self, files: Sequence[FileRecord]) -> bool:
        """Whether these few files of the store are as they were written; damaged ones are removed."""
        records = [FileRecord(str(self.out / Path(file.path).name), file.bytes, file.blake2b) for file in files]
        damaged = [file for file in written_files(records) if damage_of(file)]
        self.stages.list_files(records)
        for file in damaged:
            self.stages.remove(file.path)
        return not damaged

    def _remove_other_buckets(self, buckets: Sequence[Mapping[str, Any]]) -> None:
        """Those of an earlier store that had more buckets."""
        current = {relative_name(file.path, self.out) for bucket in buckets for file in bucket["files"]}
        for name in files_in(self.out, "sources"):
            if name not in current and _BUCKET.fullmatch(name):
                self.stages.remove(self.out / name)

    def _markers(self, stage: str) -> Markers[PlainResult]:
        return Markers(self.out / "done" / stage, self.out, PlainResult)

    def _by_shard(
        self,
        name: str,
        items: Sequence[Any],
        function: Any,
        depends: Any,
        weights: Any,
        reads: Sequence[Sequence[WrittenFile]],
        kernels: Sequence[str] = (),
    ) -> Any:
        return self.stages.run_plain(
            name,
            items,
            function,
            markers=self._markers(name),
            keys=[f"{shard.source}/{shard.name}" for shard in self.documents.shards],
            depends=depends,
            weights=weights,
            kernels=kernels,
            reads=reads,
        )

    def _survey(self) -> list[dict[str, Any]]:
        config = self.config
        items = [
            SurveyItem(shard, config.holdout, config.seed, self.out / "surveys" / shard.source / f"{shard.name}.npy")
            for shard in self.documents.shards
        ]
        depends = [
            {
                "version": surveying.VERSION,
                "settings": {"holdout": config.holdout, "seed": config.seed},
                "shard": shard.digest,
            }
            for shard in self.documents.shards
        ]
        found: list[dict[str, Any]] = self._by_shard(
            "survey",
            items,
            surveying.survey,
            depends,
            [1] * len(items),
            [shard.files[1:] for shard in self.documents.shards],
        )
        return found

    def _draw(self, surveys: list[dict[str, Any]]) -> dict[str, Any]:
        by_source: dict[str, list[dict[str, Any]]] = {source: [] for source in self.documents.sources}
        for shard, found in zip(self.documents.shards, surveys, strict=True):
            by_source[shard.source].append(found)
        sources = tuple(
            (
                source,
                sum(found["survivors"] for found in own),
                tuple(place(found["files"][0].path) for found in own),
            )
            for source, own in by_source.items()
        )
        (drawn,) = self.stages.run_plain(
            "holdout",
            [HoldoutItem(sources, self.config.holdout, self.config.seed, self.out / "holdout.npy")],
            surveying.draw,
            markers=self._markers("holdout"),
            keys=["all"],
            depends=[
                {
                    "version": surveying.VERSION,
                    "settings": {"holdout": self.config.holdout, "seed": self.config.seed},
                    "survey": fingerprint(
                        [
                            [source, [[one["survivors"], content_digest(one["files"])] for one in own]]
                            for source, own in by_source.items()
                        ]
                    ),
                }
            ],
            weights=[1],
            reads=[written_files(found["files"][0] for found in surveys)],
        )
        return drawn

    def _choose_tokenizer(self, surveys: list[dict[str, Any]]) -> dict[str, Any]:
        config = self.config
        samples = samples_for_tokenizer(
            self.documents.shards,
            [found["text_bytes"] for found in surveys],
            training=config.tokenizer is None,
            seed=config.seed,
        )
        (chosen,) = self.stages.run_plain(
            "tokenizer",
            [
                TokenizerItem(
                    tuple(samples), config.tokenizer, config.end_of_text, config.vocabulary, self.out / "tokenizer.json"
                )
            ],
            tokenizer_choice.choose_tokenizer,
            markers=self._markers("tokenizer"),
            keys=["all"],
            depends=[
                {
                    "version": tokenizer_choice.VERSION,
                    "settings": config.model_dump(include={"tokenizer", "end_of_text", "vocabulary"}),
                    "tokenizer": _given_tokenizer(config),
                    "samples": fingerprint(
                        [[sample.shard.digest, sample.share, sample.seed, sample.limit] for sample in samples]
                    ),
                }
            ],
            weights=[sum(sample.limit for sample in samples)],
            reads=[[file for sample in samples for file in sample.shard.files]],
        )
        return chosen

    def _tokenize(
        self,
        settings: TokenizeSettings,
        holdout: dict[str, Any],
        surveys: list[dict[str, Any]],
        beside: Sequence[WrittenFile],
    ) -> list[dict[str, Any]]:
        depends = [
            {
                "version": tokenizing.VERSION,
                "settings": {"seed": settings.seed, "backend": settings.backend},
                "tokenizer": settings.tokenizer.digest,
                "holdout": content_digest(holdout["files"]),
                "shard": shard.digest,
            }
            for shard in self.documents.shards
        ]
        items = [TokenizeItem(shard, settings, self.out) for shard in self.documents.shards]
        weights = [found["text_bytes"] for found in surveys]
        reads = [[*shard.files, *beside] for shard in self.documents.shards]
        found: list[dict[str, Any]] = self._by_shard(
            "tokenise", items, tokenize_shard, depends, weights, reads, KERNELS
        )
        return found

    def _shuffle(self, settings: TokenizeSettings, tokenized: list[dict[str, Any]]) -> list[dict[str, Any]]:
        runs = tuple((result["source"], run) for result in tokenized for run in result["runs"])
        content = fingerprint(shuffling.VERSION, [content_digest(result["files"]) for result in tokenized])
        files = {
            source: written_files(
                file for result in tokenized if result["source"] == source for file in result["files"]
            )
            for source in self.documents.sources
        }
        (texts,) = self.stages.run_plain(
            "held-out texts",
            [HeldOutItem(self.out, runs)],
            gather_held_out,
            markers=self._markers("held-out"),
            keys=["all"],
            depends=[{"runs": content}],
            weights=[1],
            reads=[[file for own in files.values() for file in own]],
        )
        buckets = plan_buckets(self.documents.sources, tokenized, settings, self.out)
        sizes = [sum(result["tokens"][bucket.split] for result in tokenized) // bucket.buckets for bucket in buckets]
        return self.stages.run_plain(
            "shuffle",
            buckets,
            sort_bucket,
            markers=self._markers("shuffle"),
            keys=[bucket.name for bucket in buckets],
            depends=[{"runs": content, "buckets": bucket.buckets} for bucket in buckets],
            weights=sizes,
            kernels=KERNELS,
            reads=[[*files[bucket.source], *written_files(texts["files"])] for bucket in buckets],
        )


def _digests(records: Sequence[FileRecord]) -> list[str]:
    return [record.blake2b for record in records]


def _given_tokenizer(config: TokenConfig) -> str | None:
    """A digest of a tokenizer given as a file and of the end that is declared with it; a hub name stands for itself.

    Raises :class:`ConfigError` for a file that is gone.
    """
    path = local_file(config.tokenizer) if config.tokenizer is not None else None
    if path is None:
        return None
    return fingerprint(file_record(path).blake2b, declared_beside(path))
