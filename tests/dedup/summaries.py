"""A summary of a deduplication for tests that read some of its fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from slimpajama.config.dedup import Config
from slimpajama.dedup.summary import ClusterFigures, DedupSummary, LshFigures, Overlap, ShardFigures
from slimpajama.dedup.tally import RemovedFor, nested

__all__ = ["COUNTS", "NAMES", "REMOVED", "STOOD_FOR", "dedup_summary"]

EXACT = [[60, 300_000], [30, 150_000]]
COUNTS = nested(
    np.array(
        [
            [
                [1000, 5_000_000],
                [10, 1_000],
                [2, 500],
                [900, 4_500_000],
                [950, 4_800_000],
                [988, 4_998_500],
                *EXACT,
                [0, 0],
            ],
            [[20, 90_000], [0, 0], [0, 0], [20, 90_000], [20, 90_000], [20, 90_000], [0, 0], [0, 0], [0, 0]],
            [[0, 0]] * 9,
        ]
    )
)
REMOVED = (RemovedFor(0, 0, 38, 198_500), RemovedFor(0, 1, 50, 300_000))
STOOD_FOR = nested(np.array([[[988, 0], [988, 0]], [[20, 0], [20, 0]], [[0, 0], [0, 0]]]))
NAMES = ("common_crawl", "books", "empty")
"""Of a tally of the three sources ``NAMES``."""


def dedup_summary(**fields: Any) -> DedupSummary:
    """One with nothing in it but ``fields``."""
    values: dict[str, Any] = {
        "input": "in",
        "sources": {},
        "overlap": Overlap((), (), (), (), (), (), ()),
        "clusters": ClusterFigures(0, 0, ()),
        "lsh": LshFigures(9, 13, {}),
        "versions": {},
        "shards": ShardFigures(1, 1, (), {}),
        "stages": {},
        "seconds": 1.0,
        "compile_seconds": 0.0,
        "mb_per_second": None,
        "settings": Config(workers=1),
        "peak_memory_bytes": 1,
    }
    return DedupSummary(**{**values, **fields})
