"""One pass over the decisions: sizes of clusters, similarities that are known, and which removals are looked at.

Streams seven columns, batch by batch. Of the removals of each source those with the smallest seeded hashes of their
ids are kept, and so are some members of each of the largest clusters, so the same are drawn whatever the order of
tables. Memory follows the batch. Rejected: the sample that the run itself compared, which has no texts and no members
of large clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.dedup.decision_tables import OneScope
from slimpajama.report.opened_output import OpenedDedup
from slimpajama.storage.paths import opened
from slimpajama.storage.reading import reading
from slimpajama.tokens.seeded_order import seeded_hash

__all__ = ["SEED", "ClusterSizes", "DrawnRemovals", "drawn_removals", "main_scope"]

SEED = 1

MOST_DRAWN = 700
"""Removals in all, as many of each source."""

LEAST_OF_SOURCE = 4
MOST_OF_SOURCE = 80
NEAR_OF_SOURCE = 40
"""More of those that are not of equal text: most removals are, and show nothing."""

MEMBERS = 12
"""Of each of the largest clusters."""

BATCH = 1 << 17


@dataclass(frozen=True, slots=True)
class ClusterSizes:
    """``clusters[k]``: clusters of one scope that have k documents, for every k that there is."""

    scope: OneScope
    clusters: dict[int, int]


@dataclass(slots=True)
class _Smallest:
    """The ids with the smallest hashes."""

    most: int
    ids: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    def add(self, ids: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> None:
        self.ids, self.hashes = np.concatenate((self.ids, ids)), np.concatenate((self.hashes, hashes))
        order = np.argsort(self.hashes, kind="stable")[: self.most]
        self.ids, self.hashes = self.ids[order], self.hashes[order]


@dataclass(frozen=True, slots=True)
class DrawnRemovals:
    """``removals`` of the scope in all. ``by_source``, ``near``, ``by_cluster``: ids of drawn removals, by the hash of
    each: of all of a source, of those that are not of equal text, and of the largest clusters.

    ``known``: similarities of all removals, 1 for equal texts, where removals were checked and no estimate settled one;
    else ``None``.
    """

    scope: OneScope
    removals: int
    sizes: tuple[ClusterSizes, ...]
    by_source: dict[str, list[int]]
    near: dict[str, list[int]]
    by_cluster: dict[int, list[int]]
    known: NDArray[np.float32] | None


def main_scope(dedup: OpenedDedup) -> OneScope:
    """The scope that removals are looked at in: the global one, unless only the local one was written."""
    return "local" if dedup.summary.settings.scope == "local" else "global"


def drawn_removals(dedup: OpenedDedup, most: int = MOST_DRAWN, seed: int = SEED) -> DrawnRemovals:
    """Go through the decisions once; ``most`` removals are drawn, and members of the clusters in the summary."""
    scope = main_scope(dedup)
    names = dedup.summary.overlap.sources
    per_source = max(LEAST_OF_SOURCE, min(MOST_OF_SOURCE, most // max(1, len(names))))
    by_source = {name: _Smallest(per_source) for name in names}
    near = {name: _Smallest(min(per_source, NEAR_OF_SOURCE)) for name in names}
    largest = sorted(one.cluster for one in dedup.summary.clusters.largest) if scope == "global" else []
    by_cluster = {cluster: _Smallest(MEMBERS) for cluster in largest}
    sizes: dict[OneScope, dict[int, int]] = {"global": {}, "local": {}}
    removals = 0
    known: list[NDArray[np.float32]] = []
    for batch in _batches(dedup, scope):
        for one, counted in sizes.items():
            _add_sizes(batch.column(f"size_{one}"), counted)
        gone = batch.filter(_removed(batch, scope))
        removals += gone.num_rows
        ids, clusters = gone.column("id").to_numpy(), gone.column(f"cluster_{scope}").to_numpy()
        hashes = seeded_hash(ids, seed, "removals for the report")
        sources = gone.column("source")
        differs = pc.equal(gone.column(f"match_{scope}"), "near").to_numpy(zero_copy_only=False)
        for name in pc.unique(sources).to_pylist():
            own = pc.equal(sources, name).to_numpy(zero_copy_only=False)
            by_source[name].add(ids[own], hashes[own])
            near[name].add(ids[own & differs], hashes[own & differs])
        inside = np.isin(clusters, np.array(largest, dtype=np.uint64))
        for cluster in np.unique(clusters[inside]).tolist():
            own = clusters == cluster
            by_cluster[cluster].add(ids[own], hashes[own])
        if dedup.summary.settings.checked:
            exact = pc.equal(gone.column(f"match_{scope}"), "exact")
            similar = pc.if_else(exact, pa.scalar(1, pa.float32()), gone.column(f"similarity_{scope}"))
            known.append(similar.drop_null().to_numpy(zero_copy_only=False))
    return DrawnRemovals(
        scope=scope,
        removals=removals,
        sizes=tuple(ClusterSizes(one, dict(sorted(counted.items()))) for one, counted in sizes.items()),
        by_source={name: own.ids.tolist() for name, own in by_source.items() if own.ids.size},
        near={name: own.ids.tolist() for name, own in near.items() if own.ids.size},
        by_cluster={cluster: own.ids.tolist() for cluster, own in by_cluster.items() if own.ids.size},
        known=_complete(known, removals) if dedup.summary.settings.checked else None,
    )


def _complete(known: list[NDArray[np.float32]], removals: int) -> NDArray[np.float32] | None:
    """What is known of similarities, if that is all of them."""
    every = np.concatenate([np.zeros(0, np.float32), *known])
    return every if every.size == removals else None


def _batches(dedup: OpenedDedup, scope: OneScope) -> Iterator[pa.RecordBatch]:
    columns = ["id", "source", f"kept_{scope}", f"cluster_{scope}", f"match_{scope}", "size_global", "size_local"]
    if dedup.summary.settings.checked:
        columns.append(f"similarity_{scope}")
    for path in dedup.evidence.tables.tables:
        with reading(path), opened(path) as source, pq.ParquetFile(source, read_dictionary=["source"]) as file:
            yield from file.iter_batches(batch_size=BATCH, columns=columns)


def _removed(batch: pa.RecordBatch, scope: OneScope) -> Any:
    return pc.and_(batch.column(f"cluster_{scope}").is_valid(), pc.invert(batch.column(f"kept_{scope}")))


def _add_sizes(column: Any, counted: dict[int, int]) -> None:
    """Count the sizes of clusters, which those that stay have."""
    sizes = column.drop_null().to_numpy(zero_copy_only=False)
    for size, count in zip(*_unique(sizes[sizes > 1]), strict=True):
        counted[size] = counted.get(size, 0) + count


def _unique(values: NDArray[Any]) -> tuple[Sequence[int], Sequence[int]]:
    found, counts = np.unique(values, return_counts=True)
    return found.tolist(), counts.tolist()
