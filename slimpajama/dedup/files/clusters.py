"""``work/clusters.arrow``: the cluster of every linked document, in both scopes, in the order of ids.

Each row names the cluster by the id of one of its documents, which names itself; a document that is alone in a scope
names itself there, too. Where removals are ``checked``, that document is the survivor; elsewhere the next stage chooses
one. 32 bytes a document, in batches of one size, so that the file does not show in which parts it was made. Rejected:
a file for each scope (the ids would be there twice).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.clustering.spill import BATCH
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy

__all__ = ["CLUSTERS_ROW_BYTES", "Clusters", "cluster_batches", "not_computed", "write_clusters_file"]

CLUSTERS_ROW_BYTES = 32
"""On disk, for each linked document."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """n linked documents; the fields are the columns of the file.

    ``ids`` ``uint64[n]`` ascending; the clusters ``uint64[n]`` in each scope; the Jaccard similarities ``float32[n]``
    to the survivors, NaN where they were not computed.
    """

    ids: NDArray[np.uint64]
    cluster_global: NDArray[np.uint64]
    cluster_local: NDArray[np.uint64]
    similarity_global: NDArray[np.float32]
    similarity_local: NDArray[np.float32]


_NAMES = ["id", *(field.name for field in fields(Clusters)[1:])]
_SCHEMA = pa.schema([(name, pa.float32() if name.startswith("similarity") else pa.uint64()) for name in _NAMES])


def not_computed(count: int) -> NDArray[np.float32]:
    """``float32[count]``: no similarities."""
    return np.full(count, np.nan, dtype=np.float32)


def write_clusters_file(path: Path, parts: Iterable[Clusters], rows: int = BATCH) -> FileRecord:
    """Write ``parts``, which follow each other in the order of ids, in batches of ``rows`` rows."""
    with atomic_file(path) as file, pa.ipc.new_file(file, _SCHEMA) as writer:
        for columns in _even_batches((_columns(part) for part in parts), rows):
            writer.write_batch(pa.record_batch([pa.array(column) for column in columns], _SCHEMA))
    return file.record


def cluster_batches(path: Path) -> Iterator[Clusters]:
    """The batches of the file, as arrays over the memory map."""
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        for number in range(file.num_record_batches):
            yield Clusters(*(column.to_numpy() for column in file.get_batch(number).columns))


_Columns = tuple[NDArray[np.generic], ...]


def _columns(part: Clusters) -> _Columns:
    return tuple(getattr(part, field.name) for field in fields(part))


def _even_batches(parts: Iterable[_Columns], rows: int) -> Iterator[_Columns]:
    """Columns of ``rows`` rows, and the rest."""
    waiting: list[_Columns] = []
    count = 0
    for part in parts:
        if not count and part[0].size == rows:  # the usual case, which needs no copy
            yield part
            continue
        waiting.append(part)
        count += part[0].size
        while count >= rows:
            whole = tuple(map(np.concatenate, zip(*waiting, strict=True)))
            yield tuple(column[:rows] for column in whole)
            waiting = [tuple(column[rows:] for column in whole)]
            count -= rows
    if count:
        yield tuple(map(np.concatenate, zip(*waiting, strict=True)))
