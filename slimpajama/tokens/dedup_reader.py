"""Deduplicated documents as the mixture stages want them: a shard of the dedup output joined with its decisions.

The n-th line of a written shard is the n-th kept row of its decisions, so a join is a walk along both; nothing but
the dedup output is read, the original input may be gone. Local shards serve both scopes, as who is kept globally is
kept locally; where removals are checked that need not be so, and global shards are read for those that are not. Where
only global ones were written, only the global scope can be mixed. Rejected: reading the input again
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

from slimpajama.config.dedup import Scope
from slimpajama.corpus.discovery import Piece, Shard, ShardFile
from slimpajama.corpus.lines import BLOCK_BYTES, LineReader
from slimpajama.corpus.records import read_records
from slimpajama.corpus.shard_formats import written_shard
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.files.manifest import ManifestPart, ManifestShard, read_manifest
from slimpajama.dedup.summary import DedupSummary, read_summary
from slimpajama.errors import InputChanged, InputNotFound
from slimpajama.stages.written_files import WrittenFile
from slimpajama.storage.atomic import fingerprint
from slimpajama.storage.paths import is_remote, opened, relative_name, status_of, statuses_below
from slimpajama.tokens.documents import DocumentBatch

__all__ = ["DedupOutput", "KeptShard", "expect_dedup_output", "kept_documents", "open_dedup_output", "read_rows"]

REMAKE = "remove it and run slimpajama dedup again with the same output: it is made anew"

LONGEST = 1 << 40
"""Documents were judged when they were deduplicated; here none is too large."""


@dataclass(frozen=True, slots=True)
class KeptShard:
    """One written shard of one source, and the decisions on records ``[start, stop)`` that say what is in it.

    ``digest``: of what the shard and those decisions hold; ``shard_digest`` and ``decided``: of each of the two files.
    ``file``: the shard, as it is read. ``rest``: of its documents only those are wanted that local ones do not hold.
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
    rest: bool = False

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
    checked = summary.settings.checked and summary.settings.scope == "both"
    shards = tuple(
        _kept_shard(folder, part, shard, shard.scope, rest=shard.scope != scope)
        for part in manifest.parts
        for shard in part.shards
        if (shard.scope == scope or checked) and shard.blake2b is not None
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


def _kept_shard(folder: Path, part: ManifestPart, shard: ManifestShard, scope: Scope, *, rest: bool) -> KeptShard:
    name, digest = shard.path.split("/", 1)[1], shard.blake2b or ""
    return KeptShard(
        shard.source,
        f"_rest/{name}" if rest else name,  # no source has such a name
        folder / shard.path,
        folder / part.decisions,
        "global" if scope == "global" else "local",
        part.start,
        part.stop,
        fingerprint(part.decided, [part.start, part.stop], digest),
        digest,
        part.decided,
        written_shard(folder / shard.path, name),
        rest,
    )


def read_rows(shard: KeptShard) -> Any:
    """The filter for the rows of those of its documents that are wanted."""
    rows = _kept_rows(shard)
    return rows & ~_compute().field("kept_local") if shard.rest else rows


def _kept_rows(shard: KeptShard) -> Any:
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
    columns = ["id", "cluster_global", "kept_global", "kept_local", "size_global", "size_local"]
    with opened(shard.decisions) as decisions:
        table = pq.read_table(decisions, columns=columns, filters=_kept_rows(shard))
    pc = _compute()
    ids = table.column("id").to_numpy()
    clusters = pc.coalesce(table.column("cluster_global"), table.column("id")).to_numpy()
    kept_global, kept_local = (np.asarray(table.column(f"kept_{scope}").to_numpy()) for scope in BOTH)
    sizes = [pc.fill_null(table.column(f"size_{scope}"), 0).to_numpy() for scope in BOTH]
    piece = Piece(shard.file, 0, None, 0, 1, (Shard(0, 0, 0, shard.name),), (shard.source,))
    place = 0
    for records in read_records(piece, LineReader(max_line_bytes=LONGEST, block_bytes=block_bytes)):
        first, last = place, place + len(records.texts)
        if records.bad or last > ids.size:
            place = -1
            break
        place = last
        texts, rows = records.texts, np.arange(first, last)
        if shard.rest:
            rows = rows[~kept_local[rows]]
            texts = [texts[row - first] for row in rows.tolist()]
        if texts:
            columns_of = (column[rows] for column in (kept_global, kept_local, clusters, *sizes))
            yield DocumentBatch(ids[rows], texts, *columns_of)
    if place != ids.size:
        raise InputChanged(
            f"{shard.shard} does not hold the {ids.size:,} documents that {shard.decisions} keeps; "
            "run slimpajama dedup again with the same output to restore it"
        )
