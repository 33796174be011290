"""A summary of a deduplication for tests that read some of its fields."""

from __future__ import annotations

from typing import Any

from slimpajama.config.dedup import Config
from slimpajama.dedup.summary import ClusterFigures, DedupSummary, LshFigures, Overlap, ShardFigures

__all__ = ["dedup_summary"]


def dedup_summary(**fields: Any) -> DedupSummary:
    """One with nothing in it but ``fields``."""
    values: dict[str, Any] = {
        "input": "in",
        "sources": {},
        "overlap": Overlap((), (), (), (), ()),
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
