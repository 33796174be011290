"""All links become the clusters file, in which every piece's decisions look up theirs.

One process: a billion documents of which a third are duplicates are some 400 million linked ones, 10 GB at 24 bytes,
and minutes of union-find; the text is long gone by then. Where that is more than ``memory``, ranges of ids are taken
one after the other (see :mod:`slimpajama.dedup.clustering.external_union_find`). The file is in the order of ids, in
batches, so that whoever wants the clusters of a piece reads only that part of it; it is the same however the ids are
cut.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.clustering.external_union_find import BYTES_PER_LINKED, Roots, roots_of_links
from slimpajama.dedup.clustering.spill import BATCH, Column, IdRange, Scratch, Spill
from slimpajama.dedup.clustering.union_find import NO_PLACE, Clusters, Links, places
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.heartbeat import beat
from slimpajama.engine.kernels import kernel
from slimpajama.storage.atomic import SCRATCH_PREFIX, atomic_file, cannot_write
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy
from slimpajama.storage.paths import TEMPORARY_SUFFIX, is_remote

__all__ = ["Clustered", "count_members", "read_clusters", "write_clusters"]

LARGEST = 20
"""Clusters named in the summary: where a boilerplate page has swallowed a source, it shows here."""

_BYTES_COUNTED = 12
"""Held for each document of a range while clusters are counted, beside the marks: its id and a count."""

_BITS_AT_ONCE = 1 << 14
_SCHEMA = pa.schema(
    [("id", pa.uint64()), ("cluster_global", pa.uint64()), ("cluster_local", pa.uint64()), ("alone_local", pa.bool_())]
)

Columns = tuple[NDArray[Any], ...]
"""As in the schema."""


@dataclass(frozen=True, slots=True)
class Clustered:
    """How many documents are ``linked``, into how many clusters (``count``), of which the ``largest`` as (documents,
    root); ``shared`` ``float64[sources, sources]``: clusters with both sources; the ``table`` of all linked documents.
    """

    linked: int
    count: int
    largest: list[tuple[int, int]]
    shared: NDArray[np.float64]
    table: FileRecord


def write_clusters(
    links: Sequence[Callable[[], Links]], sources: SourceRanges, clusters_file: Path, memory: int, batch: int = BATCH
) -> Clustered:
    """Write the clusters of all ``links``, holding at most ``memory`` bytes; ``batch``: rows of a batch of the file."""
    with _scratch_beside(clusters_file) as name:
        scratch = Scratch(Path(name), batch)
        held = max(BYTES_PER_LINKED, _BYTES_COUNTED + 8 * _words(sources))
        roots = roots_of_links(links, sources, scratch, memory // held)
        census = _Census(roots, sources, scratch)
        with atomic_file(clusters_file) as file, pa.ipc.new_file(file, _SCHEMA) as writer:
            for columns in _even_batches(census.rows(), batch):
                writer.write_batch(pa.record_batch([pa.array(column) for column in columns], _SCHEMA))
    return Clustered(roots.linked, census.count, census.largest, census.shared, file.record)


def _scratch_beside(path: Path) -> tempfile.TemporaryDirectory[str]:
    """On the disk that the workspace is on, or this machine's where that is in a store."""
    try:
        if is_remote(path):
            return tempfile.TemporaryDirectory(prefix="slimpajama-")
        path.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, suffix=TEMPORARY_SUFFIX, dir=path.parent)
    except OSError as fault:
        raise cannot_write(path, fault) from fault


def _even_batches(parts: Iterable[Columns], rows: int) -> Iterator[Columns]:
    """Columns of ``rows`` rows, and the rest, so that the file does not show how ids were cut."""
    waiting: list[Columns] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += part[0].size
        while count >= rows:
            whole = tuple(map(np.concatenate, zip(*waiting, strict=True)))
            yield tuple(column[:rows] for column in whole)
            waiting = [tuple(column[rows:] for column in whole)]
            count -= rows
    if count:
        yield tuple(map(np.concatenate, zip(*waiting, strict=True)))


class _Census:
    """Counts, range by range, who is in the cluster of each root; documents with roots in lower ranges are put aside.

    ``count`` of clusters; ``largest`` as (documents, root), larger first, then by root; ``shared``: how many global
    clusters have documents of both sources, for every pair, where the diagonal counts those with any of the source.
    """

    def __init__(self, roots: Roots, sources: SourceRanges, scratch: Scratch) -> None:
        self._batch = scratch.batch
        self._roots = roots
        self._sources = sources
        self._members = Spill(scratch, "members", roots.ranges)
        self._joined = Spill(scratch, "joined", roots.ranges)
        self.count = 0
        self.largest: list[tuple[int, int]] = []
        self.shared = np.zeros((sources.reported_count, sources.reported_count))

    @property
    def _columns(self) -> tuple[Column, Column]:
        return self._roots.global_roots, self._roots.local_roots

    def rows(self) -> Iterator[Columns]:
        """The rows of the clusters file, in the order of ids."""
        for part in self._roots.ranges[1:]:
            for column, spill in zip(self._columns, (self._members, self._joined), strict=True):
                for begin, ids in self._roots.ids.batches(part):
                    beat()
                    roots = column.read(part.first + begin, ids.size)
                    below = roots < np.uint64(part.low)
                    spill.append(roots[below], ids[below])
        for number, part in enumerate(self._roots.ranges):
            yield from self._counted(number, part)

    def _counted(self, number: int, part: IdRange) -> Iterator[Columns]:
        own = self._roots.ids.read(part.first, part.size)
        sizes = np.zeros(own.size, dtype=np.uint32)
        marks = np.zeros((_words(self._sources), own.size), dtype=np.uint64)
        for members, roots in self._with_roots(number, part, self._roots.global_places, self._members, own):
            count_members(roots, self._sources.reported_of(members), sizes, marks)
        self.count += int(np.count_nonzero(sizes))
        self.largest = sorted([*self.largest, *_largest(own, sizes)], key=lambda one: (-one[0], one[1]))[:LARGEST]
        self.shared += _shared(marks, self._sources.reported_count, self._batch)
        del sizes, marks
        others = np.zeros(own.size, dtype=np.bool_)
        for members, roots in self._with_roots(number, part, self._roots.local_places, self._joined, own):
            others[roots[own[roots] != members]] = True
        for begin in range(0, own.size, self._batch):
            ids = own[begin : begin + self._batch]
            global_roots, local_roots = (column.read(part.first + begin, ids.size) for column in self._columns)
            alone = (local_roots == ids) & ~others[begin : begin + self._batch]
            yield ids, global_roots, local_roots, alone

    def _with_roots(
        self, number: int, part: IdRange, column: Column, spill: Spill, own: NDArray[np.uint64]
    ) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.uint32]]]:
        """All documents whose roots lie in a range, and the places of those, in batches."""
        for begin, roots in column.batches(part):
            beat()
            inside = roots != NO_PLACE
            yield own[begin : begin + roots.size][inside], roots[inside]
        for roots, members in spill.pairs(number):
            beat()
            order = np.argsort(roots)  # so that roots are found by going along
            yield members[order], places(own, roots[order]).astype(np.uint32)
        spill.remove(number)


def _words(sources: SourceRanges) -> int:
    """Words of 64 bits, a bit for each source."""
    return -(-sources.reported_count // 64)


@kernel
def count_members(
    roots: NDArray[np.uint32], sources: NDArray[np.int64], sizes: NDArray[np.uint32], marks: NDArray[np.uint64]
) -> None:
    """Count a document of each source into the cluster of its root, and mark there that the source is in it."""
    for at in range(roots.size):
        sizes[roots[at]] += 1
        marks[sources[at] // 64, roots[at]] |= np.uint64(1) << np.uint64(sources[at] % 64)


def _largest(own: NDArray[np.uint64], sizes: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """(documents, root) of the largest clusters of a range; of equal ones the first."""
    least = max(1, int(np.partition(sizes, -LARGEST)[-LARGEST])) if sizes.size > LARGEST else 1
    for chosen in (np.flatnonzero(sizes > least), np.flatnonzero(sizes == least)[:LARGEST]):
        yield from zip(sizes[chosen].tolist(), own[chosen].tolist(), strict=True)


def _shared(marks: NDArray[np.uint64], count: int, step: int) -> NDArray[np.float64]:
    """``float64[count, count]``: clusters with both sources."""
    shared = np.zeros((count, count))
    for first in range(0, marks.shape[1], step):
        batch = marks[:, first : first + step].T
        batch = np.ascontiguousarray(batch[batch.any(axis=1)])
        for begin in range(0, batch.shape[0], _BITS_AT_ONCE):
            bits = np.unpackbits(batch[begin : begin + _BITS_AT_ONCE].view(np.uint8), axis=1, bitorder="little")
            present = bits[:, :count].astype(np.float32)
            shared += present.T @ present  # few enough rows for float32 to be exact
    return shared


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
                parts.append([own.column(name).to_numpy(zero_copy_only=False).copy() for name in _SCHEMA.names])
    if not parts:
        empty = np.empty(0, dtype=np.uint64)
        return Clusters(empty, empty, empty, np.empty(0, dtype=np.bool_))
    return Clusters(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
