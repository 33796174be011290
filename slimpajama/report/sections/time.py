"""Where the time went: the stages as the summaries tell them. Costs nothing.

Summaries keep stages by name, so the order in which they run is told here. The summary of a ``run`` has the
stages of the mixtures; an output of ``mix`` alone has only the time that the token store took when it was last made.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimpajama.dedup.summary import StageFigures
from slimpajama.report.figures.whole import StageRow, TimeSection
from slimpajama.report.opened_output import OpenedDedup, OpenedOutput
from slimpajama.tokens.stages.order import TOKEN_STAGES

__all__ = ["time_spent"]

ORDER = (
    "evaluation items",
    "read and sketch",
    "evaluation matches",
    "exact",
    "link",
    "cluster",
    "check",
    "group",
    "diff",
    "decide",
    "look",
    "write",
    *(stage.title for stage in TOKEN_STAGES),
    "holdout files",
    "mix",
)
"""Stages as they run, each by the beginning of its name."""

STEPS = ("sample", "draw", "candidates", "estimate", "read texts", "compare texts", "choose survivors")
"""Steps of "check" and "look" as they run."""


def time_spent(output: OpenedOutput, dedup: OpenedDedup) -> TimeSection:
    """All stages in their order."""
    summary = dedup.summary
    rows = _rows("dedup", summary.stages)
    if output.whole is not None:
        rows += _rows("mix", output.whole.stages)
    elif output.mixtures is not None:
        seconds = output.mixtures.summary.seconds
        rows.append(StageRow(part="mix", stage="token store", seconds=seconds, tasks=1, reused=0, mb_per_second=None))
    return TimeSection(
        stages=tuple(rows),
        seconds=output.whole.seconds if output.whole else summary.seconds,
        compile_seconds=summary.compile_seconds,
        peak_memory_bytes=output.whole.peak_memory_bytes if output.whole else summary.peak_memory_bytes,
        workers=summary.settings.workers or 1,
    )


def _rows(part: str, stages: Mapping[str, StageFigures]) -> list[StageRow]:
    return [
        StageRow(
            part=part,
            stage=name,
            seconds=one.seconds,
            tasks=one.items,
            reused=one.reused,
            mb_per_second=one.mb_per_second,
        )
        for name, one in sorted(stages.items(), key=lambda stage: _place(stage[0]))
    ]


def _place(name: str) -> tuple[int, int, str, int, str]:
    """Where a stage stands among all; one that is not known, at the end."""
    stage, _, step = name.partition(": ")
    known = [place for place, beginning in enumerate(ORDER) if f"{stage} ".startswith(f"{beginning} ")]
    which = next((place for place, one in enumerate(STEPS) if one in step), len(STEPS))
    return max(known, default=len(ORDER)), len(stage), stage, which, name
