"""The verdict on every record, from its row and the clusters, and the count of them all, which must come out even.

Nothing but arithmetic on arrays; the stage that writes the tables is :mod:`slimpajama.dedup.stages.decide`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.clustering.union_find import Clusters
from slimpajama.dedup.files.sketches import BAD, SHORT, SOUND
from slimpajama.errors import ConservationError

__all__ = ["SCHEMA", "VERDICTS", "Nested", "Tally", "Verdicts", "decide", "nested"]

Nested = tuple[tuple[tuple[int, ...], ...], ...]
"""An array of three dimensions in a stage result."""

VERDICTS = ("kept", "short", "bad", "duplicate")

SCHEMA = pa.schema(
    [
        ("id", pa.uint64()),
        ("source", pa.string()),
        ("shard", pa.string()),
        ("position", pa.int64()),
        ("status", pa.string()),
        ("cluster_global", pa.uint64()),
        ("cluster_local", pa.uint64()),
        ("kept_global", pa.bool_()),
        ("kept_local", pa.bool_()),
        ("bytes", pa.int64()),
        ("cleaned_chars", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What becomes of n records. ``status`` ``uint8[n]`` indexes ``VERDICTS`` and is the global one;
    ``linked``, ``alone_local``: in a global cluster, and alone there in its source; roots are valid where linked."""

    status: NDArray[np.uint8]
    kept_global: NDArray[np.bool_]
    kept_local: NDArray[np.bool_]
    linked: NDArray[np.bool_]
    alone_local: NDArray[np.bool_]
    global_roots: NDArray[np.uint64]
    local_roots: NDArray[np.uint64]


def decide(ids: NDArray[np.uint64], status: NDArray[np.uint8], clusters: Clusters) -> Verdicts:
    """Look up records ``ids`` ``uint64[n]`` with row ``status`` ``uint8[n]`` in the clusters.

    A sound document is kept where it is the root of its cluster, or in none.
    """
    sound = status == SOUND
    linked = np.zeros(ids.size, dtype=np.bool_)
    alone = np.ones(ids.size, dtype=np.bool_)
    global_roots, local_roots = ids.copy(), ids.copy()
    if clusters.ids.size:
        place = np.minimum(np.searchsorted(clusters.ids, ids), clusters.ids.size - 1)
        linked = clusters.ids[place] == ids
        alone = ~linked | clusters.local_alone[place]
        global_roots[linked] = clusters.global_roots[place[linked]]
        local_roots[linked] = clusters.local_roots[place[linked]]
    kept_global = sound & (global_roots == ids)
    kept_local = sound & (local_roots == ids)
    verdict = np.full(ids.size, VERDICTS.index("duplicate"), dtype=np.uint8)
    verdict[kept_global] = VERDICTS.index("kept")
    verdict[status == SHORT] = VERDICTS.index("short")
    verdict[status == BAD] = VERDICTS.index("bad")
    return Verdicts(verdict, kept_global, kept_local, linked, alone, global_roots, local_roots)


@dataclass(slots=True)
class Tally:
    """Documents and bytes by source. ``counts`` ``int64[sources, 6, 2]``: read, short, bad, kept globally, kept locally
    and sound, each as documents and bytes. ``removed`` ``int64[sources, owners, 2]``: global duplicates of the row's
    source whose survivor is of the column's; the last of ``owners`` may be an earlier run."""

    sources: int
    owners: int
    counts: NDArray[np.int64] = field(init=False)
    removed: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.sources, 6, 2), dtype=np.int64)
        self.removed = np.zeros((self.sources, self.owners, 2), dtype=np.int64)

    def add(
        self,
        sources: NDArray[np.uint8],
        sizes: NDArray[np.int64],
        status: NDArray[np.uint8],
        verdicts: Verdicts,
        survivors: NDArray[np.int64],
    ) -> None:
        """Count records: ``survivors`` ``int64[n]`` is the source of each record's global root."""
        flags = (
            np.ones(sources.size, dtype=np.bool_),
            status == SHORT,
            status == BAD,
            verdicts.kept_global,
            verdicts.kept_local,
            status == SOUND,
        )
        for column, flag in enumerate(flags):
            self.counts[:, column] += _sums(sources[flag], sizes[flag], self.sources)
        gone = (status == SOUND) & ~verdicts.kept_global
        pairs = sources[gone].astype(np.int64) * self.owners + survivors[gone]
        self.removed += _sums(pairs, sizes[gone], self.sources * self.owners).reshape(self.removed.shape)

    def merge(self, counts: Nested, removed: Nested) -> None:
        """Add another tally, as a stage result holds it."""
        self.counts += np.array(counts, dtype=np.int64).reshape(self.counts.shape)
        self.removed += np.array(removed, dtype=np.int64).reshape(self.removed.shape)

    def check(self, names: Sequence[str]) -> None:
        """Raise :class:`ConservationError` unless records and bytes are conserved in every source."""
        for name, (read, short, bad, kept, kept_locally, sound), removed in zip(
            names, self.counts, self.removed.sum(axis=1), strict=True
        ):
            if not (
                np.array_equal(read, kept + short + bad + removed)
                and np.array_equal(read, sound + short + bad)
                and (kept <= kept_locally).all()
                and (kept_locally <= sound).all()
            ):
                raise ConservationError(
                    f"source {name!r}: read {read.tolist()} (documents, bytes) is not kept {kept.tolist()} + short "
                    f"{short.tolist()} + bad {bad.tolist()} + duplicate {removed.tolist()}; nothing of this run may be "
                    "used: please report it with the run's summary"
                )


def _sums(groups: NDArray[Any], sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """``int64[count, 2]``: how many there are of each group, and their sizes together (exact: no float weights)."""
    sums = np.zeros((count, 2), dtype=np.int64)
    np.add.at(sums[:, 0], groups, 1)
    np.add.at(sums[:, 1], groups, sizes)
    return sums


def nested(array: NDArray[np.int64]) -> Nested:
    """``int64[a, b, c]`` as a stage result holds it."""
    return tuple(tuple(map(tuple, rows)) for rows in array.tolist())
