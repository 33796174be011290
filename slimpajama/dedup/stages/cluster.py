"""Cluster: one task that turns all links into the clusters file, out of which the next stage makes groups.

It runs in one process, with a thread for each worker, as these have nothing to do meanwhile (see
:mod:`slimpajama.dedup.cluster`). Its result is the same however the ids are cut.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from slimpajama.dedup.cluster import write_clusters
from slimpajama.dedup.clustering.spill import BATCH
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.lsh import read_links
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.exact import ExactResult
from slimpajama.dedup.stages.link import LinkResult
from slimpajama.engine.machine import processors
from slimpajama.engine.resources import whole_machine_bytes, worker_count
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["ClusterPayload", "ClusterResult", "ClusterStage"]


@dataclass(frozen=True, slots=True)
class ClusterPayload:
    """All links files, whose documents they are about, where the clusters go, the bytes that may be held, and how many
    ``threads`` share the work."""

    links_files: tuple[Path, ...]
    sources: SourceRanges
    clusters_file: Path
    memory: int
    threads: int = 1


class ClusterResult(StageResult, frozen=True, kw_only=True):
    """How many documents are ``linked``, and the ``table`` of their clusters."""

    linked: int
    table: FileRecord


@dataclass(frozen=True)
class ClusterStage(Stage[ClusterPayload, ClusterResult]):
    """The clusters of ``links``."""

    dedup: DedupRun
    links: Sequence[LinkResult | ExactResult]

    name: ClassVar[str] = "cluster"
    title: ClassVar[str] = "cluster"
    version: ClassVar[int] = 4
    result_type = ClusterResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)
    scales_with: ClassVar[Scale] = "links"
    single: ClassVar[bool] = True
    threaded: ClassVar[bool] = True

    @property
    def memory(self) -> int:
        """As much as all workers may hold together."""
        return whole_machine_bytes(self.dedup.config)

    def tasks(self) -> Sequence[Task[ClusterPayload]]:
        """One."""
        sources = self.dedup.sources
        records = [result.links for result in self.links]
        inputs = {
            "version": self.version,
            "links": fingerprint(sorted(content_digest([record]) for record in records)),
            "sources": asdict(sources),
        }
        payload = ClusterPayload(
            tuple(path_of(record.path) for record in records),
            sources,
            self.dedup.layout.clusters,
            self.memory,
            worker_count(self.dedup.config),
        )
        return [Task("all", payload, inputs, sum(record.bytes for record in records), written_files(records))]

    @staticmethod
    def run(payload: ClusterPayload, batch: int = BATCH) -> ClusterResult:
        """Write the clusters file, in batches of ``batch`` rows."""
        files = [functools.partial(read_links, path) for path in payload.links_files]
        team = Team(min(payload.threads, processors()))
        clustered = write_clusters(files, payload.sources, payload.clusters_file, payload.memory, batch, team)
        return ClusterResult(linked=clustered.linked, table=clustered.table)
