"""The whole sample: shards through the engine, then the ground truth beside them.

Shards are independent work items; the driver keeps 8 bytes per document and 34 per planted pair (250 MB and
110 MB at 100 GB) and turns them into ``_ground_truth.parquet`` one shard at a time. ``_ground_truth.json`` is
written first, marked unfinished, with the list of files: a later run knows what it may replace. Rejected:
resuming a half-written sample (making it again costs less than being sure).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.engine import Engine
from slimpajama.errors import ConfigError, OutputError
from slimpajama.sample.layout import SampleShard, shards
from slimpajama.sample.roles import SampleSpec
from slimpajama.sample.shard import ShardItem, ShardResult, shard_name, write_shard
from slimpajama.sample.sources import FEWEST_DOCUMENTS, KINDS
from slimpajama.sample.truth import pair_counts, write_pairs
from slimpajama.storage.atomic import read_json, write_json
from slimpajama.storage.paths import TEMPORARY_SUFFIX

__all__ = ["GROUND_TRUTH", "PAIRS", "SampleSummary", "sample_is_there", "write_sample"]

GROUND_TRUTH = "_ground_truth.json"
PAIRS = "_ground_truth.parquet"
_MADE_BY = "slimpajama sample"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class SampleSummary:
    """What was written. ``bytes`` counts the JSONL before compression; ``pairs`` the planted (original, copy)
    pairs, of which ``exact_pairs`` have equal texts; ``short`` documents are below 200 cleaned characters."""

    out: Path
    shards: int
    documents: int
    bytes: int
    pairs: int
    exact_pairs: int
    short: int
    broken: int
    blank: int
    seconds: float


def write_sample(
    out: Path, *, docs: int = 5000, seed: int = 1, engine: Engine, progress: Callable[[int], None]
) -> SampleSummary:
    """Write a RedPajama-shaped corpus of ``docs`` invented documents under ``out``, with its ground truth.

    The bytes depend on ``docs`` and ``seed`` only, not on the engine. 5,000 documents are about 20 MB of
    JSONL, a million about 3.6 GB. ``progress`` is called with the JSONL bytes of each finished shard. An
    earlier sample under ``out`` is replaced. Raises :class:`ConfigError` for a size or seed that cannot be,
    :class:`OutputError` when ``out`` holds anything else or cannot be written.
    """
    began = time.monotonic()
    if docs < FEWEST_DOCUMENTS:
        raise ConfigError(
            f"a sample of {docs} documents cannot hold all seven sources: ask for {FEWEST_DOCUMENTS} or more (--docs)"
        )
    if not 0 <= seed < 1 << 63:
        raise ConfigError(f"the seed {seed} is out of range: choose one from 0 to 2^63 - 1 (--seed)")
    recipe = SampleSpec(seed, docs)
    planned = shards(recipe)
    _make_room(out)
    head = {
        "made_by": _MADE_BY,
        "version": _VERSION,
        "seed": seed,
        "docs": docs,
        "files": [shard.path for shard in planned],
    }
    write_json(out / GROUND_TRUTH, {**head, "finished": False})

    items = [ShardItem(str(out), recipe, shard) for shard in planned]
    found: dict[int, ShardResult] = {}
    for place, result in engine.map(write_shard, items, shard_name, ["slimpajama.sample.compiled"]):
        found[place] = result
        progress(result.bytes)
    results = [found[place] for place in range(len(items))]

    write_pairs(out / PAIRS, planned, results)
    write_json(
        out / GROUND_TRUTH,
        {
            **head,
            "finished": True,
            "sources": _source_counts(planned, results),
            "pairs": pair_counts(results),
        },
    )
    return SampleSummary(
        out=out,
        shards=len(planned),
        documents=sum(result.positions.size for result in results),
        bytes=sum(result.bytes for result in results),
        pairs=sum(result.pairs.size for result in results),
        exact_pairs=sum(int(result.pairs["exact"].sum()) for result in results),
        short=sum(result.short for result in results),
        broken=sum(result.broken for result in results),
        blank=sum(result.blank for result in results),
        seconds=time.monotonic() - began,
    )


def sample_is_there(out: Path, *, docs: int, seed: int) -> bool:
    """Whether ``out`` holds the finished sample of just these ``docs`` and ``seed``, made by this version."""
    truth: Any = read_json(out / GROUND_TRUTH)
    expected = {"made_by": _MADE_BY, "version": _VERSION, "seed": seed, "docs": docs, "finished": True}
    return (
        isinstance(truth, dict)
        and all(truth.get(key) == value for key, value in expected.items())
        and all((out / path).is_file() for path in (PAIRS, *truth["files"]))
    )


def _source_counts(planned: list[SampleShard], results: list[ShardResult]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for shard, result in zip(planned, results, strict=True):
        source = counts.setdefault(
            KINDS[shard.kind].name,
            dict.fromkeys(("shards", "documents", "bytes", "copies", "short", "odd_unicode", "broken", "blank"), 0),
        )
        source["shards"] += 1
        source["documents"] += result.positions.size
        source["bytes"] += result.bytes
        source["copies"] += result.pairs.size
        source["short"] += result.short
        source["odd_unicode"] += result.odd
        source["broken"] += result.broken
        source["blank"] += result.blank
    return counts


def _make_room(out: Path) -> None:
    """Leave ``out`` empty of an earlier sample; refuse to touch anything else."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file: give the sample a folder of its own")
    if not out.is_dir() or not any(out.iterdir()):
        return
    earlier: Any = read_json(out / GROUND_TRUTH)
    if not (
        isinstance(earlier, dict)
        and earlier.get("made_by") == _MADE_BY
        and isinstance(earlier.get("seed"), int)
        and isinstance(earlier.get("docs"), int)
        and isinstance(earlier.get("files"), list)
    ):
        raise OutputError(
            f"{out} is not empty and holds no earlier sample (no {GROUND_TRUTH} of one): "
            "choose a new folder, or empty this one"
        )
    # Only names that this program gives to shards are removed, whatever the file claims.
    known = {shard.path for shard in shards(SampleSpec(earlier["seed"], earlier["docs"]))}
    names = [PAIRS, *(path for path in earlier["files"] if path in known)]
    ours = {out / GROUND_TRUTH, *(out / (name + end) for name in names for end in ("", TEMPORARY_SUFFIX))}
    stranger = next((path for path in sorted(out.rglob("*")) if not path.is_dir() and path not in ours), None)
    if stranger is not None:
        raise OutputError(
            f"{stranger} is not part of the earlier sample in {out}: move it away, or choose a new folder"
        )
    # The marker goes last: interrupted here, the next run still knows the folder.
    for path in sorted(ours - {out / GROUND_TRUTH}):
        path.unlink(missing_ok=True)
    for folder in sorted((folder for folder in out.rglob("*") if folder.is_dir()), reverse=True):
        folder.rmdir()
    (out / GROUND_TRUTH).unlink()
