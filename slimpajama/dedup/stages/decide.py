"""Decide: a verdict on every record, in one Parquet table per bundle.

One row per non-blank input line: what it is, whose cluster it is in, and whether it is kept, globally and locally; how
many documents one that is kept stands for; with ``id_field``, also its own id. The tables are the evidence for all that
follows; shards, mixtures and reports are read off them. What is counted here is counted from the rows written, and
checked: records read = kept + short + duplicate + bad + contaminated, in both scopes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.corpus.pieces import Bundle
from slimpajama.dedup.contamination import largest_overlaps
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.groups import GroupsFiles
from slimpajama.dedup.files.sketches import BAD, DOCUMENT_ID, SOUND, row_batches
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.diff import DiffResult, spans_of
from slimpajama.dedup.stages.group import GroupResult, groups_files
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.dedup.tally import Nested, RemovedFor, Tally, nested
from slimpajama.dedup.verdicts import MATCHES, VERDICTS, InScope, decide, decisions_schema, source_lists
from slimpajama.engine.heartbeat import beat
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import atomic_file, content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["DecidePayload", "DecideResult", "DecideStage"]


@dataclass(frozen=True, slots=True)
class DecidePayload:
    """The rows of one bundle, and where their decisions go. ``matches_file``: of its documents that hold evaluation
    items, if some do; ``decontaminated``: items were looked for."""

    bundle: Bundle
    rows_file: Path
    groups: tuple[GroupsFiles, GroupsFiles]
    decisions_file: Path
    source_names: tuple[str, ...]
    sources: SourceRanges
    with_document_ids: bool = False
    checked: bool = False
    decontaminated: bool = False
    matches_file: Path | None = None


class DecideResult(StageResult, frozen=True, kw_only=True):
    """The tally of a bundle (see :class:`~slimpajama.dedup.tally.Tally`).

    ``kept``: a digest of who is kept in which scope, which stays when only the clusters of the others change;
    ``duplicates``: a digest of what those that are kept stand for.
    """

    counts: Nested
    removed: tuple[RemovedFor, ...]
    stood_for: Nested
    kept: str
    duplicates: str
    decisions: FileRecord


@dataclass(frozen=True)
class DecideStage(Stage[DecidePayload, DecideResult]):
    """The decisions on what was ``sketched``, by its ``groups``; ``diff`` tells what they say anew."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    groups: Sequence[GroupResult]
    diff: DiffResult

    name: ClassVar[str] = "decide"
    title: ClassVar[str] = "decide"
    version: ClassVar[int] = 5
    result_type = DecideResult
    scales_with: ClassVar[Scale] = "documents"

    def tasks(self) -> Sequence[Task[DecidePayload]]:
        """One for each bundle."""
        dedup, layout = self.dedup, self.dedup.layout
        names, sources = dedup.source_names, dedup.sources
        groups = groups_files(dedup, self.groups)
        decontaminated = dedup.config.decontaminate is not None
        return [
            Task(
                bundle.name,
                DecidePayload(
                    bundle=bundle,
                    rows_file=layout.rows_file(bundle),
                    groups=groups,
                    decisions_file=layout.decisions(bundle),
                    source_names=names,
                    sources=sources,
                    with_document_ids=dedup.config.id_field is not None,
                    checked=dedup.config.checked,
                    decontaminated=decontaminated,
                    matches_file=path_of(own.matches.path) if decontaminated and own.matches else None,
                ),
                {
                    "version": self.version,
                    "rows": content_digest([own.sketches]),
                    "groups": digest,
                    "sources": list(names),
                    "ranges": asdict(sources),
                    **_named(bundle),
                    **({"matches": content_digest(_matches_of(own))} if decontaminated else {}),
                },
                bundle.input_bytes,
                written_files([own.sketches, *_matches_of(own), *(result.table for result in self.groups)]),
            )
            for bundle, own, digest in zip(dedup.corpus.bundles, self.sketched, self.diff.digests, strict=True)
        ]

    @staticmethod
    def run(payload: DecidePayload) -> DecideResult:
        """Write the decisions on a bundle."""
        import pyarrow.parquet as pq

        kept, duplicates = (hashlib.blake2b(digest_size=16) for _ in range(2))
        global_groups, local_groups = (files.read(spans_of(payload.bundle)) for files in payload.groups)
        schema = decisions_schema(payload.decontaminated, payload.with_document_ids)
        matching, overlaps = largest_overlaps(payload.matches_file)
        more = [DOCUMENT_ID.name] if payload.with_document_ids else []
        names = payload.source_names
        tally = Tally(len(names), payload.sources.reported_count)
        with (
            atomic_file(payload.decisions_file) as file,
            pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer,
        ):
            for ids, sources, status, sizes, cleaned, *document_ids in row_batches(
                payload.rows_file, ["id", "source", "status", "bytes", "cleaned_chars", *more]
            ):
                beat()
                verdicts = decide(ids, status, sources, len(names), global_groups, local_groups)
                in_global, in_local = verdicts.global_, verdicts.local
                owners = tuple(payload.sources.reported_of(scope.survivors) for scope in (in_global, in_local))
                _update(kept, ids, in_global.kept, in_local.kept)
                _update(duplicates, in_global.size, in_local.size, in_global.copies, verdicts.sources)
                tally.add(sources, sizes, status, verdicts, (owners[0], owners[1]))
                columns = [
                    pa.array(ids),
                    _names_of(sources, names),
                    _shards_of(payload.bundle, ids),
                    pa.array((ids & np.uint64((1 << POSITION_BITS) - 1)).astype(np.int64)),
                    _names_of(verdicts.status, VERDICTS),
                    *(pa.array(scope.survivors, mask=~scope.grouped) for scope in (in_global, in_local)),
                    *(pa.array(scope.kept) for scope in (in_global, in_local)),
                    pa.array(sizes),
                    pa.array(cleaned, mask=status == BAD),
                    *(_matches(scope, status) for scope in (in_global, in_local)),
                    *(pa.array(scope.similarity, from_pandas=True) for scope in (in_global, in_local)),
                    *(pa.array(scope.size, mask=~scope.kept) for scope in (in_global, in_local)),
                    pa.array(in_global.copies, mask=~in_global.kept),
                    source_lists(verdicts.sources, names, in_global.kept),
                    *([_overlaps_of(ids, matching, overlaps)] if payload.decontaminated else []),
                    *document_ids,
                ]
                writer.write_batch(pa.record_batch(columns, schema))
        tally.check(names, payload.checked)
        return DecideResult(
            counts=nested(tally.counts),
            removed=tally.removals(),
            stood_for=nested(tally.stood_for),
            kept=kept.hexdigest(),
            duplicates=duplicates.hexdigest(),
            decisions=file.record,
        )


def _matches_of(sketched: SketchResult) -> list[FileRecord]:
    return [sketched.matches] if sketched.matches is not None else []


def _overlaps_of(ids: NDArray[np.uint64], matching: NDArray[np.uint64], overlaps: NDArray[np.float32]) -> pa.Array:
    """Of each document what it has of the evaluation item that it has most of; null where it has none."""
    holds = np.isin(ids, matching)
    found = np.zeros(ids.size, dtype=np.float32)
    found[holds] = overlaps[np.searchsorted(matching, ids[holds])]
    return pa.array(found, mask=~holds)


def _named(bundle: Bundle) -> dict[str, object]:
    """The shards that the rows name."""
    if len(bundle.pieces) == 1:
        return {"shard": bundle.first.file.relative}
    return {"shards": [[[shard.index for shard in piece.shards], piece.file.relative] for piece in bundle.pieces]}


def _shards_of(bundle: Bundle, ids: NDArray[np.uint64]) -> pa.Array:
    """The paths of the shards that hold the documents ``ids``."""
    if len(bundle.pieces) == 1:
        return pa.repeat(bundle.first.file.relative, ids.size)
    return _names_of(bundle.numbers_of(ids), [piece.file.relative for piece in bundle.pieces])


def _update(digest: hashlib.blake2b, *columns: NDArray[Any]) -> None:
    for column in columns:
        digest.update(np.ascontiguousarray(column).view(np.uint8).data)


def _names_of(numbers: NDArray[Any], names: Sequence[str], mask: NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(numbers, mask=mask), pa.array(names)).cast(pa.string())


def _matches(scope: InScope, status: NDArray[np.uint8]) -> pa.Array:
    """How each removed document matches its survivor."""
    return _names_of(scope.exact.view(np.uint8), MATCHES, mask=scope.kept | (status != SOUND))
