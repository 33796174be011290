"""Files of pairs of documents: those to compare, and those whose similarity is known or must be found from the texts.

Arrow files that are read through a memory map; 16 bytes a pair to compare, 25 a judged one. A text that is needed is
named by its document, the half of the pair it is, and a hash of the pair's candidate, by which pairs are spread over
tasks. Rejected: Parquet (ids of pairs are near to random, and nothing is gained for a slower read).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy

__all__ = ["JudgedPairs", "NeededTexts", "PairsToCompare", "read_pairs", "share_of", "spread", "write_pairs"]


@dataclass(frozen=True, slots=True)
class PairsToCompare:
    """n pairs, ``uint64[n]`` each: the candidate comes before the document."""

    documents: NDArray[np.uint64]
    candidates: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """n pairs with their ``similarities`` ``float64[n]``, known by ``means`` ``uint8[n]`` (see
    :class:`~slimpajama.dedup.checking.similarity.Means`)."""

    documents: NDArray[np.uint64]
    candidates: NDArray[np.uint64]
    similarities: NDArray[np.float64]
    means: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class NeededTexts:
    """n texts to read: ``ids`` ``uint64[n]`` in order, the ``spreads`` ``uint64[n]`` of the candidates of their pairs,
    and whether it is the candidate itself ``bool[n]``."""

    ids: NDArray[np.uint64]
    spreads: NDArray[np.uint64]
    is_candidate: NDArray[np.bool_]


Table = TypeVar("Table", PairsToCompare, JudgedPairs, NeededTexts)


def write_pairs(path: Path, table: Table) -> FileRecord:
    """Write the columns of ``table`` as one batch."""
    names = [field.name for field in fields(table)]
    batch = pa.record_batch([pa.array(getattr(table, name)) for name in names], names)
    with atomic_file(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return file.record


def read_pairs(path: Path, kind: type[Table]) -> Table:
    """The table in a file, over a memory map where possible."""
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        batch = file.get_batch(0)
        return kind(*(batch.column(field.name).to_numpy(zero_copy_only=False) for field in fields(kind)))


def spread(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``uint64[n]`` below 2^32: a hash of each id, even over any set of them."""
    mixed: NDArray[np.uint64] = ids * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed >>= np.uint64(32)
    return mixed


def share_of(spreads: NDArray[np.uint64], shares: int) -> NDArray[np.int64]:
    """``int64[n]``: which of ``shares`` equal shares each value of :func:`spread` falls into."""
    found: NDArray[np.int64] = ((spreads * np.uint64(shares)) >> np.uint64(32)).astype(np.int64)
    return found
