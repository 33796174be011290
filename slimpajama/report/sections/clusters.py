"""Clusters by size, the largest of them, and removals by their similarity with the survivor.

Similarities are those of all removals where removals were checked by their texts and the decisions tell them; else
those of the pairs that the report drew and compared; where the input has gone, those that the run itself compared, in
tenths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from slimpajama.config.dedup_presets import PRESET_THRESHOLD
from slimpajama.dedup.decision_tables import Decision
from slimpajama.dedup.stages.group import LargeCluster
from slimpajama.evidence.opened_output import Pair
from slimpajama.report.figures.deduplication import ClusterSection, LargeClusterRow, SimilarityBin, SizeBin
from slimpajama.report.opened_output import OpenedDedup
from slimpajama.report.sections.cluster_alarms import alarms
from slimpajama.report.sections.looked_at import LookedAt
from slimpajama.report.sections.removals import SEED, ClusterSizes, DrawnRemovals

__all__ = ["clusters"]

BINS = 20
"""Of equal width, from 0 to 1; those of 1 are in the last."""

SINGLE = 8
"""Smaller clusters have a bin for each size, larger ones for each power of two."""


def clusters(dedup: OpenedDedup, drawn: DrawnRemovals, looked: LookedAt | None) -> ClusterSection:
    """The section. ``looked``: the compared pairs, if the texts were there."""
    summary = dedup.summary
    threshold = summary.settings.threshold or PRESET_THRESHOLD
    histogram, below, complete, seed = _similarities(dedup, drawn, looked, threshold)
    members = looked.members if looked else {}
    largest = _largest(dedup, summary.clusters.largest, members)
    return ClusterSection(
        clusters=summary.clusters.clusters,
        linked_documents=summary.clusters.linked,
        sizes=tuple(one for sizes in drawn.sizes for one in _size_bins(sizes)),
        largest=largest,
        similarities=histogram,
        compared=sum(one.removals for one in histogram),
        all_compared=complete,
        seed=seed,
        threshold=threshold,
        below_threshold=below,
        alarms=alarms(dedup, largest, members, threshold),
    )


def _similarities(
    dedup: OpenedDedup, drawn: DrawnRemovals, looked: LookedAt | None, threshold: float
) -> tuple[tuple[SimilarityBin, ...], int, bool, int | None]:
    """The bins, how many removals are below the threshold, whether all were compared, and the seed of a sample."""
    sample = dedup.summary.looked_at
    if drawn.known is not None:
        values, complete, seed = drawn.known.astype(np.float64), True, None
    elif looked is not None:
        values, complete, seed = np.array([pair.jaccard for pair in looked.sampled]), False, SEED
        complete = values.size == drawn.removals
    elif sample is not None:
        bins = [
            SimilarityBin(least=float(least), below=min(float(least) + 0.1, 1.0), removals=count)
            for least, count in sample.histogram.items()
        ]
        return tuple(bins), sample.below_threshold, False, sample.seed
    else:
        return (), 0, False, None
    places = np.minimum((values * BINS + 1e-6).astype(np.int64), BINS - 1)
    counts = np.bincount(places, minlength=BINS).tolist()
    bins = [
        SimilarityBin(least=place / BINS, below=(place + 1) / BINS, removals=count)
        for place, count in enumerate(counts)
    ]
    # Decisions hold single precision, so a similarity may come out a rounding below the threshold it has.
    return tuple(bins), int((values < threshold - 1e-6).sum()), complete, None if complete else seed


def _size_bins(sizes: ClusterSizes) -> list[SizeBin]:
    """Single sizes, then powers of two; only those that there are."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for size, count in sizes.clusters.items():
        power = 1 << (size.bit_length() - 1)
        span = (size, size) if size < SINGLE else (power, 2 * power - 1)
        own = found.get(span, (0, 0))
        found[span] = own[0] + count, own[1] + count * size
    return [
        SizeBin(scope=sizes.scope, least=least, most=most, clusters=own[0], documents=own[1])
        for (least, most), own in sorted(found.items())
    ]


def _largest(
    dedup: OpenedDedup, largest: Sequence[LargeCluster], members: Mapping[int, Sequence[Pair]]
) -> tuple[LargeClusterRow, ...]:
    survivors = dedup.evidence.decisions([one.cluster for one in largest])
    return tuple(
        _large(one, survivor, [pair.jaccard for pair in members.get(one.cluster, ())])
        for one, survivor in zip(largest, survivors, strict=True)
    )


def _large(cluster: LargeCluster, survivor: Decision, similarities: list[float]) -> LargeClusterRow:
    return LargeClusterRow(
        cluster=cluster.cluster,
        documents=cluster.documents,
        sources=survivor.cluster_sources or (survivor.source,),
        beginning=cluster.beginning,
        lowest=min(similarities, default=None),
        median=median(similarities) if similarities else None,
        path=survivor.shard,
        position=survivor.position,
    )
