"""Stage 2: documents that agree in a band are linked, one band and one range of keys at a time.

A work item gathers the keys of its range, sorts them, and links every document of an equal-key run to the run's
smallest id and to the smallest id of its own source there: a star, not all pairs, so a run of a million costs a
million. Keys are first laid into buckets that fit the processor's cache, then sorted by numpy's vectorised quicksort;
48 bytes per key of the range are held at once, and the number of ranges follows from the memory allowed. Rejected: hash
tables per band (the 1.4 TB of the published run), and all pairs of a run (quadratic in the size of a boilerplate
cluster).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.compilation import kernel
from slimpajama.dedup.components import Links, links_of_pairs
from slimpajama.dedup.rows import row_batches
from slimpajama.dedup.source_ranges import SourceRanges
from slimpajama.engine.heartbeat import beat
from slimpajama.storage import local_copy, place
from slimpajama.workspace import atomic_file, read_json

__all__ = [
    "BYTES_PER_KEY",
    "VERSION",
    "LinkItem",
    "key_ranges",
    "link_band",
    "links_of_keys",
    "read_links",
    "write_links",
]

VERSION = 2
BYTES_PER_KEY = 48
"""Peak bytes per key of a range: key and id, gathered and in buckets; later, where all are linked, links and orders."""

BUCKET_KEYS = 1 << 16
"""Keys that are sorted at a time: they stay in the processor's cache, so a key costs the same in a large corpus."""


def key_ranges(documents: int, memory: int) -> int:
    """How many ranges a band is cut into so that each item stays within ``memory`` bytes."""
    return max(1, -(-documents * BYTES_PER_KEY // memory))


def links_of_keys(
    keys: NDArray[np.uint64], ids: NDArray[np.uint64], sources: SourceRanges
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Links ``(document, anchor)``, each ``uint64[m]``, of documents ``ids`` ``uint64[n]`` with one band's ``keys``.

    In each run of equal keys the smallest id of a source is the anchor of the source's others, and the smallest id
    of all is the anchor of the other sources' smallest. So the links between documents of one source join exactly
    what agrees within it, and all links together what agrees at all.
    """
    order = np.argsort(keys)
    ordered = keys[order]
    same_as_next = ordered[1:] == ordered[:-1]
    in_run = np.zeros(keys.size, dtype=np.bool_)
    in_run[1:] = same_as_next
    in_run[:-1] |= same_as_next
    keys, ids = ordered[in_run], ids[order[in_run]]
    del order, ordered, same_as_next, in_run
    if not keys.size:
        return ids, ids
    own = sources.local_of(ids).astype(np.uint16)
    order = np.lexsort((ids, own, keys))
    keys, ids, own = keys[order], ids[order], own[order]
    begins_run = np.ones(keys.size, dtype=np.bool_)
    begins_run[1:] = keys[1:] != keys[:-1]
    begins_source = begins_run.copy()
    begins_source[1:] |= own[1:] != own[:-1]
    of_run = np.minimum.reduceat(ids, np.flatnonzero(begins_run))[np.cumsum(begins_run) - 1]
    of_source = ids[np.maximum.accumulate(np.where(begins_source, np.arange(keys.size), 0))]
    anchors = np.where(begins_source, of_run, of_source)
    linked = anchors != ids
    return ids[linked], anchors[linked]


@dataclass(frozen=True, slots=True)
class LinkItem:
    """Range ``number`` of ``ranges`` of one band, over all rows files, which a JSON file beside them lists;
    ``sources``: whose they are."""

    band: int
    number: int
    ranges: int
    rows_list: Path
    sources: SourceRanges
    links_file: Path


def link_band(item: LinkItem) -> dict[str, Any]:
    """Write the links of one band and range, in the order of documents.

    Returns how many keys and links there were, and the file's record.
    """
    gathered_keys, gathered_ids = [], []
    for path in read_json(item.rows_list):
        beat()
        for ids, in_lsh, keys in row_batches(
            _below(item.rows_list.parent, path), ["id", "in_lsh", f"band_{item.band}"]
        ):
            chosen = in_lsh
            if item.ranges > 1:
                part = ((keys >> np.uint64(32)) * np.uint64(item.ranges)) >> np.uint64(32)
                chosen = in_lsh & (part == item.number)
            gathered_keys.append(keys[chosen])
            gathered_ids.append(ids[chosen])
    count = sum(part.size for part in gathered_keys)
    buckets = max(1, count // BUCKET_KEYS)
    keys, ids, ends = _partitioned(gathered_keys, gathered_ids, count, item.number, item.ranges, buckets)
    parts = [links_of_keys(keys[:0], ids[:0], item.sources)]
    for begin, end in pairwise((0, *ends.tolist())):
        beat()
        parts.append(links_of_keys(keys[begin:end], ids[begin:end], item.sources))
    del keys, ids
    documents, anchors = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    del parts
    return {
        "keys": count,
        "links": int(documents.size),
        "files": [write_links(links_of_pairs(documents, anchors), item.links_file)],
    }


def _below(folder: Path, path: str) -> Path:
    """The rows of earlier runs have absolute paths."""
    return place(path) if "://" in path else folder / path


@kernel
def _scatter(
    keys: NDArray[np.uint64],
    ids: NDArray[np.uint64],
    multiplier: int,
    first: int,
    ends: NDArray[np.int64],
    out_keys: NDArray[np.uint64],
    out_ids: NDArray[np.uint64],
) -> None:
    """Append each key and id to its bucket, which ends so far where ``ends`` says; only count without ``out_keys``."""
    for at in range(keys.size):
        bucket = np.int64(((keys[at] >> np.uint64(32)) * np.uint64(multiplier)) >> np.uint64(32)) - first
        place = ends[bucket]
        ends[bucket] = place + 1
        if out_keys.size:
            out_keys[place] = keys[at]
            out_ids[place] = ids[at]


def _partitioned(
    gathered_keys: list[NDArray[np.uint64]],
    gathered_ids: list[NDArray[np.uint64]],
    count: int,
    number: int,
    ranges: int,
    buckets: int,
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """The keys and ids of a range in ``buckets`` even parts of it, and where each ends; empties the lists."""
    none = np.empty(0, dtype=np.uint64)
    sizes = np.zeros(buckets, dtype=np.int64)
    for part in gathered_keys:
        _scatter(part, none, ranges * buckets, number * buckets, sizes, none, none)
    ends = np.cumsum(sizes) - sizes
    keys, ids = np.empty(count, dtype=np.uint64), np.empty(count, dtype=np.uint64)
    while gathered_keys:
        _scatter(gathered_keys.pop(), gathered_ids.pop(), ranges * buckets, number * buckets, ends, keys, ids)
    return keys, ids, ends


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
