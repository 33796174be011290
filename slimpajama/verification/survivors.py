"""That every cluster keeps one document, and that this is its root, in each scope (or none: an earlier run has it).

The members of a cluster are spread over all decisions, so clusters are gone through by ranges of a hash of their roots,
each range a work item that reads three columns of all decisions; as many ranges as the memory asks for. Memory: 40
bytes for each linked document of a range. Rejected: looking up each duplicate's survivor in the table that holds it
(random reads, one for each document).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.storage.paths import opened
from slimpajama.verification.findings import Checked, found_reading

__all__ = ["SurvivorItem", "check_survivors", "survivor_items"]

BYTES_PER_LINKED = 40


@dataclass(frozen=True, slots=True)
class SurvivorItem:
    """Range ``number`` of ``ranges`` of the roots of clusters, over all ``decisions``."""

    decisions: tuple[Path, ...]
    number: int
    ranges: int
    first_id: int = 0


def survivor_items(decisions: Sequence[Path], linked: int, memory: int, first_id: int = 0) -> list[SurvivorItem]:
    """As many ranges as ``memory`` (bytes for one item) asks for, where ``linked`` documents are in clusters.

    Documents with ids below ``first_id`` are of an earlier run, and what is in a cluster of theirs is not kept.
    """
    ranges = max(1, -(-linked * BYTES_PER_LINKED // memory))
    return [SurvivorItem(tuple(decisions), number, ranges, first_id) for number in range(ranges)]


def check_survivors(item: SurvivorItem) -> Checked:
    """Find clusters of the range that keep no document, several, or another than their root."""
    findings: list[str] = []
    parts = []
    for path in item.decisions:
        beat()
        findings += found_reading(path, lambda p=path: parts.append(_members(p, item)) or [])  # type: ignore[func-returns-value, misc]
    if findings or not parts:
        return Checked(findings)
    ids, global_roots, local_roots, kept_global, kept_local = map(np.concatenate, zip(*parts, strict=True))
    for scope, roots, kept in (("global", global_roots, kept_global), ("local", local_roots, kept_local)):
        wrong = _wrong_clusters(ids, roots, kept, item.first_id)
        if wrong.size:
            findings.append(
                f"{wrong.size:,} {scope} clusters do not keep exactly their root, e.g. {int(wrong[0]):#x}: remove "
                "decisions/ and work/ and run the same command again, and report this"
            )
    return Checked(findings)


def _members(path: Path, item: SurvivorItem) -> list[NDArray[Any]]:
    columns = ["id", "cluster_global", "cluster_local", "kept_global", "kept_local"]
    with opened(path) as source:
        table = pq.read_table(source, columns=columns, filters=pc.field("cluster_global").is_valid())
    ids, roots = table.column("id").to_numpy(), table.column("cluster_global").to_numpy()
    local = pc.coalesce(table.column("cluster_local"), table.column("id")).to_numpy()
    kept = [table.column(name).to_numpy() for name in columns[3:]]
    mixed = (roots * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)  # 32 bits, even over all roots
    chosen = (mixed * np.uint64(item.ranges)) >> np.uint64(32) == item.number
    return [column[chosen] for column in (ids, roots, local, *kept)]


def _wrong_clusters(
    ids: NDArray[np.uint64], roots: NDArray[np.uint64], kept: NDArray[np.bool_], first_id: int
) -> NDArray[np.uint64]:
    """Roots of clusters whose kept members are not just the root, or of an earlier run's where any is kept."""
    if not ids.size:
        return roots
    order = np.argsort(roots, kind="stable")
    ordered = roots[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    members = np.add.reduceat(kept[order].astype(np.int64), starts)
    survivors = np.add.reduceat((kept & (ids == roots))[order].astype(np.int64), starts)
    expected = (ordered[starts] >= np.uint64(first_id)).astype(np.int64)
    found: NDArray[np.uint64] = ordered[starts[(members != expected) | (survivors != expected)]]
    return found
