"""Group: which document of each cluster stays, how many it stands for, and which sources share documents.

A task takes one scope and one range of a hash of the clusters: it loads all their members, looks up in the rows what it
compares them by, and writes the groups in the order of ids. ``BYTES_PER_MEMBER`` and some are held for each document of
a range, and the number of ranges follows from the memory allowed; no cluster is cut, so one of a hundred million
documents takes 15 GB, however many ranges there are. Each task reads the clusters file and the ids of all rows once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.config.dedup import Scope
from slimpajama.dedup.clustering.spill import BATCH
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.clusters import cluster_batches
from slimpajama.dedup.files.groups import Groups, GroupsFiles, source_words, write_groups
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.files.row_lookup import gather, ranks_of
from slimpajama.dedup.grouping import BYTES_PER_MEMBER, Members, Shared, grouped, in_range, with_company
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.all_rows import all_rows, rows_digests
from slimpajama.dedup.stages.cluster import ClusterResult
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.engine.heartbeat import beat
from slimpajama.engine.resources import task_bytes
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = [
    "LARGEST",
    "GroupPayload",
    "GroupResult",
    "GroupStage",
    "LargeCluster",
    "Matrix",
    "group_ranges",
    "groups_files",
]

LARGEST = 20
"""Clusters named in the summary: where a boilerplate page has swallowed a source, it shows here."""

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class GroupPayload:
    """Range ``number`` of the ``ranges`` of the clusters of a ``scope``.

    ``rows_list``: a JSON file that lists all rows files, beside them; ``precedence``: by which survivors are chosen;
    ``None`` where clusters name their survivors.
    """

    scope: Scope
    number: int
    ranges: int
    clusters_file: Path
    rows_list: Path
    sources: SourceRanges
    precedence: Precedence | None
    groups_file: Path


class LargeCluster(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the largest clusters, by its survivor, and how many documents it has.

    ``beginning``: the first characters of the survivor's text, in the summary and where it was read.
    """

    cluster: int
    documents: int
    beginning: str = ""


class GroupResult(StageResult, frozen=True, kw_only=True):
    """How many ``documents`` share how many ``clusters`` in one scope, and the ``largest`` of these.

    The others are of the global scope alone, by source and source: ``shared_clusters``, ``shared_documents`` and
    ``shared_bytes`` (see :class:`~slimpajama.dedup.grouping.Shared`).
    """

    scope: Scope
    documents: int
    clusters: int
    largest: tuple[LargeCluster, ...]
    shared_clusters: Matrix
    shared_documents: Matrix
    shared_bytes: Matrix
    table: FileRecord


@dataclass(frozen=True)
class GroupStage(Stage[GroupPayload, GroupResult]):
    """The groups of ``clusters`` of what was ``sketched``."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    clusters: ClusterResult

    name: ClassVar[str] = "group"
    title: ClassVar[str] = "group"
    version: ClassVar[int] = 1
    result_type = GroupResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[GroupPayload]]:
        """One for each scope and range of clusters."""
        dedup, layout = self.dedup, self.dedup.layout
        sources = dedup.sources
        precedence = None if dedup.config.checked else dedup.precedence
        keys = dedup.config.prefer if precedence and precedence.ranks else ()
        ranges = group_ranges(
            self.clusters.linked,
            sources.reported_count,
            len(keys),
            task_bytes(dedup.config),
            dedup.sizes.bytes_per_member,
        )
        common = {
            "version": self.version,
            **rows_digests(dedup, self.sketched),
            "clusters": content_digest([self.clusters.table]),
            "sources": asdict(sources),
            "keys": list(keys),
        }
        reads = (*written_files([self.clusters.table]), *all_rows(dedup, self.sketched))
        return [
            Task(
                f"{scope}-{number}",
                GroupPayload(
                    scope,
                    number,
                    ranges,
                    layout.clusters,
                    layout.rows_list,
                    sources,
                    precedence,
                    layout.groups(scope, number),
                ),
                common | {"range": f"{number} of {ranges}"},
                self.clusters.table.bytes // ranges,
                reads,
            )
            for scope in BOTH
            for number in range(ranges)
        ]

    @staticmethod
    def run(payload: GroupPayload, rows: int = BATCH) -> GroupResult:
        """Write the groups of one range, in batches of ``rows`` rows."""
        members = with_company(_members(payload))
        low, high, sizes = gather(payload.rows_list, members.ids, ["hash_low", "hash_high", "bytes"])
        keys = None
        if payload.precedence is not None:
            ranks = ranks_of(payload.rows_list, members.ids, payload.precedence)
            keys = payload.precedence.columns(members.ids, ranks)[:-1]
        shared = Shared.nothing(payload.sources.reported_count)
        groups = grouped(
            members,
            np.stack([low, high], axis=1),
            sizes,
            payload.sources.reported_of(members.ids),
            keys,
            shared,
        )
        record = write_groups(payload.groups_file, groups, rows)
        reports = payload.scope == "global"
        return GroupResult(
            scope=payload.scope,
            documents=members.ids.size,
            clusters=int(np.count_nonzero(groups.size)),
            largest=_largest(groups),
            shared_clusters=_matrix(shared.clusters) if reports else (),
            shared_documents=_matrix(shared.documents) if reports else (),
            shared_bytes=_matrix(shared.bytes) if reports else (),
            table=record,
        )


def group_ranges(linked: int, sources: int, keys: int, memory: int, bytes_per_member: int = BYTES_PER_MEMBER) -> int:
    """How many ranges the clusters of so many ``linked`` documents of so many ``sources`` are cut into, to be compared
    by so many ``keys``, so that each task stays within ``memory`` bytes."""
    return max(1, -(-linked * (bytes_per_member + 8 * (keys + source_words(sources))) // memory))


def groups_files(dedup: DedupRun, groups: Sequence[GroupResult]) -> tuple[GroupsFiles, GroupsFiles]:
    """The files of the global and of the local scope."""
    words = source_words(dedup.sources.reported_count)
    return tuple(  # type: ignore[return-value]
        GroupsFiles(tuple(path_of(one.table.path) for one in groups if one.scope == scope), words) for scope in BOTH
    )


def _members(payload: GroupPayload) -> Members:
    parts = list(_parts(payload))
    if not parts:
        return Members(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.float32))
    return Members(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "clusters", "similarity"))
    )


def _parts(payload: GroupPayload) -> Iterator[Members]:
    for batch in cluster_batches(payload.clusters_file):
        beat()
        clusters: NDArray[np.uint64] = getattr(batch, f"cluster_{payload.scope}")
        chosen = in_range(clusters, payload.number, payload.ranges)
        similarity: NDArray[np.float32] = getattr(batch, f"similarity_{payload.scope}")
        yield Members(batch.ids[chosen], clusters[chosen], similarity[chosen])


def _largest(groups: Groups) -> tuple[LargeCluster, ...]:
    """Larger first; of equal ones those with the smaller ids."""
    places = np.flatnonzero(groups.size)
    places = places[np.lexsort((places, -groups.size[places].astype(np.int64)))][:LARGEST]
    return tuple(LargeCluster(int(groups.id[place]), int(groups.size[place])) for place in places)


def _matrix(counts: NDArray[np.int64]) -> Matrix:
    return tuple(map(tuple, counts.tolist()))
