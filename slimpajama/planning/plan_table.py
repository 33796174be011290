"""A plan, for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from slimpajama.planning.cost_model import RunPlan
from slimpajama.planning.estimates import Range
from slimpajama.text_table import aligned

__all__ = ["plan_lines"]

_SMALL = 1e10
"""Below so many bytes they are shown as MB, above as GB."""


def plan_lines(plan: RunPlan) -> list[str]:
    """What there is, what it takes on disk, in time and in memory, and what was assumed."""
    seconds = plan.core_hours < 1
    workers = f"{plan.nodes} x {plan.workers} worker(s)"
    took = f"{plan.core_hours * 3600:,.0f} core-seconds" if seconds else f"{plan.core_hours:,.0f} core-hours"
    costs = [
        (
            cost.stage,
            f"{cost.core_seconds:,.1f}" if seconds else f"{cost.core_seconds / 3600:,.2f}",
            cost.on,
        )
        for cost in plan.stages
    ]
    memory = ", ".join(f"{name} {_gib(size)}" for name, size in plan.memory.items() if name != "setting")
    return [
        *_input_lines(plan),
        "",
        *_disk_lines(plan),
        "",
        aligned([("stage", "core-seconds" if seconds else "core-hours", "on"), *costs]),
        "",
        f"{took}: {_hours(plan.wall_hours)} on {workers} as fast as one here, if disk and network keep up:",
        f"a node reads up to {plan.reading / 1e6:,.0f} MB/s from disk",
        f"memory of a node, set to {_gib(plan.memory['setting'])}: at most {memory}",
        f"keys of a band in {plan.key_ranges:,} range(s), linked documents in {plan.cluster_ranges:,}",
        *(f"note: {note}" for note in plan.notes),
    ]


def _input_lines(plan: RunPlan) -> list[str]:
    unit, size_of = _unit(plan.sources["total"].text.estimate)
    rows = [("source", "files", f"{unit} on disk", f"{unit} of text", "between", "documents", "between")]
    rows += [
        (
            name,
            f"{own.files:,}",
            size_of(own.disk),
            size_of(own.text.estimate),
            _between(own.text, size_of),
            f"{own.documents.estimate:,}",
            _between(own.documents, "{:,}".format),
        )
        for name, own in plan.sources.items()
    ]
    source = "kept, as said" if plan.kept_is_said else f"kept in the {plan.kept_scope} scope, as in the sample"
    kept = f"{100 * plan.kept:.1f} % of the text {source}"
    kept += "" if plan.tokens is None else f": {plan.tokens:,} tokens"
    known = all(own.text.low == own.text.high for own in plan.sources.values())
    ranges = "" if known else "; ranges hold 19 times in 20"
    lines = [f"from {plan.sampled_text / 1e6:,.0f} MB of text sampled{ranges}", ""]
    lines += [aligned(rows, last_rows=1), "", kept]
    if not plan.kept_is_said:
        lines.append("(the most: both copies of a document are rarely in a sample; --kept says better, if you know)")
    return lines


def _between(values: Range, shown: Callable[[int], str]) -> str:
    return f"{shown(values.low)} - {shown(values.high)}" if values.low < values.high else ""


def _disk_lines(plan: RunPlan) -> list[str]:
    total = sum(plan.disk.values())
    unit, size_of = _unit(total)
    rows = [("beside the input", unit), *((name, size_of(size)) for name, size in plan.disk.items())]
    return [aligned([*rows, ("at most", size_of(total))], last_rows=1)]


def _unit(most: int) -> tuple[str, Callable[[int], str]]:
    unit, size = ("MB", 1e6) if most < _SMALL else ("GB", 1e9)
    return unit, lambda value: f"{value / size:,.1f}"


def _gib(size: float) -> str:
    return f"{size / 2**30:,.1f} GiB"


def _hours(hours: float) -> str:
    if hours < 0.1:
        return f"{hours * 3600:,.0f} s"
    return f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.1f} days"
