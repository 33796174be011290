"""Deduplicated documents as the mixture stages want them: a shard of the dedup output joined with its decisions.

The n-th line of a written shard is the n-th kept row of its decisions, so a join is a walk along both; nothing but
the dedup output is read, the original input may be gone. Local shards serve both scopes (who is kept globally is kept
locally); where only global ones were written, only the global scope can be mixed. Rejected: reading the input again
by position (it costs parsing what is dropped, and the input must still be there).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from slimpajama.corpus.discovery import Piece, Shard, ShardFile
from slimpajama.corpus.lines import BLOCK_BYTES, LineReader
from slimpajama.corpus.records import read_records
from slimpajama.corpus.shard_formats import written_shard
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.summary import DedupSummary, read_summary
from slimpajama.errors import InputChanged, InputNotFound
from slimpajama.stages.written_files import WrittenFile
from slimpajama.storage.atomic import fingerprint
from slimpajama.storage.paths import is_remote, opened, relative_name, status_of, statuses_below
from slimpajama.tokens.documents import DocumentBatch

__all__ = ["DedupOutput", "KeptShard", "expect_dedup_output", "kept_documents", "kept_rows", "open_dedup_output"]

REMAKE = "remove it and run slimpajama dedup again with the same output: it is made anew"

LONGEST = 1 << 40
"""Documents were judged when they were deduplicated; here none is too large."""


@dataclass(frozen=True, slots=True)
class KeptShard:
    """One written shard of one source, and the decisions on records ``[start, stop)`` that say what is in it.

    ``digest``: of what the shard and those decisions hold; ``shard_digest`` and ``decided``: of each of the two files.
    ``file``: the shard, as it is read.
    """

    source: str
    name: str
    shard: Path
    decisions: Path
    scope: Literal["local", "global"]
    start: int
    stop: int | None
    digest: str
    shard_digest: str
    decided: str
    file: ShardFile

    @property
    def files(self) -> tuple[WrittenFile, WrittenFile]:
        """The shard and its decisions, to be checked before they are read."""
        return WrittenFile(self.shard, self.shard_digest, REMAKE), WrittenFile(self.decisions, self.decided, REMAKE)

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return status_of(self.shard).size


@dataclass(frozen=True, slots=True)
class DedupOutput:
    """A finished deduplication: its sources in order, and its shards. ``scope``: that of the shards."""

    folder: Path
    sources: tuple[str, ...]
    shards: tuple[KeptShard, ...]
    scope: Literal["local", "global"]
    summary: DedupSummary


def expect_dedup_output(folder: Path) -> None:
    """Raise :class:`InputNotFound` where ``folder`` cannot be an output, before it is locked (which writes there)."""
    layout = DedupLayout(folder)
    if not layout.summary.exists() and not layout.work.exists():
        raise _no_dedup(folder)


def _no_dedup(folder: Path) -> InputNotFound:
    return InputNotFound(f"{folder} holds no finished deduplication; give the output of slimpajama dedup")


def open_dedup_output(folder: Path) -> DedupOutput:
    """What ``slimpajama dedup`` left in ``folder``. Raises :class:`InputNotFound` where that is not complete."""
    layout = DedupLayout(folder)
    if not layout.summary.exists() or not layout.manifest.exists():
        raise _no_dedup(folder)
    manifest = read_manifest(layout)  # first: it says which version wrote the output
    summary = read_summary(layout)
    scope: Literal["local", "global"] = "global" if summary.settings.scope == "global" else "local"
    shards = tuple(
        KeptShard(
            shard.source,
            shard.path.split("/", 1)[1],
            folder / shard.path,
            folder / part.decisions,
            scope,
            part.start,
            part.stop,
            fingerprint(part.decided, [part.start, part.stop], shard.blake2b),
            shard.blake2b,
            part.decided,
            written_shard(folder / shard.path, shard.path.split("/", 1)[1]),
        )
        for part in manifest.parts
        for shard in part.shards
        if shard.scope == scope and shard.blake2b is not None
    )
    lying = statuses_below(folder) if is_remote(folder) else None
    needed = (path for one in shards for path in (one.shard, one.decisions))
    missing = next(
        (path for path in needed if not (path.is_file() if lying is None else relative_name(path, folder) in lying)),
        None,
    )
    if missing is not None:
        raise InputNotFound(f"{missing} is missing; run slimpajama dedup again with the same output to restore it")
    return DedupOutput(folder, summary.overlap.sources, shards, scope, summary)


def kept_rows(shard: KeptShard) -> Any:
    """The filter for the rows of ``shard.decisions`` that its lines are, in order."""
    pc = _compute()
    rows = (pc.field("source") == shard.source) & pc.field(f"kept_{shard.scope}")
    if shard.start:
        rows &= pc.field("position") >= shard.start
    if shard.stop is not None:
        rows &= pc.field("position") < shard.stop
    return rows


def _compute() -> Any:
    """Arrow's functions, 0.07 s to import, for those who read documents alone."""
    return importlib.import_module("pyarrow.compute")


def kept_documents(shard: KeptShard, block_bytes: int = BLOCK_BYTES) -> Iterator[DocumentBatch]:
    """The documents of a shard in order, in batches of about ``block_bytes`` of JSONL.

    Raises :class:`InputChanged` where shard and decisions do not belong together.
    """
    kept = f"kept_{shard.scope}"
    with opened(shard.decisions) as decisions:
        table = pq.read_table(
            decisions,
            columns=["id", "cluster_global", "kept_global", kept]
            if kept != "kept_global"
            else ["id", "cluster_global", kept],
            filters=kept_rows(shard),
        )
    ids = table.column("id").to_numpy()
    clusters = _compute().coalesce(table.column("cluster_global"), table.column("id")).to_numpy()
    kept_global = table.column("kept_global").to_numpy()
    piece = Piece(shard.file, 0, None, 0, 1, (Shard(0, 0, 0, shard.name),), (shard.source,))
    place = 0
    for records in read_records(piece, LineReader(max_line_bytes=LONGEST, block_bytes=block_bytes)):
        chosen = slice(place, place + len(records.texts))
        if records.bad or chosen.stop > ids.size:
            place = -1
            break
        place = chosen.stop
        if records.texts:
            yield DocumentBatch(ids[chosen], records.texts, np.asarray(kept_global[chosen]), clusters[chosen])
    if place != ids.size:
        raise InputChanged(
            f"{shard.shard} does not hold the {ids.size:,} documents that {shard.decisions} keeps; "
            "run slimpajama dedup again with the same output to restore it"
        )
