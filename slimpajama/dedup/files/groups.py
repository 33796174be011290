"""``work/groups/``: each cluster's survivor and what is known of the cluster, in the order of ids, one folder of files.

A file holds the clusters of one scope and one range of them; whoever wants the documents of a piece reads that part of
every file and merges them. Only documents that share a cluster with another are in it. 30 bytes a document, and eight
more for every 64 sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.clustering.spill import BATCH
from slimpajama.dedup.files.arrow_columns import column_array
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy

__all__ = ["GROUPS_ROW_BYTES", "Groups", "GroupsFiles", "source_words", "write_groups"]

GROUPS_ROW_BYTES = 38
"""On disk, for each document and scope, where there are at most 64 sources."""


@dataclass(frozen=True, slots=True)
class Groups:
    """n documents in clusters of two and more; the fields are the columns of a file.

    ``id`` ``uint64[n]`` ascending; ``survivor`` ``uint64[n]``: the document of its cluster that stays; ``similarity``
    ``float32[n]`` to it, NaN where not computed; ``exact`` ``bool[n]``: not the survivor, but of equal cleaned text. On
    survivors, and zero elsewhere: ``size`` ``uint32[n]``, documents in the cluster; ``exact_copies`` ``uint32[n]``,
    those with its cleaned text, itself among them; ``sources`` ``uint8[n, 8 * words]``: a bit for each source in it.
    """

    id: NDArray[np.uint64]
    survivor: NDArray[np.uint64]
    size: NDArray[np.uint32]
    exact: NDArray[np.bool_]
    exact_copies: NDArray[np.uint32]
    sources: NDArray[np.uint8]
    similarity: NDArray[np.float32]

    @property
    def columns(self) -> list[NDArray[Any]]:
        """All fields in their order."""
        return [getattr(self, name) for name in _NAMES]


_NAMES = [field.name for field in fields(Groups)]


def source_words(sources: int) -> int:
    """Words of 64 bits that hold a bit for each of so many sources."""
    return -(-sources // 64)


def _empty(words: int) -> Groups:
    return Groups(
        np.empty(0, np.uint64),
        np.empty(0, np.uint64),
        np.empty(0, np.uint32),
        np.empty(0, np.bool_),
        np.empty(0, np.uint32),
        np.empty((0, 8 * words), np.uint8),
        np.empty(0, np.float32),
    )


def write_groups(path: Path, groups: Groups, rows: int = BATCH) -> FileRecord:
    """Write ``groups`` in batches of ``rows`` rows."""
    width = groups.sources.shape[1]
    arrays = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), groups.id.size, [None, pa.py_buffer(column)])
        if column.ndim == 2
        else pa.array(column)
        for column in groups.columns
    ]
    table = pa.record_batch(arrays, _NAMES)
    with atomic_file(path) as file, pa.ipc.new_file(file, table.schema) as writer:
        for begin in range(0, groups.id.size, rows):
            writer.write_batch(table.slice(begin, rows))
    return file.record


@dataclass(frozen=True, slots=True)
class GroupsFiles:
    """All files of one scope; ``words``: of the bits for sources (see :func:`source_words`)."""

    paths: tuple[Path, ...]
    words: int

    def read(self, spans: Sequence[tuple[int, int]]) -> Groups:
        """The documents with ids in any of the ascending ``spans`` [low, high)."""
        parts = [part for path in self.paths for part in _parts(path, spans)]
        if not parts:
            return _empty(self.words)
        columns = [np.concatenate(own) for own in zip(*(part.columns for part in parts), strict=True)]
        if len(self.paths) > 1:
            order = np.argsort(columns[0])
            columns = [column[order] for column in columns]
        return Groups(*columns)


def _parts(path: Path, spans: Sequence[tuple[int, int]]) -> Iterator[Groups]:
    """Of one file, in the order of ids; batches outside the spans stay unread."""
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
                # Copies, so that the mapped pages do not count as this process's memory for longer.
                yield Groups(*(column_array(batch.column(name))[first:last].copy() for name in _NAMES))
