"""Diff: which pieces the clusters say something new about.

The clusters file changes whenever any shard does, but what it says of the documents of one piece mostly stays. This
stage hashes it piece by piece, in the order of ids, so that only pieces with another hash are decided anew. Reads the
file once; holds what it says of one piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from slimpajama.corpus.discovery import POSITION_BITS, Piece
from slimpajama.dedup.cluster import read_clusters
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.stages.cluster import ClusterResult
from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint

__all__ = ["DiffPayload", "DiffResult", "DiffStage", "spans_of"]


@dataclass(frozen=True, slots=True)
class DiffPayload:
    """The clusters file, and for each piece the ranges ``[low, high)`` of ids it may hold."""

    clusters_file: Path
    spans: tuple[tuple[tuple[int, int], ...], ...]


class DiffResult(StageResult, frozen=True, kw_only=True):
    """``digests``: for each piece, of what the clusters say of its documents."""

    digests: tuple[str, ...]


@dataclass(frozen=True)
class DiffStage(Stage[DiffPayload, DiffResult]):
    """The diff of ``clusters``."""

    dedup: DedupRun
    clusters: ClusterResult

    name: ClassVar[str] = "diff"
    title: ClassVar[str] = "diff"
    version: ClassVar[int] = 2
    result_type = DiffResult
    scales_with: ClassVar[Scale] = "documents"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[DiffPayload]]:
        """One."""
        spans = tuple(map(spans_of, self.dedup.corpus.pieces))
        inputs = {
            "version": self.version,
            "clusters": content_digest(self.clusters.files),
            "pieces": fingerprint(spans),
        }
        payload = DiffPayload(self.dedup.layout.clusters, spans)
        return [Task("all", payload, inputs, self.clusters.table.bytes, written_files(self.clusters.files))]

    @staticmethod
    def run(payload: DiffPayload) -> DiffResult:
        """Hash what the clusters say of each piece."""
        digests = []
        for spans in payload.spans:
            beat()
            digest = hashlib.blake2b(digest_size=16)
            clusters = read_clusters(payload.clusters_file, spans)
            for column in (clusters.ids, clusters.global_roots, clusters.local_roots, clusters.local_alone):
                digest.update(column.view(np.uint8).data)
            digests.append(digest.hexdigest())
        return DiffResult(digests=tuple(digests))


def spans_of(piece: Piece) -> tuple[tuple[int, int], ...]:
    """The ranges of ids of a piece, one for each of its shards."""
    stop = 1 << POSITION_BITS if piece.stop is None else piece.stop
    firsts = [shard.index << POSITION_BITS for shard in piece.shards]
    return tuple((first + piece.start, min(first + stop, (1 << 64) - 1)) for first in firsts)
