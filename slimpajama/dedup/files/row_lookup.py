"""Columns of chosen documents, out of all rows files.

One pass over the ids of all rows; the other columns are touched only where a chosen document is. Costs 8 bytes read for
each document there is, and what is asked for of the chosen ones. A file of several sources holds ids that do not
ascend, so a batch of it is sorted first. Rejected: an index of the rows (a file more, for what a pass does in seconds).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.files.arrow_columns import column_array
from slimpajama.dedup.precedence import Precedence
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import InputChanged
from slimpajama.storage.atomic import read_json
from slimpajama.storage.local_cache import local_copy
from slimpajama.storage.paths import path_of

__all__ = ["gather", "ranks_of", "rows_files"]


def rows_files(rows_list: Path) -> list[Path]:
    """The rows files that a JSON file lists: this run's lie below its folder, those of earlier runs anywhere."""
    return [path_of(path) if "://" in path else rows_list.parent / path for path in read_json(rows_list)]


def gather(rows_list: Path, ids: NDArray[np.uint64], columns: Sequence[str]) -> list[NDArray[Any]]:
    """The ``columns`` of the documents ``ids`` ``uint64[n]``, which ascend without repeats: arrays of n rows each.

    ``rows_list``: a JSON file that lists all rows files. A column of k bytes a row comes as ``uint8[n, k]``. Raises
    :class:`InputChanged` where no file holds one of the documents.
    """
    found = np.zeros(ids.size, dtype=np.bool_)
    gathered: list[NDArray[Any]] = []
    for path in rows_files(rows_list):
        with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                beat()
                batch = file.get_batch(number)
                if not gathered and set(columns) <= set(batch.schema.names):  # those of earlier runs may have fewer
                    samples = [column_array(batch.column(name).slice(0, 0)) for name in columns]
                    gathered = [np.zeros((ids.size, *one.shape[1:]), dtype=one.dtype) for one in samples]
                places, rows = _matches(ids, batch.column("id").to_numpy())
                if places.size:
                    found[places] = True
                    for target, name in zip(gathered, columns, strict=True):
                        target[places] = column_array(batch.column(name))[rows]
    if not found.all():
        missing = int(ids[np.argmin(found)])
        raise InputChanged(
            f"no file that {rows_list} lists holds the document with the id {missing}; run the same command again"
        )
    return gathered or [np.empty(0) for _ in columns]


def ranks_of(rows_list: Path, ids: NDArray[np.uint64], precedence: Precedence) -> NDArray[np.uint64]:
    """``uint64[n, ranks]``: the ranks of the documents ``ids``, as :func:`gather`; zero of those of earlier runs."""
    ranks = np.zeros((ids.size, precedence.ranks), dtype=np.uint64)
    own = ids >= np.uint64(precedence.first_own)
    if precedence.ranks and own.any():
        ranks[own] = np.stack(gather(rows_list, ids[own], precedence.rank_columns), axis=1)
    return ranks


def _matches(ids: NDArray[np.uint64], own: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places in ``ids``, and the rows of ``own``, whatever their order, that hold them."""
    order = None
    if np.any(own[1:] < own[:-1]):
        order = np.argsort(own)
        own = own[order]
    first = int(np.searchsorted(ids, own[0])) if own.size else 0
    last = int(np.searchsorted(ids, own[-1], side="right")) if own.size else 0
    rows = np.searchsorted(own, ids[first:last])  # each is at most the last of them
    chosen = np.flatnonzero(own[rows] == ids[first:last])
    rows = rows[chosen]
    return first + chosen, rows if order is None else order[rows]
