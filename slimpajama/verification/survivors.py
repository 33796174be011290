"""That every cluster keeps one document, its survivor, and that this says rightly how many it stands for.

In each scope: the document that the others name is kept and names itself (or is an earlier run's), no other that names
it is kept, and its size is the number of those that name it, so that each sound document is counted once. The members
of a cluster are spread over all decisions, so clusters are gone through by ranges of a hash of their survivors, each
range of a scope a work item that reads a few columns of all decisions; as many ranges as the memory asks for. Memory:
48 bytes for each document in a cluster of a range. Rejected: looking up each duplicate's survivor in the table that
holds it (random reads, one for each document).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.config.dedup import Scope
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.grouping import in_range
from slimpajama.engine.heartbeat import beat
from slimpajama.storage.paths import opened
from slimpajama.verification.findings import Checked, found_reading

__all__ = ["SurvivorItem", "check_survivors", "survivor_items"]

BYTES_PER_MEMBER = 48

_AGAIN = "remove decisions/ and work/ and run the same command again, and report this"


@dataclass(frozen=True, slots=True)
class SurvivorItem:
    """Range ``number`` of ``ranges`` of the clusters of a ``scope``, over all ``decisions``."""

    decisions: tuple[Path, ...]
    scope: Scope
    number: int
    ranges: int
    first_id: int = 0


def survivor_items(
    decisions: Sequence[Path], in_clusters: Sequence[int], memory: int, first_id: int = 0
) -> list[SurvivorItem]:
    """As many ranges as ``memory`` (bytes for one item) asks for, where so many documents are ``in_clusters``, in the
    global scope and in the local one.

    Documents with ids below ``first_id`` are of an earlier run, and what is in a cluster of theirs is not kept.
    """
    items = []
    for scope, members in zip(BOTH, in_clusters, strict=True):
        ranges = max(1, -(-members * BYTES_PER_MEMBER // memory))
        items += [SurvivorItem(tuple(decisions), scope, number, ranges, first_id) for number in range(ranges)]
    return items


@dataclass(frozen=True, slots=True)
class _Members:
    """n documents in clusters: their ids, their survivors, whether they are kept, and what they say they stand for."""

    ids: NDArray[np.uint64]
    survivors: NDArray[np.uint64]
    kept: NDArray[np.bool_]
    size: NDArray[np.int64]


def check_survivors(item: SurvivorItem) -> Checked:
    """Find clusters of the range that keep no document, several, or another than the one that is named, and those that
    are not as large as that says."""
    findings: list[str] = []
    parts: list[_Members] = []
    for path in item.decisions:
        beat()
        findings += found_reading(path, lambda p=path: parts.append(_members(p, item)) or [])  # type: ignore[func-returns-value, misc]
    if findings or not parts:
        return Checked(findings)
    members = _Members(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.survivors for part in parts]),
        np.concatenate([part.kept for part in parts]),
        np.concatenate([part.size for part in parts]),
    )
    unkept, missized = _wrong_clusters(members, item.first_id)
    if unkept.size:
        findings.append(
            f"{unkept.size:,} {item.scope} clusters do not keep exactly the document that the others name, e.g. "
            f"{int(unkept[0]):#x}: {_AGAIN}"
        )
    if missized.size:
        findings.append(
            f"{missized.size:,} {item.scope} clusters have another number of documents than size_{item.scope} of their "
            f"survivor says, e.g. {int(missized[0]):#x}: {_AGAIN}"
        )
    return Checked(findings)


def _members(path: Path, item: SurvivorItem) -> _Members:
    cluster = f"cluster_{item.scope}"
    columns = ["id", cluster, f"kept_{item.scope}", f"size_{item.scope}"]
    with opened(path) as source:
        table = pq.read_table(source, columns=columns, filters=pc.field(cluster).is_valid())
    ids, survivors, kept = (table.column(name).to_numpy() for name in columns[:3])
    size = pc.fill_null(table.column(columns[3]), 0).to_numpy()
    chosen = in_range(survivors, item.number, item.ranges)
    return _Members(ids[chosen], survivors[chosen], kept[chosen], size[chosen])


def _wrong_clusters(members: _Members, first_id: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Survivors of clusters whose kept members are not just that one, or of an earlier run's where any is kept; and of
    those that hold another number of documents than it says."""
    if not members.ids.size:
        return members.ids, members.ids
    order = np.argsort(members.survivors, kind="stable")
    ordered = members.survivors[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    named = ordered[starts]
    own = (named >= np.uint64(first_id)).astype(np.int64)
    is_survivor = members.ids == members.survivors
    kept = np.add.reduceat(members.kept[order].astype(np.int64), starts)
    survivors = np.add.reduceat((members.kept & is_survivor)[order].astype(np.int64), starts)
    said = np.add.reduceat(members.size[order], starts)
    counted = np.diff(np.append(starts, order.size)) * own
    return named[(kept != own) | (survivors != own)], named[said != counted]
