"""Deduplicated documents as the mixture stages want them: a shard of the dedup output joined with its decisions.

The n-th line of a written shard is the n-th kept row of its decisions, so a join is a walk along both; nothing but
the dedup output is read, the original input may be gone. Local shards serve both scopes, as who is kept globally is
kept locally; where removals are checked that need not be so, and global shards are read for those that are not. Where
only global ones were written, only the global scope can be mixed. Where none were written, each shard is made from the
input while it is read (:mod:`slimpajama.dedup.unwritten_shard`). Rejected: always reading the input (it must still be
there, and a compressed shard is decoded from its beginning).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from slimpajama.corpus.discovery import Piece, Shard, ShardFile
from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.line_stream import LineStream
from slimpajama.corpus.lines import BLOCK_BYTES, LineReader
from slimpajama.corpus.published_split import published_splits
from slimpajama.corpus.records import RecordBatch, parse_lines, read_records
from slimpajama.corpus.shard_formats import written_shard
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.files.manifest import ManifestPart, ManifestShard, read_manifest
from slimpajama.dedup.summary import DedupSummary, read_summary
from slimpajama.dedup.unwritten_shard import UnwrittenShard
from slimpajama.errors import InputChanged, InputNotFound
from slimpajama.stages.written_files import WrittenFile
from slimpajama.storage.atomic import fingerprint
from slimpajama.storage.paths import is_remote, opened, path_of, relative_name, statuses_below
from slimpajama.tokens.columns import record_path
from slimpajama.tokens.documents import DocumentBatch

__all__ = [
    "DedupOutput",
    "KeptShard",
    "expect_dedup_output",
    "kept_documents",
    "open_dedup_output",
    "read_rows",
    "removed_rows",
]

REMAKE = "remove it and run slimpajama dedup again with the same output: it is made anew"

LONGEST = 1 << 40
"""Documents were judged when they were deduplicated; here none is too large."""


@dataclass(frozen=True, slots=True)
class KeptShard:
    """One written shard of one source, and the decisions on records ``[start, stop)`` that say what is in it.

    ``digest``: of what the shard and those decisions hold; ``shard_digest`` and ``decided``: of each of the two files.
    ``split``: that the input was published for. ``file``: the shard, as it is read. ``rest``: of its documents only
    those are wanted that local ones do not hold.
    ``unwritten``: what the shard is made of while it is read, if it was not written.
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
    split: str
    file: ShardFile
    rest: bool = False
    unwritten: UnwrittenShard | None = None

    @property
    def files(self) -> tuple[WrittenFile, WrittenFile]:
        """The shard, or the rows that it is made by, and its decisions, to be checked before they are read."""
        rows = self.unwritten.rows if self.unwritten is not None else None
        first = WrittenFile(path_of(rows.path), rows.blake2b, REMAKE) if rows else None
        return (
            first or WrittenFile(self.shard, self.shard_digest, REMAKE),
            WrittenFile(self.decisions, self.decided, REMAKE),
        )


@dataclass(frozen=True, slots=True)
class DedupOutput:
    """A finished deduplication: its sources in order, and its shards. ``scope``: that of the shards.

    ``splits``: by the number of a shard of the input, as in the upper bits of ids, the split it was published for.
    """

    folder: Path
    sources: tuple[str, ...]
    shards: tuple[KeptShard, ...]
    scope: Literal["local", "global"]
    summary: DedupSummary
    splits: Mapping[int, str] = field(default_factory=dict)


def expect_dedup_output(folder: Path) -> None:
    """Raise :class:`InputNotFound` where ``folder`` cannot be an output, before it is locked (which writes there)."""
    layout = DedupLayout(folder)
    if not layout.summary.exists() and not layout.work.exists():
        raise _no_dedup(folder)


def _no_dedup(folder: Path) -> InputNotFound:
    return InputNotFound(f"{folder} holds no finished deduplication; give the output of slimpajama dedup")


def open_dedup_output(
    folder: Path, unwritten: Callable[[Path], Mapping[str, UnwrittenShard]] | None = None
) -> DedupOutput:
    """What ``slimpajama dedup`` left in ``folder``. Raises :class:`InputNotFound` where that is not complete.

    ``unwritten``: finds what shards are made of, by their paths below ``folder``; called where none were written.
    """
    layout = DedupLayout(folder)
    if not layout.summary.exists() or not layout.manifest.exists():
        raise _no_dedup(folder)
    manifest = read_manifest(layout)  # first: it says which version wrote the output
    summary = read_summary(layout)
    scope: Literal["local", "global"] = "global" if summary.settings.scope == "global" else "local"
    checked = summary.settings.checked and summary.settings.scope in ("both", "none")
    made = _unwritten(folder, summary, unwritten)
    splits = published_splits([part.inputs[0].path for part in manifest.parts])
    shards = tuple(
        _kept_shard(folder, part, shard, made.get(shard.path), split, rest=shard.scope != scope)
        for part, split in zip(manifest.parts, splits, strict=True)
        for shard in part.shards
        if (shard.scope == scope or checked) and (shard.path in made or shard.blake2b is not None)
    )
    lying = statuses_below(folder) if is_remote(folder) else None
    needed = (file.path for one in shards for file in one.files)
    missing = next(
        (path for path in needed if not (path.is_file() if lying is None else relative_name(path, folder) in lying)),
        None,
    )
    if missing is not None:
        raise InputNotFound(f"{missing} is missing; run slimpajama dedup again with the same output to restore it")
    of_number = {
        number: split
        for part, split in zip(manifest.parts, splits, strict=True)
        for one in part.inputs
        for number in one.numbers
    }
    return DedupOutput(folder, summary.overlap.sources, shards, scope, summary, of_number)


def _unwritten(
    folder: Path, summary: DedupSummary, unwritten: Callable[[Path], Mapping[str, UnwrittenShard]] | None
) -> Mapping[str, UnwrittenShard]:
    if summary.settings.scope != "none":
        return {}
    if unwritten is None:
        raise InputNotFound(f"{folder} holds decisions alone; run slimpajama dedup again with --scope both")
    return unwritten(folder)


def _kept_shard(
    folder: Path,
    part: ManifestPart,
    shard: ManifestShard,
    unwritten: UnwrittenShard | None,
    split: str,
    *,
    rest: bool,
) -> KeptShard:
    name = shard.path.split("/", 1)[1]
    digest = unwritten.digest if unwritten is not None else shard.blake2b or ""
    return KeptShard(
        shard.source,
        f"_rest/{name}" if rest else name,  # no source has such a name
        folder / shard.path,
        folder / part.decisions,
        "global" if shard.scope == "global" else "local",
        part.start,
        part.stop,
        fingerprint(part.decided, [part.start, part.stop], digest),
        digest,
        part.decided,
        split,
        written_shard(folder / shard.path, name),
        rest,
        unwritten,
    )


def read_rows(shard: KeptShard) -> Any:
    """The filter for the rows of those of its documents that are wanted."""
    rows = _kept_rows(shard)
    return rows & ~_compute().field("kept_local") if shard.rest else rows


def _kept_rows(shard: KeptShard) -> Any:
    """The filter for the rows of ``shard.decisions`` that its lines are, in order."""
    return _own_rows(shard) & _compute().field(f"kept_{shard.scope}")


def removed_rows(shard: KeptShard) -> Any:
    """The filter for the rows of the documents of its source that were removed globally, as duplicates."""
    pc = _compute()
    return _own_rows(shard) & ~pc.field("kept_global") & pc.field("cluster_global").is_valid()


def _own_rows(shard: KeptShard) -> Any:
    pc = _compute()
    rows = pc.field("source") == shard.source
    if shard.start:
        rows &= pc.field("position") >= shard.start
    if shard.stop is not None:
        rows &= pc.field("position") < shard.stop
    return rows


def _compute() -> Any:
    """Arrow's functions, 0.07 s to import, for those who read documents alone."""
    return importlib.import_module("pyarrow.compute")


def kept_documents(
    shard: KeptShard, columns: Sequence[str] = (), block_bytes: int = BLOCK_BYTES
) -> Iterator[DocumentBatch]:
    """The documents of a shard in order, in batches of about ``block_bytes`` of JSONL, with what ``columns`` hold.

    Raises :class:`InputChanged` where shard and decisions do not belong together.
    """
    wanted = ["id", "cluster_global", "kept_global", "kept_local", "size_global", "size_local"]
    with opened(shard.decisions) as decisions:
        table = pq.read_table(decisions, columns=wanted, filters=_kept_rows(shard))
    pc = _compute()
    ids = table.column("id").to_numpy()
    clusters = pc.coalesce(table.column("cluster_global"), table.column("id")).to_numpy()
    kept_global, kept_local = (np.asarray(table.column(f"kept_{scope}").to_numpy()) for scope in BOTH)
    size_global, size_local = (pc.fill_null(table.column(f"size_{scope}"), 0).to_numpy() for scope in BOTH)
    piece = Piece(shard.file, 0, None, 0, 1, (Shard(0, 0, 0, shard.name),), (shard.source,))
    place = 0
    reader = LineReader(max_line_bytes=LONGEST, block_bytes=block_bytes)
    made = shard.unwritten
    fields = Fields(preferred=tuple(map(record_path, columns))) if columns else TEXT_ALONE
    read = read_records(piece, reader, fields=fields) if made is None else _made_records(made, piece, reader, fields)
    for records in read:
        first, last = place, place + len(records.texts)
        if records.bad or last > ids.size:
            place = -1
            break
        place = last
        texts, rows, metadata = records.texts, np.arange(first, last), records.preferred
        if shard.rest:
            rows = rows[~kept_local[rows]]
            texts = texts.chosen(rows - first)
            metadata = [metadata[row] for row in (rows - first).tolist()] if columns else metadata
        if rows.size:
            flags, sizes = (kept_global[rows], kept_local[rows]), (size_global[rows], size_local[rows])
            yield DocumentBatch(ids[rows], texts, *flags, clusters[rows], *sizes, metadata)
    if place != ids.size:
        raise InputChanged(
            f"{shard.shard} does not hold the {ids.size:,} documents that {shard.decisions} keeps; "
            "run slimpajama dedup again with the same output to restore it"
        )


def _made_records(shard: UnwrittenShard, piece: Piece, reader: LineReader, fields: Fields) -> Iterator[RecordBatch]:
    """The records of a shard that is made while it is read, in the batches that it would be read in from a file."""
    with closing(LineStream(shard.lines())) as lines:
        for block in reader.split(lines, piece):
            yield parse_lines(block, piece, fields)
