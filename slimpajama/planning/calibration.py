"""How fast this machine links and clusters, on documents that are keys alone: a sample of text has too few of them.

A third of the keys agree with another's. Costs a second and 40 MB of disk.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slimpajama.dedup.files.sketches import BATCH_ROWS, SOUND, Rows, RowShape, RowsWriter
from slimpajama.dedup.lsh import KeyRange
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterStage
from slimpajama.dedup.stages.link import LinkPayload, LinkStage
from slimpajama.storage.atomic import atomic_file, write_json

__all__ = ["LinkingSpeed", "linking_speed"]

KEYS = 1 << 20


@dataclass(frozen=True, slots=True)
class LinkingSpeed:
    """Seconds: of ``gathering`` for each key that is looked at, whatever its range, of ``linking`` for each key of the
    range, and of ``clustering`` for each link; and bytes of disk for each link."""

    gathering: float
    linking: float
    clustering: float
    link_bytes: float


def linking_speed(folder: Path) -> LinkingSpeed:
    """Measure, with files in ``folder``."""
    rng = np.random.default_rng(1)
    keys = rng.integers(0, 1 << 63, KEYS, dtype=np.uint64)
    keys[: KEYS // 3] = keys[KEYS // 3 : 2 * (KEYS // 3)]
    rng.shuffle(keys)
    with atomic_file(folder / "keys.arrow") as file, RowsWriter(file, RowShape(1)) as writer:
        for first in range(0, KEYS, BATCH_ROWS):
            writer.append(_rows(keys[first : first + BATCH_ROWS], first))
    write_json(folder / "rows.json", ["keys.arrow"])
    sources = SourceRanges.of(["any"], [0])
    item = LinkPayload(KeyRange("band_0", 0, 1), KEYS, folder / "rows.json", sources, folder / "links.arrow")
    LinkStage.run(item)  # so that what is loaded once is loaded
    began = time.perf_counter()
    no_keys = KeyRange("band_0", 1, 1 << 31)
    LinkStage.run(replace(item, keys=no_keys, links_file=folder / "none.arrow"))
    gathering = time.perf_counter() - began
    began = time.perf_counter()
    linked = LinkStage.run(item)
    linking = max(0.0, time.perf_counter() - began - gathering)
    began = time.perf_counter()
    ClusterStage.run(ClusterPayload((item.links_file,), sources, folder / "clusters.arrow", 1 << 30))
    clustering = time.perf_counter() - began
    links, size = linked.linked, linked.links.bytes
    return LinkingSpeed(gathering / KEYS, linking / KEYS, clustering / links, size / links)


def _rows(keys: np.ndarray, first: int) -> Rows:
    size = keys.size
    return Rows(
        ids=np.arange(first, first + size, dtype=np.uint64),
        sources=np.zeros(size, dtype=np.uint8),
        status=np.full(size, SOUND, dtype=np.uint8),
        bytes=np.full(size, 4000, dtype=np.int64),
        cleaned=np.full(size, 4000, dtype=np.int64),
        rewritten=np.zeros(size, dtype=np.bool_),
        keys=keys.reshape(-1, 1),
        hashes=np.zeros((size, 2), dtype=np.uint64),
    )
