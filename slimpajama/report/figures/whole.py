"""A whole report: its sections, and where the time went."""

from __future__ import annotations

import msgspec

from slimpajama.report.figures.base import Figures
from slimpajama.report.figures.deduplication import (
    ClusterSection,
    EvidenceSection,
    Glance,
    LshSection,
    OverlapSection,
    SourceSection,
)
from slimpajama.report.figures.kvcache import CacheResults
from slimpajama.report.figures.mixtures import MixtureSection, TokenSection
from slimpajama.report.figures.study import StudyFigures

__all__ = [
    "Report",
    "StageRow",
    "TimeSection",
]


# 9. Time


class StageRow(Figures, frozen=True, kw_only=True):
    """One stage. ``part``: ``"dedup"`` or ``"mix"``. ``reused``: of its ``tasks``, those that an earlier run had done;
    ``mb_per_second``: of text, where nothing was reused."""

    part: str
    stage: str
    seconds: float
    tasks: int
    reused: int
    mb_per_second: float | None


class TimeSection(Figures, frozen=True, kw_only=True):
    """Where the time went."""

    stages: tuple[StageRow, ...]
    seconds: float
    compile_seconds: float
    peak_memory_bytes: int
    workers: int


class Report(Figures, frozen=True, kw_only=True):
    """A whole report. ``title``: name of the output's folder; ``made``: the version that made the output.
    ``missing``: by the name of a section that is ``None``, why it is."""

    title: str
    made: str
    glance: Glance | None = None
    sources: SourceSection | None = None
    overlap: OverlapSection | None = None
    clusters: ClusterSection | None = None
    evidence: EvidenceSection | None = None
    lsh: LshSection | None = None
    tokens: TokenSection | None = None
    mixtures: MixtureSection | None = None
    study: StudyFigures | None = None
    caches: CacheResults | None = None
    time: TimeSection | None = None
    missing: dict[str, str] = msgspec.field(default_factory=dict)
