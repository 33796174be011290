"""A deduplication as it lies there: each table of decisions, and each line of each shard against the row that keeps it.

An item is one part of one piece: its decisions row by row, then its shards line by line; it costs what reading the
output costs (see ``docs/results.md``). Nothing that a stage knew is used but the list of the files. That the pieces
together make sense, each cluster with one survivor, is the next pass (:mod:`slimpajama.verification.survivors`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.discovery import POSITION_BITS, Piece, Shard, ShardFile
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.corpus.shard_formats import written_shard
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.summary import Count, read_summary
from slimpajama.dedup.verdicts import MATCHES, VERDICTS, decisions_schema
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import InputNotFound
from slimpajama.storage.atomic import content_digest, file_record
from slimpajama.storage.paths import opened, path_of
from slimpajama.verification.findings import REMEDY, Checked, damage, found_reading, size_of

__all__ = ["STATES", "PartChecked", "PartItem", "check_part", "compare_totals", "part_items"]

STATES = ("read", "short", "bad", "global kept", "local kept", "global exact", "local exact", "contaminated")

LONGEST = 1 << 40
_VERDICTS, _MATCHES = pa.array(VERDICTS), pa.array(MATCHES)
_EXACT = MATCHES.index("exact")
_KEPT, _DUPLICATE, _SHORT, _BAD, _CONTAMINATED = map(
    VERDICTS.index, ("kept", "duplicate", "short", "bad", "contaminated")
)


@dataclass(frozen=True, slots=True)
class PartItem:
    """A part of a piece below ``root``: its ``decisions`` and their digest, the ``positions`` [start, stop) of its
    records, and its ``shards`` as (source, scope, file, digest). ``checked``: removals are, so that what is kept
    globally need not be kept locally."""

    root: Path
    decisions: str
    decided: str
    positions: tuple[int, int | None]
    checked: bool
    shards: tuple[tuple[str, str, ShardFile, str], ...]

    @property
    def bytes(self) -> int:
        """Size of its files, of those that are there."""
        return sum(
            size_of(path)
            for path in (self.root / self.decisions, *(path_of(file.path) for _, _, file, _ in self.shards))
        )


@dataclass(frozen=True, slots=True)
class PartChecked(Checked):
    """``in_clusters``: how many documents are in one with others, globally and locally; ``counts``: of each source
    [documents, bytes] of each of ``STATES``."""

    in_clusters: tuple[int, int]
    counts: dict[str, list[list[int]]]


def part_items(root: Path) -> list[PartItem]:
    """All parts of a deduplication. Raises :class:`InputNotFound` where it is not finished."""
    layout = DedupLayout(root)
    try:
        checked = read_summary(layout).settings.checked
    except InputNotFound:  # which another check says
        checked = True
    return [
        PartItem(
            root,
            part.decisions,
            part.decided,
            (part.start, part.stop),
            checked,
            tuple(
                (shard.source, shard.scope, written_shard(root / shard.path, shard.path), shard.blake2b)
                for shard in part.shards
                if shard.blake2b is not None
            ),
        )
        for part in read_manifest(layout).parts
    ]


def check_part(item: PartItem) -> PartChecked:
    """Check the decisions on a part, and its shards against them."""
    path = item.root / item.decisions
    account = _Account()
    findings = found_reading(path, lambda: list(_check_decisions(item, path, account)))
    for source, scope, file, digest in item.shards:
        shard = path_of(file.path)
        damaged = damage(shard, None, digest)
        findings += damaged or found_reading(shard, lambda s=source, c=scope, f=file: _check_shard(item, s, c, f))  # type: ignore[misc]
    return PartChecked(findings, (account.in_clusters[0], account.in_clusters[1]), account.counts)


class _Account:
    def __init__(self) -> None:
        self.in_clusters = [0, 0]
        self.counts: dict[str, list[list[int]]] = {}

    def add(self, source: str, masks: Sequence[NDArray[np.bool_]], sizes: NDArray[np.int64]) -> None:
        totals = self.counts.setdefault(source, [[0, 0] for _ in STATES])
        for total, mask in zip(totals, masks, strict=True):
            total[0] += int(mask.sum())
            total[1] += int(sizes[mask].sum())


def _check_decisions(item: PartItem, path: Path, account: _Account) -> Iterator[str]:
    if content_digest([file_record(path)]) != item.decided:
        yield f"{path} is not what was written: its digest is another; {REMEDY}"
        return
    last: dict[int, int] = {}
    with opened(path) as source, pq.ParquetFile(source) as file:
        if file.schema_arrow not in [decisions_schema(*has) for has in product((False, True), repeat=2)]:
            yield f"{path} has other columns than decisions have; {REMEDY}"
            return
        for batch in file.iter_batches():
            beat()
            ids, positions = batch.column("id").to_numpy(), batch.column("position").to_numpy()
            shards = ids >> np.uint64(POSITION_BITS)
            for shard in np.unique(shards).tolist():
                own = ids[shards == shard]
                if (own[1:] <= own[:-1]).any() or last.get(shard, -1) >= int(own[0]):
                    yield f"{path}: the ids of shard {shard} do not ascend: a document is there twice; {REMEDY}"
                last[shard] = int(own[-1])
            if not np.array_equal(ids & np.uint64((1 << POSITION_BITS) - 1), positions.astype(np.uint64)):
                yield f"{path}: ids and positions contradict; {REMEDY}"
            verdict = pc.index_in(batch.column("status"), _VERDICTS).to_numpy(zero_copy_only=False)
            kept_global, kept_local = (
                batch.column(f"kept_{scope}").to_numpy(zero_copy_only=False) for scope in ("global", "local")
            )
            wrong = kept_global != (verdict == _KEPT)
            if not item.checked:
                wrong |= kept_global & ~kept_local
            compared = (verdict == _KEPT) | (verdict == _DUPLICATE)
            wrong |= kept_local & ~compared
            inside = _inside(positions, item)
            exact = []
            for number, (scope, kept) in enumerate(zip(BOTH, (kept_global, kept_local), strict=True)):
                in_cluster = batch.column(f"cluster_{scope}").is_valid().to_numpy(zero_copy_only=False)
                size = pc.fill_null(batch.column(f"size_{scope}"), 0).to_numpy()
                wrong |= (size > 0) != kept
                wrong |= compared & ~in_cluster & (size != 1)  # alone, so it stays, and stands for itself
                matches = pc.index_in(batch.column(f"match_{scope}"), _MATCHES)
                wrong |= matches.is_valid().to_numpy(zero_copy_only=False) != (compared & ~kept)
                exact.append(pc.fill_null(pc.equal(matches, _EXACT), False).to_numpy(zero_copy_only=False))
                account.in_clusters[number] += int((in_cluster & inside).sum())
            if wrong.any():
                yield f"{path}: verdict and flags of document {int(ids[wrong][0]):#x} contradict; {REMEDY}"
            every = np.ones(ids.size, dtype=np.bool_)
            states = (
                *(every, verdict == _SHORT, verdict == _BAD, kept_global, kept_local),
                *exact,
                verdict == _CONTAMINATED,
            )
            names = batch.column("source")
            for name in pc.unique(names).to_pylist():
                own = inside & pc.equal(names, name).to_numpy(zero_copy_only=False)
                account.add(name, [own & state for state in states], batch.column("bytes").to_numpy())


def _check_shard(item: PartItem, source: str, scope: str, file: ShardFile) -> list[str]:
    """The shard's records against the rows that keep them, in order: as many, each as long, and of that source."""
    path = path_of(file.path)
    rows = (pc.field("source") == source) & pc.field(f"kept_{scope}")
    with opened(item.root / item.decisions) as decisions:
        table = pq.read_table(decisions, columns=["position", "bytes"], filters=rows)
    sizes = table.column("bytes").to_numpy()[_inside(table.column("position").to_numpy(), item)]
    # Read as a shard of several sources, so that a record of another source counts as broken.
    name = REDPAJAMA_SET_NAMES.get(source, source)
    piece = Piece(file, 0, None, 0, 1, (Shard(0, 0, 0, source), Shard(1, 0, 0, "")), (name, ""))
    row = 0
    for batch in read_records(piece, LineReader(max_line_bytes=LONGEST)):
        beat()
        if batch.bad:
            bad = next(iter(batch.bad.values()))
            return [f"{path}: the record at byte {bad.position:,} is broken: {bad.reason}; {REMEDY}"]
        found = batch.texts.sizes
        expected = sizes[row : row + found.size]
        if not np.array_equal(found, expected):
            alike = found[: expected.size] == expected
            at = int(np.argmin(alike)) if not alike.all() else expected.size
            return [f"{path}: record {row + at:,} is not the one that {item.decisions} keeps there; {REMEDY}"]
        row += found.size
    return [] if row == sizes.size else [f"{path} holds {row:,} records, not {sizes.size:,} as decided; {REMEDY}"]


def _inside(positions: NDArray[np.int64], item: PartItem) -> NDArray[np.bool_]:
    start, stop = item.positions
    return (positions >= start) & (positions < (1 << POSITION_BITS if stop is None else stop))


def compare_totals(root: Path, results: Sequence[PartChecked]) -> list[str]:
    """What was counted against ``summary.json``, and that against itself: every record that was read is somewhere."""
    layout = DedupLayout(root)
    path = layout.summary
    try:
        sources = read_summary(layout).sources
    except InputNotFound as fault:
        return [str(fault)]
    totals: dict[str, NDArray[np.int64]] = {}
    for result in results:
        for source, counts in result.counts.items():
            totals[source] = totals.get(source, np.zeros((len(STATES), 2), dtype=np.int64)) + np.array(counts)
    findings = [f"{path} does not know source {source!r}; {REMEDY}" for source in set(totals) - set(sources)]
    for source, figures in sources.items():
        if source == "total":
            continue
        counted = totals.get(source, np.zeros((len(STATES), 2), dtype=np.int64)).tolist()
        scopes = [figures.of(scope) for scope in BOTH]
        said = [
            *(figures.read, figures.short, figures.bad, *(one.kept for one in scopes), *(one.exact for one in scopes)),
            figures.contaminated,
        ]
        for state, (documents, size), one in zip(STATES, counted, said, strict=True):
            if Count(documents, size) != one:
                findings.append(
                    f"{path} says {one.documents:,} documents of {one.bytes:,} bytes {state} of source "
                    f"{source!r}, but the decisions {documents:,} of {size:,}; {REMEDY}"
                )
        for scope in BOTH:
            kept_and_not = figures.of(scope)
            wholes = [
                (
                    figures.read,
                    [figures.short, figures.bad, figures.contaminated, kept_and_not.kept, kept_and_not.duplicate],
                ),
                (kept_and_not.duplicate, [kept_and_not.exact, kept_and_not.near]),
            ]
            for unit in Count.__struct_fields__:
                if any(getattr(whole, unit) != sum(getattr(part, unit) for part in parts) for whole, parts in wholes):
                    findings.append(
                        f"{path}: {unit} of source {source!r} are not conserved in the {scope} scope; {REMEDY}"
                    )
    return findings
