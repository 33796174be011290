"""Documents that are only keys: rows files as the first stage writes them, with clusters that are known.

Cluster sizes follow a power law (exponent 2.5) and make up three tenths of the documents, but for one cluster of a
million (a hundredth of the documents, where there are fewer than 100 million). Members lie anywhere, in any of seven
sources; the first of a cluster has all of its keys, each other one the key of the cluster's main band and, of the other
bands, those that chance gives it. So the members of one source are always a local cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.files.sketches import BATCH_ROWS, SOUND, Rows, RowShape, RowsWriter
from slimpajama.storage.atomic import atomic_file, write_json

BANDS = 9
SOURCES = 7
SHARDS = 10
"""Of each source, each one rows file."""

LINKED = 0.3
EXPONENT = 2.5
LARGEST = 1_000_000

FIRST_SHARDS = tuple(range(0, SOURCES * SHARDS, SHARDS))
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Planted:
    """``documents`` in rows files listed by ``rows_list``; ``cluster`` ``int32[n]`` of each document, -1 for none."""

    documents: int
    rows_list: Path
    cluster: NDArray[np.int32]

    def ids(self, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        """``uint64[n]`` of the documents with these numbers."""
        per_file = -(-self.documents // (SOURCES * SHARDS))
        file, inside = np.divmod(numbers, per_file)
        ids: NDArray[np.uint64] = file.astype(np.uint64) << np.uint64(POSITION_BITS)
        ids += inside.astype(np.uint64) * np.uint64(5000)
        return ids


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Splitmix64: different values, different and even."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def cluster_sizes(documents: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sizes that sum to about ``LINKED`` of the documents, the largest first."""
    largest = min(LARGEST, documents // 100)
    wanted = int(LINKED * documents) - largest
    drawn = (2 * rng.random(wanted // 3) ** (-1 / (EXPONENT - 1))).astype(np.int64)
    drawn = np.minimum(drawn, largest)
    sizes = drawn[: int(np.searchsorted(np.cumsum(drawn), wanted))]
    return np.concatenate((np.array([largest]), sizes))


def plant(folder: Path, documents: int, seed: int = 1) -> Planted:
    """Write the rows files of that many documents below ``folder``."""
    rng = np.random.default_rng(seed)
    sizes = cluster_sizes(documents, rng)
    cluster = np.full(documents, -1, dtype=np.int32)
    members = rng.permutation(np.arange(documents, dtype=np.int32))[: sizes.sum()]
    cluster[members] = np.repeat(np.arange(sizes.size, dtype=np.int32), sizes)
    del members
    seen = np.zeros(sizes.size, dtype=np.bool_)
    per_file = -(-documents // (SOURCES * SHARDS))
    planted = Planted(documents, folder / "rows.json", cluster)
    paths = []
    for number, begin in enumerate(range(0, documents, per_file)):
        paths.append(f"rows/{number:03d}.arrow")
        with atomic_file(folder / paths[-1]) as file, RowsWriter(file, RowShape(BANDS)) as writer:
            for first in range(begin, min(begin + per_file, documents), BATCH_ROWS):
                last = min(first + BATCH_ROWS, begin + per_file, documents)
                writer.append(_rows(planted, first, last, number // SHARDS, seen))
    write_json(planted.rows_list, paths)
    return planted


def _rows(planted: Planted, first: int, last: int, source: int, seen: NDArray[np.bool_]) -> Rows:
    numbers = np.arange(first, last, dtype=np.int64)
    cluster = planted.cluster[first:last].astype(np.int64)
    linked = cluster >= 0
    # The first member of a cluster; of several in this batch, the first.
    places = np.flatnonzero(linked)
    _, at = np.unique(cluster[places], return_index=True)
    leaders = places[at][~seen[cluster[places[at]]]]
    seen[cluster[leaders]] = True
    own = mixed(numbers.astype(np.uint64)[:, None] * np.uint64(BANDS) + np.arange(BANDS, dtype=np.uint64) + _ODD)
    shared = mixed((~cluster.astype(np.uint64))[:, None] * np.uint64(BANDS) + np.arange(BANDS, dtype=np.uint64))
    chosen = (own >> np.uint64(60)) < np.uint64(10)
    chosen[np.arange(numbers.size), cluster % BANDS] = True
    chosen[leaders] = True
    return Rows(
        ids=planted.ids(numbers),
        sources=np.full(numbers.size, source, dtype=np.uint8),
        status=np.full(numbers.size, SOUND, dtype=np.uint8),
        bytes=np.full(numbers.size, 4000, dtype=np.int64),
        cleaned=np.full(numbers.size, 4000, dtype=np.int64),
        rewritten=np.zeros(numbers.size, dtype=np.bool_),
        keys=np.where(chosen & linked[:, None], shared, own),
        hashes=np.stack([numbers.astype(np.uint64), numbers.astype(np.uint64)], axis=1),
    )


def expected_clusters(planted: Planted) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Of all linked documents ids, global and local roots, each ``uint64``, in the order of ids."""
    numbers = np.flatnonzero(planted.cluster >= 0)
    ids = planted.ids(numbers)
    cluster = planted.cluster[numbers].astype(np.int64)
    source = (ids >> np.uint64(POSITION_BITS)).astype(np.int64) // SHARDS
    roots = []
    for group in (cluster, cluster * SOURCES + source):
        # Going backwards, the smallest id of a group is the one written last.
        smallest = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.uint64)
        smallest[group[::-1]] = ids[::-1]
        roots.append(smallest[group])
    return ids, roots[0], roots[1]
