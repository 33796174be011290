"""Which documents stay, by the tables of clusters that rounds and earlier runs wrote.

A document that a table does not name stays, and so does one that is its own cluster. Costs a look-up for each document
in each table, over a memory map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.checking.greedy import Fates
from slimpajama.dedup.files.clusters import cluster_batches

__all__ = ["Stays", "fates_in", "stays"]


@dataclass(frozen=True, slots=True)
class Stays:
    """Whether each of n documents stays, ``bool[n]`` for each scope."""

    in_global: NDArray[np.bool_]
    in_local: NDArray[np.bool_]


def stays(ids: NDArray[np.uint64], tables: Sequence[Path]) -> Stays:
    """Which of ``ids`` ``uint64[n]``, ascending, stay by all ``tables``."""
    found = Stays(np.ones(ids.size, dtype=np.bool_), np.ones(ids.size, dtype=np.bool_))
    for table in tables:
        for batch in cluster_batches(table):
            first, last = np.searchsorted(ids, batch.ids[[0, -1]] + np.array([0, 1], dtype=np.uint64))
            at = np.minimum(np.searchsorted(batch.ids, ids[first:last]), batch.ids.size - 1)
            named = batch.ids[at] == ids[first:last]
            found.in_global[first:last] &= ~(named & (batch.cluster_global[at] != batch.ids[at]))
            found.in_local[first:last] &= ~(named & (batch.cluster_local[at] != batch.ids[at]))
    return found


def fates_in(tables: Sequence[Path]) -> tuple[Fates, Fates]:
    """Who goes by ``tables``, which name different documents: globally and locally."""
    found = []
    for scope in ("global", "local"):
        ids, survivors, similarities = [], [], []
        for table in tables:
            for batch in cluster_batches(table):
                cluster = getattr(batch, f"cluster_{scope}")
                gone = cluster != batch.ids
                ids.append(batch.ids[gone])
                survivors.append(cluster[gone])
                similarities.append(getattr(batch, f"similarity_{scope}")[gone].astype(np.float64))
        empty = np.empty(0, dtype=np.uint64)
        columns = [
            np.concatenate([empty, *ids]),
            np.concatenate([empty, *survivors]),
            np.concatenate([np.empty(0), *similarities]),
        ]
        order = np.argsort(columns[0])
        found.append(Fates(*(column[order] for column in columns)))
    return found[0], found[1]
