"""Stage 3: one item that turns all links into the clusters file, in which every piece's decisions look up theirs.

One process: a billion documents of which a third are duplicates are some 500 million linked ones, 12 GB at 24 bytes,
and minutes of union-find; the text is long gone by then. The file is in the order of ids, in batches, so that whoever
wants the clusters of a piece reads only that part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.compilation import kernel
from slimpajama.dedup.components import Clusters, Forest, Parents, forest_of_links
from slimpajama.dedup.lsh import read_links
from slimpajama.dedup.source_ranges import SourceRanges
from slimpajama.engine.heartbeat import beat
from slimpajama.storage import local_copy
from slimpajama.workspace import atomic_file

__all__ = ["VERSION", "ClusterItem", "cluster_links", "read_clusters"]

VERSION = 2
LARGEST = 20
"""Clusters named in the summary: where a boilerplate page has swallowed a source, it shows here."""

_BATCH = 1 << 20
_BITS_AT_ONCE = 1 << 14
_COLUMNS = ("id", "cluster_global", "cluster_local", "alone_local")


@dataclass(frozen=True, slots=True)
class ClusterItem:
    """All links files, whose documents they are about, and where the clusters go."""

    links_files: tuple[Path, ...]
    sources: SourceRanges
    clusters_file: Path


def cluster_links(item: ClusterItem) -> dict[str, Any]:
    """Write the clusters file; returns how many documents are linked, into how many clusters, shared by whom."""

    def links_files() -> Iterable[Any]:
        for path in item.links_files:
            beat()
            yield read_links(path)

    forest = forest_of_links(links_files, item.sources)
    record = _write(forest, item.clusters_file)
    sizes = forest.global_sizes()
    return {
        "linked": int(forest.ids.size),
        "clusters": int(np.count_nonzero(sizes)),
        "largest": _largest(forest, sizes),
        "shared": _shared(forest.ids, forest.global_roots, item.sources),
        "files": [record],
    }


def _write(forest: Forest, path: Path) -> dict[str, Any]:
    types = (pa.uint64(), pa.uint64(), pa.uint64(), pa.bool_())
    schema = pa.schema(list(zip(_COLUMNS, types, strict=True)))
    sizes = forest.local_sizes()
    with atomic_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        for first in range(0, forest.ids.size, _BATCH):
            beat()
            part = forest.clusters(first, first + _BATCH, sizes)
            columns = (part.ids, part.global_roots, part.local_roots, part.local_alone)
            writer.write_batch(pa.record_batch([pa.array(column) for column in columns], schema))
    return file.record


def _largest(forest: Forest, sizes: NDArray[np.uint32]) -> list[dict[str, int]]:
    """The largest clusters, larger first, then by root."""
    chosen = np.flatnonzero(sizes >= np.partition(sizes, -LARGEST)[-LARGEST]) if sizes.size > LARGEST else None
    places = np.flatnonzero(sizes) if chosen is None else chosen[sizes[chosen] > 0]
    order = places[np.lexsort((places, -sizes[places].astype(np.int64)))][:LARGEST]
    return [{"cluster": int(forest.ids[place]), "documents": int(sizes[place])} for place in order]


@kernel
def _mark(roots: Parents, sources: NDArray[np.int64], first: int, word: int, marks: NDArray[np.uint64]) -> None:
    for node in range(sources.size):
        if sources[node] // 64 == word:
            marks[roots[first + node]] |= np.uint64(1) << np.uint64(sources[node] % 64)


def _shared(ids: NDArray[np.uint64], roots: NDArray[Any], sources: SourceRanges) -> list[list[int]]:
    """How many global clusters have documents of both sources, for every pair; symmetric, ``sources x sources``.

    The diagonal counts the clusters that have any document of the source.
    """
    count = sources.reported_count
    words = [_marks(ids, roots, sources, word) for word in range(-(-count // 64))]
    shared = np.zeros((count, count))
    for first in range(0, ids.size, _BATCH):
        batch = np.stack([word[first : first + _BATCH] for word in words], axis=1)
        batch = batch[batch.any(axis=1)]
        for begin in range(0, batch.shape[0], _BITS_AT_ONCE):
            bytes_of = batch[begin : begin + _BITS_AT_ONCE].view(np.uint8)
            present = np.unpackbits(bytes_of, axis=1, bitorder="little")[:, :count].astype(np.float32)
            shared += present.T @ present  # few enough rows for float32 to be exact
    return shared.astype(np.int64).tolist()


def _marks(ids: NDArray[np.uint64], roots: NDArray[Any], sources: SourceRanges, word: int) -> NDArray[np.uint64]:
    """For each root a bit for each of 64 sources that its cluster has."""
    marks = np.zeros(ids.size, dtype=np.uint64)
    for first in range(0, ids.size, _BATCH):
        _mark(roots, sources.reported_of(ids[first : first + _BATCH]), first, word, marks)
    return marks


def read_clusters(path: Path, spans: Sequence[tuple[int, int]]) -> Clusters:
    """The clusters of documents with ids in any of the ascending ``spans`` [low, high); other batches stay unread."""
    parts = []
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        batches = file.num_record_batches
        firsts = np.array([file.get_batch(at).column("id")[0].as_py() for at in range(batches)], dtype=np.uint64)
        for low, high in spans:
            begin = max(0, int(np.searchsorted(firsts, np.uint64(low), side="right")) - 1)
            end = int(np.searchsorted(firsts, np.uint64(high), side="left"))
            for at in range(begin, end):
                batch = file.get_batch(at)
                ids = batch.column("id").to_numpy()
                first, last = np.searchsorted(ids, np.array([low, high], dtype=np.uint64))
                own = batch.slice(first, last - first)
                # Copies, so that the mapped pages do not count as this process's memory for longer.
                parts.append([own.column(name).to_numpy(zero_copy_only=False).copy() for name in _COLUMNS])
    if not parts:
        empty = np.empty(0, dtype=np.uint64)
        return Clusters(empty, empty, empty, np.empty(0, dtype=np.bool_))
    return Clusters(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
