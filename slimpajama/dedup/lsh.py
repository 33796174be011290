"""The keys of one range of a band, gathered from all rows files, and the files of links.

The stage that links what is equal is :mod:`slimpajama.dedup.stages.link`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.clustering.union_find import Links
from slimpajama.dedup.files.left_out_copies import LeftOutCopies
from slimpajama.dedup.files.row_lookup import rows_files
from slimpajama.dedup.files.sketches import row_batches
from slimpajama.dedup.key_table import MOST_KEYS, KeyedDocuments
from slimpajama.engine.heartbeat import beat
from slimpajama.engine.kernels import kernel
from slimpajama.errors import InputError
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy

__all__ = [
    "BYTES_PER_KEY",
    "KeyRange",
    "gathered_keys",
    "key_ranges",
    "read_links",
    "write_links",
]

BYTES_PER_KEY = 32
"""Peak bytes per key of a range: 28 for key and id as gathered, and the key in its bucket with the number of its
document; the rest because ranges are not quite even, and for the mapped file that is read."""


def key_ranges(documents: int, memory: int, bytes_per_key: int = BYTES_PER_KEY) -> int:
    """How many ranges a band is cut into so that each task stays within ``memory`` bytes."""
    return max(1, -(-documents * bytes_per_key // memory), -(-2 * documents // MOST_KEYS))


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Range ``number`` of the ``ranges`` that the keys in a ``column`` of the rows are cut into."""

    column: str
    number: int
    ranges: int


def gathered_keys(
    of: KeyRange, rows_list: Path, documents: int, most_keys: int, spare_rows: int, copies: Sequence[Path] = ()
) -> KeyedDocuments:
    """The keys of a range and their documents' ids. Room that is not written to is no memory yet.

    ``rows_list``: a JSON file that lists all rows files, beside them; ``documents``: how many have keys, in all;
    ``copies``: the files of documents that are left out.
    """
    room = documents // of.ranges
    slack = room // 16 + spare_rows
    keys, ids = (np.empty(room + slack, dtype=np.uint64) for _ in range(2))
    count = 0
    left_out = LeftOutCopies(copies)
    for path in rows_files(rows_list):
        beat()
        columns = ["id", "in_lsh", of.column]
        for own_ids, in_lsh, own_keys in row_batches(path, columns):
            chosen = in_lsh & ~left_out.among(own_ids) if copies else in_lsh
            if count + own_keys.size > keys.size:
                for array in (keys, ids):
                    array.resize(count + own_keys.size + slack, refcheck=False)
            if count > most_keys - own_keys.size:
                raise InputError(
                    f"range {of.number} of {of.ranges} of {of.column} has over {count:,} keys, and "
                    f"{most_keys:,} are the most: set a smaller memory, or take out the page that they share"
                )
            count += select_range(own_keys, own_ids, chosen, of.number, of.ranges, keys[count:], ids[count:])
    return KeyedDocuments(keys[:count], ids[:count])


@kernel
def select_range(
    keys: NDArray[np.uint64],
    ids: NDArray[np.uint64],
    in_lsh: NDArray[np.bool_],
    number: int,
    ranges: int,
    out_keys: NDArray[np.uint64],
    out_ids: NDArray[np.uint64],
) -> int:
    """Copy keys that lie in range ``number`` of ``ranges``, by their upper half, and their ids; returns how many."""
    count = 0
    for at in range(keys.size):
        out_keys[count] = keys[at]
        out_ids[count] = ids[at]
        of = np.int64(((keys[at] >> np.uint64(32)) * np.uint64(ranges)) >> np.uint64(32))
        count += in_lsh[at] & (of == number)
    return count


def write_links(links: Links, path: Path) -> FileRecord:
    """Write links as one batch, the anchors as a dictionary; returns the file's record."""
    anchors = pa.DictionaryArray.from_arrays(pa.array(links.anchor_of), pa.array(links.anchors))
    batch = pa.record_batch({"document": pa.array(links.documents), "anchor": anchors})
    with atomic_file(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    return file.record


def read_links(path: Path) -> Links:
    """The links of a file, over a memory map."""
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        batch = file.get_batch(0)
        anchors = batch.column("anchor")
        return Links(batch.column("document").to_numpy(), anchors.dictionary.to_numpy(), anchors.indices.to_numpy())
