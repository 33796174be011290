"""Decide: a verdict on every record, in one Parquet table per piece.

One row per non-blank input line: what it is, whose cluster it is in, and whether it is kept, globally and locally; with
``id_field``, also its own id. The tables are the evidence for everything that follows; shards, mixtures and reports are
read off them. What is counted here is counted from the rows written, and checked: records read = kept + short +
duplicate + bad, in both scopes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.cluster import read_clusters
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.sketches import BAD, DOCUMENT_ID, row_batches
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.cluster import ClusterResult
from slimpajama.dedup.stages.diff import DiffResult, spans_of
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.dedup.verdicts import SCHEMA, VERDICTS, Nested, Tally, decide, nested
from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import atomic_file, content_digest
from slimpajama.storage.file_record import FileRecord

__all__ = ["DecidePayload", "DecideResult", "DecideStage"]


@dataclass(frozen=True, slots=True)
class DecidePayload:
    """The rows of one piece, with ids in ``spans``, and where their decisions go."""

    shard: str
    rows_file: Path
    clusters_file: Path
    decisions_file: Path
    source_names: tuple[str, ...]
    sources: SourceRanges
    spans: tuple[tuple[int, int], ...]
    with_document_ids: bool = False


class DecideResult(StageResult, frozen=True, kw_only=True):
    """The tally of a piece (see :class:`~slimpajama.dedup.verdicts.Tally`).

    ``kept``: a digest of who is kept in which scope, which stays when only the clusters of the others change.
    """

    counts: Nested
    removed: Nested
    kept: str
    decisions: FileRecord


@dataclass(frozen=True)
class DecideStage(Stage[DecidePayload, DecideResult]):
    """The decisions on what was ``sketched``, by its ``clusters``; ``diff`` tells what they say anew."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    clusters: ClusterResult
    diff: DiffResult

    name: ClassVar[str] = "decide"
    title: ClassVar[str] = "decide"
    version: ClassVar[int] = 2
    result_type = DecideResult
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[DecidePayload]]:
        """One for each piece."""
        dedup, layout = self.dedup, self.dedup.layout
        names, sources = dedup.source_names, dedup.sources
        return [
            Task(
                piece.name,
                DecidePayload(
                    shard=piece.file.relative,
                    rows_file=layout.rows_file(piece),
                    clusters_file=layout.clusters,
                    decisions_file=layout.decisions(piece),
                    source_names=names,
                    sources=sources,
                    spans=spans_of(piece),
                    with_document_ids=dedup.config.id_field is not None,
                ),
                {
                    "version": self.version,
                    "rows": content_digest([own.sketches]),
                    "clusters": digest,
                    "sources": list(names),
                    "ranges": asdict(sources),
                    "shard": piece.file.relative,
                },
                piece.input_bytes,
                written_files([own.sketches, self.clusters.table]),
            )
            for piece, own, digest in zip(dedup.corpus.pieces, self.sketched, self.diff.digests, strict=True)
        ]

    @staticmethod
    def run(payload: DecidePayload) -> DecideResult:
        """Write the decisions on a piece."""
        kept = hashlib.blake2b(digest_size=16)
        clusters = read_clusters(payload.clusters_file, payload.spans)
        schema = SCHEMA.append(DOCUMENT_ID) if payload.with_document_ids else SCHEMA
        more = [DOCUMENT_ID.name] if payload.with_document_ids else []
        tally = Tally(len(payload.source_names), payload.sources.reported_count)
        names = pa.array(payload.source_names)
        with (
            atomic_file(payload.decisions_file) as file,
            pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer,
        ):
            for ids, sources, status, sizes, cleaned, *document_ids in row_batches(
                payload.rows_file, ["id", "source", "status", "bytes", "cleaned_chars", *more]
            ):
                beat()
                verdicts = decide(ids, status, clusters)
                owners = payload.sources.reported_of(verdicts.global_roots)
                for flags in (ids, verdicts.kept_global, verdicts.kept_local):
                    kept.update(np.ascontiguousarray(flags).view(np.uint8).data)
                tally.add(sources, sizes, status, verdicts, owners)
                columns = [
                    pa.array(ids),
                    pa.DictionaryArray.from_arrays(pa.array(sources), names).cast(pa.string()),
                    pa.repeat(payload.shard, ids.size),
                    pa.array((ids & np.uint64((1 << POSITION_BITS) - 1)).astype(np.int64)),
                    pa.DictionaryArray.from_arrays(pa.array(verdicts.status), pa.array(VERDICTS)).cast(pa.string()),
                    pa.array(verdicts.global_roots, mask=~verdicts.linked),
                    pa.array(verdicts.local_roots, mask=verdicts.alone_local),
                    pa.array(verdicts.kept_global),
                    pa.array(verdicts.kept_local),
                    pa.array(sizes),
                    pa.array(cleaned, mask=status == BAD),
                    *document_ids,
                ]
                writer.write_batch(pa.record_batch(columns, schema))
        tally.check(payload.source_names)
        return DecideResult(
            counts=nested(tally.counts), removed=nested(tally.removed), kept=kept.hexdigest(), decisions=file.record
        )
