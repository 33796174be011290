"""How fast this machine links, clusters and groups, on documents that are keys alone: a sample of text has too few.

Three tenths of the documents are near-duplicates of another; they share a key in half of the bands, so that most links
lead to where another led before, as in a corpus. Takes a few seconds and 150 MB of disk. Rejected: one band alone, in
which each link is the first of its document and costs three times as much as links do on average.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.files.sketches import BATCH_ROWS, SOUND, Rows, RowShape, RowsWriter
from slimpajama.dedup.lsh import KeyRange
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterStage
from slimpajama.dedup.stages.group import GroupPayload, GroupStage
from slimpajama.dedup.stages.link import LinkPayload, LinkStage
from slimpajama.storage.atomic import atomic_file, write_json

__all__ = ["LinkingSpeed", "linking_speed"]

LINKED = 0.3
SHARED = 0.5
"""Of the bands, by near-duplicates."""


@dataclass(frozen=True, slots=True)
class LinkingSpeed:
    """Seconds: of ``gathering`` for each key that is looked at, whatever its range, of ``linking`` for each key of the
    range, of ``clustering`` for each link, and of ``grouping`` for each linked document; and bytes of disk for each
    link."""

    gathering: float
    linking: float
    clustering: float
    grouping: float
    link_bytes: float


def linking_speed(folder: Path, bands: int, documents: int) -> LinkingSpeed:
    """Measure, with so many ``documents`` in files in ``folder``."""
    keys = _keys(documents, bands)
    with atomic_file(folder / "keys.arrow") as file, RowsWriter(file, RowShape(bands)) as writer:
        for first in range(0, documents, BATCH_ROWS):
            writer.append(_rows(keys[first : first + BATCH_ROWS], first))
    rows, sources = folder / "rows.json", SourceRanges.of(["any"], [0])
    write_json(rows, ["keys.arrow"])
    items = [
        LinkPayload(KeyRange(f"band_{band}", 0, 1), documents, rows, sources, folder / f"links_{band}.arrow")
        for band in range(bands)
    ]
    LinkStage.run(items[0])  # so that what is loaded once is loaded
    began = time.perf_counter()
    no_keys = KeyRange("band_0", 1, 1 << 31)
    LinkStage.run(replace(items[0], keys=no_keys, links_file=folder / "none.arrow"))
    gathering = (time.perf_counter() - began) / documents
    began = time.perf_counter()
    links = [LinkStage.run(item) for item in items]
    linking = max(0.0, (time.perf_counter() - began) / (documents * bands) - gathering)
    linked, size = sum(one.linked for one in links), sum(one.links.bytes for one in links)
    began = time.perf_counter()
    clusters = folder / "clusters.arrow"
    files = tuple(item.links_file for item in items)
    members = ClusterStage.run(ClusterPayload(files, sources, clusters, 1 << 30)).linked
    clustering = (time.perf_counter() - began) / linked
    began = time.perf_counter()
    for scope in BOTH:
        target = folder / f"groups_{scope}.arrow"
        GroupStage.run(GroupPayload(scope, 0, 1, clusters, rows, sources, Precedence(("source",), sources), target))
    grouping = (time.perf_counter() - began) / members
    return LinkingSpeed(gathering, linking, clustering, grouping, size / linked)


def _keys(documents: int, bands: int) -> NDArray[np.uint64]:
    """``uint64[documents, bands]``."""
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 1 << 63, (documents, bands), dtype=np.uint64)
    alike = round(documents * LINKED)
    like = rng.integers(alike, documents, alike)
    shared = rng.random((alike, bands)) < SHARED
    keys[:alike][shared] = keys[like][shared]
    return keys[rng.permutation(documents)]


def _rows(keys: NDArray[np.uint64], first: int) -> Rows:
    size = keys.shape[0]
    return Rows(
        ids=np.arange(first, first + size, dtype=np.uint64),
        sources=np.zeros(size, dtype=np.uint8),
        status=np.full(size, SOUND, dtype=np.uint8),
        bytes=np.full(size, 4000, dtype=np.int64),
        cleaned=np.full(size, 4000, dtype=np.int64),
        rewritten=np.zeros(size, dtype=np.bool_),
        keys=keys,
        hashes=np.zeros((size, 2), dtype=np.uint64),
    )
