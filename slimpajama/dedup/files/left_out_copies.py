"""Documents left out of the bands, since an earlier one of their source has the same cleaned text, keys and all.

Each task of the exact stage writes a file of their ids, which ascend; whoever goes through rows asks for each batch
which of its documents are among them. Files are mapped, and of each only the part between the first and the last id of
a batch is looked at, shard by shard. Costs next to nothing where few are left out. Rejected: a column of the rows (they
are written before copies are known).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.distinct import distinct
from slimpajama.dedup.files.arrow_columns import column_array
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy

__all__ = ["LeftOutCopies", "write_left_out"]


def write_left_out(path: Path, ids: NDArray[np.uint64]) -> FileRecord:
    """Write ascending ``ids``."""
    batch = pa.record_batch({"id": pa.array(ids)})
    with atomic_file(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return file.record


class LeftOutCopies:
    """The ids in all files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        every = [_ids(path) for path in paths]
        self._files = [ids for ids in every if ids.size]

    def among(self, ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of ``ids`` ``uint64[n]``, which ascend within each shard, are left out."""
        found = np.zeros(ids.size, dtype=np.bool_)
        if not self._files or not ids.size:
            return found
        if (ids[1:] > ids[:-1]).all():
            self._mark(ids, found)
            return found
        shards = ids >> np.uint64(POSITION_BITS)
        for shard in distinct(shards):
            rows = np.flatnonzero(shards == shard)
            own = np.zeros(rows.size, dtype=np.bool_)
            self._mark(ids[rows], own)
            found[rows] = own
        return found

    def _mark(self, ids: NDArray[np.uint64], found: NDArray[np.bool_]) -> None:
        for left_out in self._files:
            first = int(np.searchsorted(left_out, ids[0]))
            last = int(np.searchsorted(left_out, ids[-1], side="right"))
            places = np.searchsorted(ids, left_out[first:last])  # each is at most the last of them
            found[places[ids[places] == left_out[first:last]]] = True


def _ids(path: Path) -> NDArray[np.uint64]:
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        return column_array(file.get_batch(0).column("id"))
