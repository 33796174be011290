"""The stages of a deduplication in the order in which they run."""

from __future__ import annotations

from typing import Any

from slimpajama.dedup.stages.cluster import ClusterStage
from slimpajama.dedup.stages.decide import DecideStage
from slimpajama.dedup.stages.diff import DiffStage
from slimpajama.dedup.stages.exact import ExactStage
from slimpajama.dedup.stages.group import GroupStage
from slimpajama.dedup.stages.link import LinkStage
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.stages.stage import Stage

__all__ = ["DEDUP_STAGES"]

DEDUP_STAGES: tuple[type[Stage[Any, Any]], ...] = (
    SketchStage,
    ExactStage,
    LinkStage,
    ClusterStage,
    GroupStage,
    DiffStage,
    DecideStage,
    WriteStage,
)
