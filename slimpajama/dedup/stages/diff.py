"""Diff: which bundles the groups say something new about.

The groups change whenever any shard does, but what they say of the documents of one bundle mostly stays. This stage
hashes that bundle by bundle, in the order of ids, so that only those with another hash are decided anew. Reads the
files once; holds what they say of one bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.corpus.pieces import Bundle
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.groups import GroupsFiles
from slimpajama.dedup.stages.group import GroupResult, groups_files
from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint

__all__ = ["DiffPayload", "DiffResult", "DiffStage", "spans_of"]


@dataclass(frozen=True, slots=True)
class DiffPayload:
    """The groups of both scopes, and for each bundle the ranges ``[low, high)`` of ids it may hold."""

    groups: tuple[GroupsFiles, GroupsFiles]
    spans: tuple[tuple[tuple[int, int], ...], ...]


class DiffResult(StageResult, frozen=True, kw_only=True):
    """``digests``: for each bundle, of what the groups say of its documents."""

    digests: tuple[str, ...]


@dataclass(frozen=True)
class DiffStage(Stage[DiffPayload, DiffResult]):
    """The diff of ``groups``."""

    dedup: DedupRun
    groups: Sequence[GroupResult]

    name: ClassVar[str] = "diff"
    title: ClassVar[str] = "diff"
    version: ClassVar[int] = 3
    result_type = DiffResult
    scales_with: ClassVar[Scale] = "documents"
    single: ClassVar[bool] = True

    def tasks(self) -> Sequence[Task[DiffPayload]]:
        """One."""
        spans = tuple(map(spans_of, self.dedup.corpus.bundles))
        tables = [result.table for result in self.groups]
        inputs = {
            "version": self.version,
            "groups": content_digest(tables),
            "pieces": fingerprint(spans),
        }
        payload = DiffPayload(groups_files(self.dedup, self.groups), spans)
        return [Task("all", payload, inputs, sum(table.bytes for table in tables), written_files(tables))]

    @staticmethod
    def run(payload: DiffPayload) -> DiffResult:
        """Hash what the groups say of each bundle."""
        digests = []
        for spans in payload.spans:
            beat()
            digest = hashlib.blake2b(digest_size=16)
            for files in payload.groups:
                for column in files.read(spans).columns:
                    digest.update(np.ascontiguousarray(column).view(np.uint8).data)
            digests.append(digest.hexdigest())
        return DiffResult(digests=tuple(digests))


def spans_of(bundle: Bundle) -> tuple[tuple[int, int], ...]:
    """The ranges of ids of a bundle, one for each of its sources, as the shards of several pieces are successive."""
    first, last = bundle.pieces[0], bundle.pieces[-1]
    stop = 1 << POSITION_BITS if last.stop is None else last.stop
    return tuple(
        ((low.index << POSITION_BITS) + first.start, min((high.index << POSITION_BITS) + stop, (1 << 64) - 1))
        for low, high in zip(first.shards, last.shards, strict=True)
    )
