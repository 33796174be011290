"""From a finished deduplication to a token store: survey → holdout → tokenizer → tokenise → shuffle → check.

A store that was made of the same documents with the same settings is used as it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimpajama.config import TokenConfig
from slimpajama.engine import Engine
from slimpajama.errors import ConfigError
from slimpajama.mixture import shuffling, tokenizing
from slimpajama.mixture.encoding import agreeing_backend
from slimpajama.mixture.holdout import candidates, draw_holdout
from slimpajama.mixture.kept import DedupOutput, KeptShard, kept_documents
from slimpajama.mixture.seeded import seeded_hash
from slimpajama.mixture.shuffling import finish_store, plan_buckets, sort_bucket
from slimpajama.mixture.store import STORE_FILE, bucket_paths
from slimpajama.mixture.surveying import SampleItem, Survey, SurveyItem, excerpts, survey
from slimpajama.mixture.tokenizer import TokenizerFile, fetch_tokenizer, load_tokenizer
from slimpajama.mixture.tokenizer_training import TRAINING_BYTES, train_tokenizer
from slimpajama.mixture.tokenizing import TokenizeSettings, runs_present, tokenize_piece
from slimpajama.stage import StageTimes, run_stage
from slimpajama.workspace import Markers, fingerprint, read_json, write_json

__all__ = ["TokenizeItem", "make_store", "tokenize_shard"]

CHECKED_BYTES = 1_000_000
"""Text on which the fast tokenizer is compared with the reference before it is used: half a second."""

SAMPLED_SHARDS = 16
"""Shards of a source that excerpts for the tokenizer are taken from, at most."""

READ_PER_EXCERPT = 4
"""Bytes read for each byte of excerpts: long documents give only their beginning."""


@dataclass(frozen=True, slots=True)
class TokenizeItem:
    """One shard, to become sorted runs below ``out``."""

    shard: KeptShard
    settings: TokenizeSettings
    out: Path


def tokenize_shard(item: TokenizeItem) -> dict[str, Any]:
    """See :func:`slimpajama.mixture.tokenizing.tokenize_piece`."""
    shard = item.shard
    return tokenize_piece(kept_documents(shard), shard.source, shard.name, item.settings, item.out)


def make_store(
    documents: DedupOutput, config: TokenConfig, out: Path, *, engine: Engine, times: StageTimes, memory: int
) -> dict[str, Any]:
    """Make the token store ``out`` of the kept documents, or find it made; returns its summary.

    The summary has the figures of :func:`slimpajama.mixture.shuffling.finish_store`, the account of the ``holdout``,
    ``warnings``, ``tokenizer`` and ``seconds``. ``memory``: bytes for all workers.
    """
    began = time.perf_counter()
    identity = [documents.summary["input"], [_identity(shard) for shard in documents.shards]]
    settings = config.model_dump(mode="json")
    per_worker = min(memory // engine.workers, 1 << 30)
    versions = [tokenizing.VERSION, shuffling.VERSION]
    wanted = fingerprint(identity, settings, versions, _tokenizer_identity(config))
    summary_file = out / "summary.json"
    earlier = read_json(summary_file)
    if isinstance(earlier, dict) and earlier.get("made_from") == wanted and (out / STORE_FILE).is_file():
        return dict(earlier)
    (out / STORE_FILE).unlink(missing_ok=True)
    surveys = _surveys(documents, config, engine)
    holdout_account = _draw(documents, surveys, config, out)
    tokenizer, backend, warnings = _tokenizer(documents, surveys, config, out, engine)
    settings_of_items = TokenizeSettings(tokenizer, backend, out / "holdout.npy", config.seed, per_worker)
    items = [TokenizeItem(shard, settings_of_items, out) for shard in documents.shards]
    keys = [f"{shard.source}/{shard.name}" for shard in documents.shards]
    prints = [fingerprint(wanted, tokenizer.digest, backend, key) for key in keys]
    results = run_stage(
        "tokenise",
        items,
        tokenize_shard,
        engine=engine,
        markers=Markers(out / "done" / "tokenize"),
        keys=keys,
        fingerprints=prints,
        weights=[survey.text_bytes for survey in surveys],
        times=times,
        present=lambda item, result: runs_present(result, item.out),
    )
    buckets = plan_buckets(documents.sources, results, settings_of_items, out)
    sorted_buckets = run_stage(
        "shuffle",
        buckets,
        sort_bucket,
        engine=engine,
        markers=Markers(out / "done" / "shuffle"),
        keys=[bucket.name for bucket in buckets],
        fingerprints=[fingerprint(prints, bucket.name, bucket.buckets) for bucket in buckets],
        weights=[sum(result["tokens"][bucket.split] for result in results) // bucket.buckets for bucket in buckets],
        times=times,
        present=lambda item, _: all(
            path.is_file() for path in bucket_paths(item.out, item.source, item.split, item.number)
        ),
    )
    summary = {
        **finish_store(documents.sources, results, sorted_buckets, settings_of_items, out),
        "holdout": holdout_account,
        "tokenizer": {"name": config.tokenizer or "trained on this corpus", "digest": tokenizer.digest},
        "warnings": warnings,
        "made_from": wanted,
        "seconds": round(time.perf_counter() - began, 3),
    }
    write_json(summary_file, summary)
    return summary


def _surveys(documents: DedupOutput, config: TokenConfig, engine: Engine) -> list[Survey]:
    items = [SurveyItem(shard, config.holdout, config.seed) for shard in documents.shards]
    found: dict[int, Survey] = dict(engine.map(survey, items, lambda item: item.shard.name))
    return [found[place] for place in range(len(items))]


def _draw(documents: DedupOutput, surveys: list[Survey], config: TokenConfig, out: Path) -> dict[str, Any]:
    chosen = {source: np.zeros(0, dtype=np.uint64) for source in documents.sources}
    counts = dict.fromkeys(documents.sources, 0)
    for shard, seen in zip(documents.shards, surveys, strict=True):
        joined = np.concatenate([chosen[shard.source], seen.candidates])
        chosen[shard.source] = candidates(joined, config.holdout, config.seed)
        counts[shard.source] += seen.survivors
    holdout, account = draw_holdout(chosen, counts, config.holdout, config.seed)
    holdout.save(out / "holdout.npy")
    return account


def _tokenizer(
    documents: DedupOutput, surveys: list[Survey], config: TokenConfig, out: Path, engine: Engine
) -> tuple[TokenizerFile, Any, list[str]]:
    """The tokenizer, copied or trained, the library to run it with, and what the user should know."""
    path = out / "tokenizer.json"
    texts = _excerpts(documents, surveys, config, engine)
    if config.tokenizer is None:
        if not texts:
            raise ConfigError("there is no document to train a tokenizer on; give --tokenizer, or some input")
        train_tokenizer(texts, path, config.vocabulary)
    else:
        fetch_tokenizer(config.tokenizer, path)
    tokenizer = load_tokenizer(path, config.end_of_text)
    checked: list[str] = []
    size = 0
    # Taken evenly, for the sample is in the order of sources.
    for text in sorted(texts, key=lambda text: fingerprint(text[:200])):
        if size >= CHECKED_BYTES:
            break
        checked.append(text)
        size += len(text.encode())
    backend, warning = agreeing_backend(tokenizer, checked)
    return tokenizer, backend, [warning] if warning else []


def _excerpts(documents: DedupOutput, surveys: list[Survey], config: TokenConfig, engine: Engine) -> list[str]:
    """Excerpts to train or check the tokenizer on: from each source by its size, out of the beginnings of some shards.

    Reads a few times what it returns, however large the corpus is.
    """
    target = TRAINING_BYTES if config.tokenizer is None else 2 * CHECKED_BYTES
    items: list[SampleItem] = []
    total = max(1, sum(survey.text_bytes for survey in surveys))
    for source in documents.sources:
        own = [at for at, shard in enumerate(documents.shards) if shard.source == source and surveys[at].text_bytes]
        order = np.argsort(seeded_hash(np.arange(len(own), dtype=np.uint64), config.seed, "shards for the tokenizer"))
        chosen = [own[at] for at in sorted(order[:SAMPLED_SHARDS].tolist())]
        wanted = target * sum(surveys[at].text_bytes for at in own) / total
        limit = int(READ_PER_EXCERPT * wanted) // max(1, len(chosen)) + 1
        available = sum(min(surveys[at].text_bytes, limit) for at in chosen)
        share = min(1.0, wanted / max(1, available))
        items += [SampleItem(documents.shards[at], share, config.seed, limit) for at in chosen]
    found = [pair for _, pairs in engine.map(excerpts, items, lambda item: item.shard.name) for pair in pairs]
    return [text for _, text in sorted(found)]


def _identity(shard: KeptShard) -> list[Any]:
    """What tells this shard's content from another's: its decisions' marker would do, its size and time do too."""
    status, decided = shard.shard.stat(), shard.decisions.stat()
    return [shard.source, shard.name, status.st_size, status.st_mtime_ns, decided.st_size, decided.st_mtime_ns]


def _tokenizer_identity(config: TokenConfig) -> str | None:
    """The content of a tokenizer given as a file; a hub name stands for itself."""
    path = Path(config.tokenizer) if config.tokenizer is not None else None
    if path is not None and path.is_dir():
        path = path / "tokenizer.json"
    return fingerprint(path.read_bytes().hex()) if path is not None and path.is_file() else None
