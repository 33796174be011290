"""Look: of each bundle, the removals of a seeded sample, which are then compared exactly with their survivors.

Which removals are in the sample follows from a hash of their ids, so it is the same on any number of workers. Reads
three columns of the decisions on the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.dedup import Scope
from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.checking.rounds import PairWork
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.pairs import PairsToCompare, read_pairs, spread, write_pairs
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import opened, path_of

__all__ = ["SEED", "DrawPayload", "DrawStage", "LookPayload", "LookResult", "LookStage", "least_of_each_source"]

SEED = np.uint64(0x5EED)


@dataclass(frozen=True, slots=True)
class LookPayload:
    """The decisions on one bundle, how many removals of each source are looked at, and where they are listed.

    ``first_survivor``: removals for documents with lower ids are not looked at.
    """

    decisions_file: Path
    scope: Scope
    sources: SourceRanges
    first_survivor: int
    count: int
    pairs_file: Path


class LookResult(StageResult, frozen=True, kw_only=True):
    """How many removals of the bundle may be looked at, each with its survivor."""

    pairs: int
    table: FileRecord


@dataclass(frozen=True)
class LookStage(Stage[LookPayload, LookResult]):
    """The sample of the removals in ``decisions``, one table for each bundle: ``count`` of each source.

    ``earlier``: those for documents of earlier runs, too, whose texts are at hand.
    """

    dedup: DedupRun
    decisions: Sequence[FileRecord]
    scope: Scope
    count: int
    earlier: bool
    work: PairWork

    name: ClassVar[str] = "look"
    title: ClassVar[str] = "look at removals"
    version: ClassVar[int] = 1
    result_type = LookResult
    scales_with: ClassVar[Scale] = "documents"

    @property
    def label(self) -> str:
        """As its work is called."""
        return self.work.label("sample")

    def tasks(self) -> Sequence[Task[LookPayload]]:
        """One for each bundle."""
        dedup = self.dedup
        first = 0 if self.earlier else dedup.corpus.first_shard << POSITION_BITS
        return [
            Task(
                bundle.name,
                LookPayload(
                    decisions_file=path_of(record.path),
                    scope=self.scope,
                    sources=dedup.sources,
                    first_survivor=first,
                    count=self.count,
                    pairs_file=self.work.folder / "sample" / f"{number}.arrow",
                ),
                {
                    "version": self.version,
                    "decisions": content_digest([record]),
                    "scope": self.scope,
                    "count": self.count,
                    "first_survivor": first,
                    "sources": asdict(dedup.sources),
                },
                record.bytes,
                written_files([record]),
            )
            for number, (bundle, record) in enumerate(zip(dedup.corpus.bundles, self.decisions, strict=True))
        ]

    @staticmethod
    def run(payload: LookPayload) -> LookResult:
        """List the sample of one bundle."""
        import pyarrow.parquet as pq

        cluster, kept = f"cluster_{payload.scope}", f"kept_{payload.scope}"
        documents, survivors = (np.empty(0, dtype=np.uint64) for _ in range(2))
        with opened(payload.decisions_file) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(columns=["id", cluster, kept]):
                beat()
                removed = batch.filter(batch.column(cluster).is_valid())
                gone = ~removed.column(kept).to_numpy(zero_copy_only=False)
                gone &= removed.column(cluster).to_numpy() >= np.uint64(payload.first_survivor)
                documents = np.concatenate([documents, removed.column("id").to_numpy()[gone]])
                survivors = np.concatenate([survivors, removed.column(cluster).to_numpy()[gone]])
                chosen = least_of_each_source(documents, payload.sources, payload.count)
                documents, survivors = documents[chosen], survivors[chosen]
        order = np.argsort(documents)
        record = write_pairs(payload.pairs_file, PairsToCompare(documents[order], survivors[order]))
        return LookResult(pairs=documents.size, table=record)


@dataclass(frozen=True, slots=True)
class DrawPayload:
    """What was listed of each bundle, how many removals of each source are drawn, and where these go."""

    listed_files: tuple[Path, ...]
    sources: SourceRanges
    count: int
    pairs_file: Path


@dataclass(frozen=True)
class DrawStage(Stage[DrawPayload, LookResult]):
    """The sample of all bundles: of what was ``listed`` of each, ``count`` removals of each source."""

    dedup: DedupRun
    listed: Sequence[LookResult]
    count: int
    work: PairWork

    name: ClassVar[str] = "draw"
    title: ClassVar[str] = "draw"
    version: ClassVar[int] = 1
    result_type = LookResult
    scales_with: ClassVar[Scale] = "fixed"
    single: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """As its work is called."""
        return self.work.label(self.title)

    def tasks(self) -> Sequence[Task[DrawPayload]]:
        """One."""
        records = [result.table for result in self.listed]
        inputs = {
            "version": self.version,
            "listed": content_digest(records),
            "count": self.count,
            "sources": asdict(self.dedup.sources),
        }
        payload = DrawPayload(
            tuple(path_of(record.path) for record in records),
            self.dedup.sources,
            self.count,
            self.work.folder / "pairs.arrow",
        )
        return [Task("all", payload, inputs, sum(record.bytes for record in records), written_files(records))]

    @staticmethod
    def run(payload: DrawPayload) -> LookResult:
        """Draw the sample."""
        listed = [read_pairs(path, PairsToCompare) for path in payload.listed_files]
        documents, survivors = (
            np.concatenate([np.empty(0, dtype=np.uint64), *(getattr(pairs, name) for pairs in listed)])
            for name in ("documents", "candidates")
        )
        chosen = np.sort(least_of_each_source(documents, payload.sources, payload.count))
        record = write_pairs(payload.pairs_file, PairsToCompare(documents[chosen], survivors[chosen]))
        return LookResult(pairs=chosen.size, table=record)


def least_of_each_source(documents: NDArray[np.uint64], sources: SourceRanges, count: int) -> NDArray[np.int64]:
    """The indexes of ``count`` documents of each source that a seeded hash of their ids puts first."""
    source = sources.reported_of(documents)
    order = np.lexsort((spread(documents ^ SEED), source))
    ordered = source[order]
    rank = np.arange(order.size) - np.searchsorted(ordered, ordered)
    chosen: NDArray[np.int64] = order[rank < count]
    return chosen
