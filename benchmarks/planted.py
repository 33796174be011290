"""Documents that are only keys, with clusters that are known: rows files of one band at a time, of up to 4 billion.

Cluster sizes follow a power law (exponent 2.5) and make up three tenths of the documents, but for one cluster of a
hundredth of all, ten million at most. Members lie anywhere, in any of seven sources: a document's place in the list of
members is a permutation of its number. The first of a cluster has all of its keys, each other one the key of the
cluster's main band and, of the other bands, those that chance gives it. So the members of one source are always a local
cluster. Whatever is asked of a document follows from its number, so little is held: a byte for each cluster, and on
disk four bytes for each document. Rejected: a shuffled list of all documents (4 GB, and all keys on disk at once: 120
GB for a billion).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.files.clusters import Clusters
from slimpajama.dedup.files.sketches import BATCH_ROWS
from slimpajama.engine.kernels import kernel
from slimpajama.storage.atomic import write_json

BANDS = 9
SOURCES = 7
SHARDS = 10
"""Of each source, each one rows file."""

LINKED = 0.3
EXPONENT = 2.5
LARGEST = 10_000_000
STEP = 5000
"""Between the positions of neighbours in a shard."""

FIRST_SHARDS = tuple(range(0, SOURCES * SHARDS, SHARDS))
Columns = Callable[[int, int], dict[str, pa.Array]]
"""The columns, beside their ids, of the documents from a number to another, exclusive."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
_NONE = np.uint32((1 << 32) - 1)


@dataclass(frozen=True, slots=True)
class Planted:
    """``documents`` and their clusters. ``sizes`` ``int64[k]`` of clusters, descending, each with the ``members``
    before its first one and the ``clusters`` before it, both ``int64[k + 1]``."""

    documents: int
    sizes: NDArray[np.int64]
    members: NDArray[np.int64]
    clusters: NDArray[np.int64]

    @classmethod
    def of(cls, documents: int) -> Planted:
        """So many documents."""
        largest = min(LARGEST, documents // 100)
        sizes, counts = _power_law(int(LINKED * documents) - largest, largest)
        sizes, counts = np.append(largest, sizes), np.append(1, counts)
        members, clusters = (np.append(0, np.cumsum(values)) for values in (sizes * counts, counts))
        return cls(documents, sizes, members, clusters)

    @property
    def linked(self) -> int:
        """Documents in clusters."""
        return int(self.members[-1])

    @property
    def per_file(self) -> int:
        """Documents of a rows file."""
        return -(-self.documents // (SOURCES * SHARDS))

    def ids(self, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        """``uint64[n]`` of the documents with these numbers."""
        file, inside = np.divmod(numbers, self.per_file)
        ids: NDArray[np.uint64] = file.astype(np.uint64) << np.uint64(POSITION_BITS)
        ids += inside.astype(np.uint64) * np.uint64(STEP)
        return ids

    def numbers(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """``int64[n]`` of the documents with these ids."""
        inside = ids & np.uint64((1 << POSITION_BITS) - 1)
        numbers: NDArray[np.int64] = (ids >> np.uint64(POSITION_BITS)).astype(np.int64) * self.per_file
        numbers += inside.astype(np.int64) // STEP
        return numbers

    def cluster(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """``int64[n]``: the cluster of each document, -1 for none."""
        found = np.empty(numbers.size, dtype=np.int64)
        _clusters_of(numbers, self.documents, self.sizes, self.members, self.clusters, found)
        return found


def _power_law(wanted: int, largest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sizes, descending, and how many clusters have each, so that about ``wanted`` documents are in clusters."""
    low, high = 0, wanted
    while high - low > 1:
        middle = (low + high) // 2
        if np.multiply(*_counts(middle, largest)).sum() > wanted:
            high = middle
        else:
            low = middle
    sizes, counts = _counts(low, largest)
    return sizes[counts > 0][::-1], counts[counts > 0][::-1]


def _counts(clusters: int, largest: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sizes = np.arange(2, min(largest, int(2 * max(1, clusters) ** (1 / (EXPONENT - 1))) + 2))
    at_least = (clusters * (2 / np.append(sizes, sizes[-1:] + 1)) ** (EXPONENT - 1)).astype(np.int64)
    return sizes, at_least[:-1] - at_least[1:]


@kernel
def _mixed(value: Any) -> Any:
    """Splitmix64: different values, different and even."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@kernel
def _cluster(
    number: np.int64,
    documents: np.int64,
    bits: np.uint64,
    sizes: NDArray[np.int64],
    members: NDArray[np.int64],
    clusters: NDArray[np.int64],
) -> Any:
    mask, half = (np.uint64(1) << bits) - np.uint64(1), bits // np.uint64(2)
    place = np.uint64(number)
    while True:  # each step is a permutation of the numbers of so many bits; until it is one of a document
        place ^= place >> half
        place = (place * np.uint64(0xBF58476D1CE4E5B9)) & mask
        place ^= place >> half
        place = (place * np.uint64(0x94D049BB133111EB)) & mask
        place ^= place >> half
        if place < np.uint64(documents):
            break
    rank = np.int64(place)
    if rank >= members[-1]:
        return np.int64(-1)
    low, high = sizes.size - 1, sizes.size
    while members[low] > rank:  # most are in small clusters, which are the last
        low, high = max(0, 2 * low - sizes.size), low
    while high - low > 1:
        middle = (low + high) // 2
        if members[middle] <= rank:
            low = middle
        else:
            high = middle
    return clusters[low] + (rank - members[low]) // sizes[low]


@kernel
def _clusters_of(
    numbers: NDArray[np.int64],
    documents: int,
    sizes: NDArray[np.int64],
    members: NDArray[np.int64],
    clusters: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    bits = np.uint64(1)
    while (np.int64(1) << np.int64(bits)) < documents:
        bits += np.uint64(1)
    for at in range(numbers.size):
        found[at] = _cluster(numbers[at], np.int64(documents), bits, sizes, members, clusters)


@kernel
def _band_keys(
    first: int,
    found: NDArray[np.int32],
    band: int,
    seen: NDArray[np.uint8],
    keys: NDArray[np.uint64],
) -> None:
    """The keys of documents from number ``first`` on, in the clusters ``found``; ``seen``: whether a cluster's first
    member has come."""
    for at in range(found.size):
        own = _mixed(np.uint64(first + at) * np.uint64(BANDS) + np.uint64(band) + _ODD)
        cluster = found[at]
        if cluster >= 0:
            if cluster % BANDS == band or (own >> np.uint64(60)) < np.uint64(10) or not seen[cluster]:
                own = _mixed((~np.uint64(cluster)) * np.uint64(BANDS) + np.uint64(band))
            seen[cluster] = 1
        keys[at] = own


def plant_clusters(path: Path, planted: Planted) -> None:
    """Write the cluster of each document, so that it is worked out once for all bands."""
    with path.open("wb") as file:
        for first in range(0, planted.documents, BATCH_ROWS):
            numbers = np.arange(first, min(first + BATCH_ROWS, planted.documents), dtype=np.int64)
            file.write(planted.cluster(numbers).astype(np.int32).data)


def plant_band(folder: Path, planted: Planted, band: int, clusters: Path) -> Path:
    """Write the rows files of one band below ``folder``; returns the list of them."""
    seen = np.zeros(int(planted.clusters[-1]), dtype=np.uint8)
    every = np.memmap(clusters, dtype=np.int32, mode="c")

    def columns(first: int, last: int) -> dict[str, pa.Array]:
        keys = np.empty(last - first, dtype=np.uint64)
        _band_keys(first, np.array(every[first:last]), band, seen, keys)
        return {"in_lsh": pa.repeat(True, last - first), f"band_{band}": pa.array(keys)}

    return _plant(folder, planted, columns)


def plant_sizes(folder: Path, planted: Planted) -> Path:
    """Write rows files with what groups are made by: sizes and hashes."""

    def columns(first: int, last: int) -> dict[str, pa.Array]:
        hashes = pa.array(np.arange(first, last, dtype=np.uint64))
        return {"bytes": pa.repeat(4000, last - first), "hash_low": hashes, "hash_high": hashes}

    return _plant(folder, planted, columns)


def _plant(folder: Path, planted: Planted, columns: Columns) -> Path:
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    paths = []
    for number, begin in enumerate(range(0, planted.documents, planted.per_file)):
        paths.append(f"rows/{number:03d}.arrow")
        end = min(begin + planted.per_file, planted.documents)
        batches = _batches(planted, begin, end, columns)
        first = next(batches)
        with pa.OSFile(str(folder / paths[-1]), "wb") as file, pa.ipc.new_file(file, first.schema) as writer:
            writer.write_batch(first)
            for batch in batches:
                writer.write_batch(batch)
    write_json(folder / "rows.json", paths)
    return folder / "rows.json"


def _batches(planted: Planted, begin: int, end: int, columns: Columns) -> Iterator[pa.RecordBatch]:
    steps = np.arange(BATCH_ROWS, dtype=np.uint64) * np.uint64(STEP)
    for first in range(begin, end, BATCH_ROWS):
        last = min(first + BATCH_ROWS, end)
        ids = planted.ids(np.array([first])) + steps[: last - first]
        yield pa.record_batch({"id": pa.array(ids), **columns(first, last)})


@kernel
def _note_first(groups: NDArray[np.int64], first: int, smallest: NDArray[np.uint32]) -> None:
    for at in range(groups.size):
        if groups[at] >= 0 and smallest[groups[at]] == _NONE:
            smallest[groups[at]] = np.uint32(first + at)


def wrong_clusters(planted: Planted, batches: Iterator[Clusters]) -> str | None:
    """What is wrong with the clusters found, document by document; ``None`` if they are those planted.

    Holds four bytes for each cluster and source.
    """
    smallest = np.full((int(planted.clusters[-1]), SOURCES), _NONE)
    for first in range(0, planted.documents, BATCH_ROWS):
        numbers = np.arange(first, min(first + BATCH_ROWS, planted.documents), dtype=np.int64)
        cluster = planted.cluster(numbers)
        groups = np.where(cluster >= 0, cluster * SOURCES + numbers // planted.per_file // SHARDS, -1)
        _note_first(groups, first, smallest.reshape(-1))
    linked, last = 0, -1
    for batch in batches:
        numbers = planted.numbers(batch.ids)
        cluster, source = planted.cluster(numbers), numbers // planted.per_file // SHARDS
        if not np.array_equal(planted.ids(numbers), batch.ids) or np.any(np.diff(numbers, prepend=last) <= 0):
            return "the ids are not those of documents, ascending"
        if cluster.min() < 0:
            return "documents that have no cluster are in one"
        if not np.array_equal(batch.cluster_global, planted.ids(smallest[cluster].min(axis=1).astype(np.int64))):
            return "the global clusters differ"
        if not np.array_equal(batch.cluster_local, planted.ids(smallest[cluster, source].astype(np.int64))):
            return "the local clusters differ"
        linked, last = linked + numbers.size, int(numbers[-1])
    return None if linked == planted.linked else f"{linked:,} of {planted.linked:,} documents are in clusters"
