"""Makes the summary of a run out of what its stages counted. Costs nothing beside the run.

The duplicate share of bytes is the paper's "byte deduplication rate" per source: (duplicate + short) / read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from slimpajama.config.dedup import Config, Scope
from slimpajama.corpus.discovery import Corpus
from slimpajama.dedup.banding import banding, catch_probability
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.stages.checked import CheckFigures
from slimpajama.dedup.stages.group import LARGEST, GroupResult, LargeCluster, Matrix
from slimpajama.dedup.summary import (
    ClusterFigures,
    Count,
    DecontaminationFigures,
    DedupSummary,
    LshFigures,
    Overlap,
    ScopeFigures,
    ShardFigures,
    SourceFigures,
    StageFigures,
)
from slimpajama.dedup.tally import Tally
from slimpajama.stages.runner import StageRecord
from slimpajama.versions import versions

__all__ = ["largest_clusters", "run_summary", "source_figures"]

EARLIER = "(earlier run)"
"""Stands for an earlier run among the sources whose documents survive."""


def source_figures(tally: Tally, names: Sequence[str], replaced: Sequence[int] | None) -> dict[str, SourceFigures]:
    """The figures of each source and of all. ``replaced``: values that JSON cannot hold, of each source, if known."""
    figures = {}
    total = tally.counts.sum(axis=0)
    known = [None] * (len(names) + 1) if replaced is None else [*replaced, sum(replaced)]
    for name, counts, values in zip((*names, "total"), (*tally.counts, total), known, strict=True):
        read, short, bad, kept_global, kept_local, sound, *rest = (Count(*pair) for pair in counts.tolist())
        *exact, contaminated = rest
        figures[name] = SourceFigures(
            read,
            short,
            bad,
            _scope(kept_global, sound, exact[0]),
            _scope(kept_local, sound, exact[1]),
            values,
            contaminated,
        )
    return figures


def _scope(kept: Count, sound: Count, exact: Count) -> ScopeFigures:
    duplicate = _less(sound, kept)
    return ScopeFigures(kept, duplicate, exact, _less(duplicate, exact))


def _less(whole: Count, part: Count) -> Count:
    return Count(whole.documents - part.documents, whole.bytes - part.bytes)


def largest_clusters(groups: Sequence[GroupResult], scope: Scope) -> list[LargeCluster]:
    """The largest clusters of a scope, the largest first."""
    every = (one for result in groups if result.scope == scope for one in result.largest)
    return sorted(every, key=lambda one: (-one.documents, one.cluster))[:LARGEST]


def run_summary(
    corpus: Corpus,
    config: Config,
    tally: Tally,
    groups: Sequence[GroupResult],
    stages: Mapping[str, StageRecord],
    *,
    beginnings: Mapping[int, str],
    replaced: Sequence[int] | None,
    workers: int,
    seconds: float,
    compile_seconds: float,
    peak_memory_bytes: int,
    looked_at: RemovalSample | None,
    checks: CheckFigures | None,
    decontamination: DecontaminationFigures | None,
) -> DedupSummary:
    """The summary of a finished run.

    A stage has a speed, and the run one, only where nothing of an earlier run was reused; the time it took to compile
    kernels is not counted. ``beginnings``: of the texts of large clusters, by survivor.
    """
    names = tuple(source.name for source in corpus.sources)
    bands, rows = banding(config)
    megabytes = int(tally.counts[:, 0, 1].sum()) / 1e6
    in_global = [result for result in groups if result.scope == "global"]
    own = len(names)
    complete = not any(record.reused for record in stages.values())
    return DedupSummary(
        input=str(corpus.root),
        sources=source_figures(tally, names, replaced),
        overlap=Overlap(
            sources=names,
            survivors=(*names, EARLIER)[: tally.owners],
            documents=_matrix(tally.removed[:, :, 0].tolist()),
            bytes=_matrix(tally.removed[:, :, 1].tolist()),
            shared_documents=_added([result.shared_documents for result in in_global])[:own],
            shared_bytes=_added([result.shared_bytes for result in in_global])[:own],
            clusters=_added([result.shared_clusters for result in in_global]),
        ),
        clusters=ClusterFigures(
            sum(result.documents for result in in_global),
            sum(result.clusters for result in in_global),
            tuple(
                LargeCluster(one.cluster, one.documents, beginnings.get(one.cluster, ""))
                for one in largest_clusters(groups, "global")
            ),
        ),
        lsh=LshFigures(
            bands,
            rows,
            {f"{at / 100:.2f}": round(catch_probability(at / 100, bands, rows), 4) for at in range(50, 100, 5)},
        ),
        versions=versions(),
        shards=ShardFigures(len(corpus.files), len(corpus.pieces), tuple(corpus.ignored), dict(corpus.held_out)),
        stages={name: _stage_figures(record, megabytes) for name, record in stages.items()},
        seconds=round(seconds, 3),
        compile_seconds=round(compile_seconds, 3),
        mb_per_second=round(megabytes / (seconds - compile_seconds), 1) if complete else None,
        settings=config.model_copy(update={"workers": workers}),
        peak_memory_bytes=peak_memory_bytes,
        looked_at=looked_at,
        checks=checks,
        decontamination=decontamination,
    )


def _stage_figures(record: StageRecord, megabytes: float) -> StageFigures:
    speed = None if record.reused else round(megabytes / max(record.seconds, 1e-3), 1)
    return StageFigures(record.seconds, record.items, record.reused, speed)


def _added(matrices: Sequence[Matrix]) -> Matrix:
    return _matrix(np.array(matrices, dtype=np.int64).sum(axis=0).tolist())


def _matrix(rows: Sequence[Sequence[int]]) -> Matrix:
    return tuple(tuple(row) for row in rows)
