"""Stage 2: documents that agree in a band are linked, one band and one range of keys at a time.

A work item gathers the keys of its range and links what is equal (see :mod:`slimpajama.dedup.equal_keys`). 36 bytes
per key of the range are held at once, and the number of ranges follows from the memory allowed. Ranges are cut evenly,
and no key is cut: a page that a hundred million documents share takes 3.6 GB in the range it falls into, however many
ranges there are. Rejected: hash tables
of whole bands (the 1.4 TB of the published run), and all pairs that agree (quadratic in the size of a boilerplate
cluster).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.compilation import kernel
from slimpajama.dedup.components import Links
from slimpajama.dedup.equal_keys import MOST_KEYS, links_of_keys
from slimpajama.dedup.rows import BATCH_ROWS, row_batches
from slimpajama.dedup.source_ranges import SourceRanges
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import InputError
from slimpajama.local_copies import local_copy
from slimpajama.storage import place
from slimpajama.workspace import atomic_file, read_json

__all__ = [
    "BYTES_PER_KEY",
    "VERSION",
    "LinkItem",
    "key_ranges",
    "link_band",
    "read_links",
    "write_links",
]

VERSION = 2
BYTES_PER_KEY = 36
"""Peak bytes per key of a range: key and id as gathered, the key in its bucket, and what it is linked to."""


def key_ranges(documents: int, memory: int) -> int:
    """How many ranges a band is cut into so that each item stays within ``memory`` bytes."""
    return max(1, -(-documents * BYTES_PER_KEY // memory), -(-2 * documents // MOST_KEYS))


@dataclass(frozen=True, slots=True)
class LinkItem:
    """Range ``number`` of ``ranges`` of one band, over all rows files, which a JSON file beside them lists;
    ``documents``: how many have keys, in all; ``sources``: whose they are."""

    band: int
    number: int
    ranges: int
    documents: int
    rows_list: Path
    sources: SourceRanges
    links_file: Path


def link_band(item: LinkItem, most_keys: int = MOST_KEYS, spare_rows: int = BATCH_ROWS) -> dict[str, Any]:
    """Write the links of one band and range, in the order of documents.

    There is room for ``spare_rows`` more than an even share of the keys, and where that does not do, it grows. Returns
    how many keys and links there were, and the file's record. Raises :class:`InputError` where a range has more than
    ``most_keys``, which is as many as can be numbered.
    """
    keys, ids = _gathered(item, most_keys, spare_rows)
    links = links_of_keys(keys, ids, item.sources)
    return {"keys": keys.size, "links": links.documents.size, "files": [write_links(links, item.links_file)]}


def _gathered(item: LinkItem, most_keys: int, spare_rows: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The keys of the range and their documents' ids. Room that is not written to is no memory yet."""
    room = item.documents // item.ranges
    slack = room // 16 + spare_rows
    keys, ids = (np.empty(room + slack, dtype=np.uint64) for _ in range(2))
    count = 0
    for path in read_json(item.rows_list):
        beat()
        columns = ["id", "in_lsh", f"band_{item.band}"]
        for own_ids, in_lsh, own_keys in row_batches(_below(item.rows_list.parent, path), columns):
            if count + own_keys.size > keys.size:
                for array in (keys, ids):
                    array.resize(count + own_keys.size + slack, refcheck=False)
            if count > most_keys - own_keys.size:
                raise InputError(
                    f"range {item.number} of {item.ranges} of band {item.band} has over {count:,} keys, and "
                    f"{most_keys:,} are the most: set a smaller memory, or take out the page that they share"
                )
            count += select_range(own_keys, own_ids, in_lsh, item.number, item.ranges, keys[count:], ids[count:])
    return keys[:count], ids[:count]


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


def _below(folder: Path, path: str) -> Path:
    """The rows of earlier runs have absolute paths."""
    return place(path) if "://" in path else folder / path


def write_links(links: Links, path: Path) -> dict[str, Any]:
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
