"""A plan for people: its table, and what of it may not be meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimpajama.config.part import part_of
from slimpajama.config.recipe import Recipe
from slimpajama.mixture.plan import PhasePlan, Plan, SourcePlan

__all__ = ["HeldOutCounts", "phase_table", "plan_table", "plan_warnings", "swarm_table"]

HeldOutCounts = Mapping[str, Mapping[str, int]]
"""By held-out split and source, the sequences of the shared holdout; empty where nothing was to be held out."""

_WHY_NONE = {
    "drawn": "; a larger holdout or shorter sequences give some",
    "none": "",
    "published": ", as the split that the input comes with has too few tokens of it",
    "taken over": ", as the holdout that was taken over has too few tokens of it",
}

_HEADING = ("source", "asked %", "got %", "sequences", "tokens", "epochs", "available", "left unused")


def plan_table(plan: Plan, held_out: HeldOutCounts | None = None) -> list[tuple[str, ...]]:
    """The plan of the whole as rows of text, the heading first: share asked and got, sequences, tokens, true epochs,
    and where ``held_out`` is given the sequences that validate and test each source."""
    splits = held_out or {}
    rows = [
        (*row, *(f"{counts[part_of(row[0]).source]:,}" for counts in splits.values())) for row in _rows(plan.sources)
    ]
    measured = _measured(plan)
    sums = [f"{sum(counts[source] for source in measured):,}" for counts in splits.values()]
    return [(*_HEADING, *splits), *rows, (*_total(plan.sequences, plan.sequence_length), *sums)]


def phase_table(phase: PhasePlan, length: int) -> list[tuple[str, ...]]:
    """One phase as such rows."""
    return [_HEADING, *_rows(phase.sources), _total(phase.sequences, length)]


def swarm_table(plans: Mapping[str, Plan]) -> list[tuple[str, ...]]:
    """Many plans as such rows, one each: the percent of each source, and the source that is gone through most often."""
    names = list(dict.fromkeys(source.name for plan in plans.values() for source in plan.sources))
    rows: list[tuple[str, ...]] = [("mixture", "sequences", "tokens", *names, "most epochs", "of")]
    for mixture, plan in plans.items():
        got = {source.name: 100 * source.sequences / plan.sequences for source in plan.sources}
        most = max(plan.sources, key=lambda source: source.epochs)
        shares = (f"{got.get(name, 0):.3f}" for name in names)
        tokens = plan.sequences * plan.sequence_length
        rows.append((mixture, f"{plan.sequences:,}", f"{tokens:,}", *shares, f"{most.epochs:.3f}", most.name))
    return rows


def _measured(plan: Plan) -> list[str]:
    """The sources that the plan takes whole or in parts."""
    return list(dict.fromkeys(part_of(source.name).source for source in plan.sources))


def _rows(sources: Sequence[SourcePlan]) -> list[tuple[str, ...]]:
    total = sum(source.sequences for source in sources)
    return [
        (
            source.name,
            f"{float(100 * source.share):.3f}",
            f"{100 * source.sequences / total:.3f}",
            f"{source.sequences:,}",
            f"{source.tokens:,}",
            f"{source.epochs:.3f}",
            f"{source.available:,}",
            f"{source.unused:,}",
        )
        for source in sources
    ]


def _total(sequences: int, length: int) -> tuple[str, ...]:
    return ("total", "100.000", "100.000", f"{sequences:,}", f"{sequences * length:,}", "", "", "")


def plan_warnings(recipe: Recipe, plan: Plan, held_out: HeldOutCounts, how: str = "drawn") -> list[str]:
    """What of the plan may not be meant: a source without a sequence in train, or in a held-out split, and one that a
    rule passes over. ``how``: the documents were held out, as :class:`HoldoutAccount` says."""
    said = []
    for phase in plan.phases:
        called = f"phase {phase.name} of {recipe.name}" if phase.name else recipe.name
        said += [
            f"{called} asks {float(100 * source.share):.4g} % of source {source.name!r}, which is "
            f"{float(source.share * phase.sequences):.2g} of {phase.sequences:,} sequences: it gets no sequence; raise "
            "tokens or its weight"
            for source in phase.sources
            if not source.sequences
        ]
    for split, counts in held_out.items():
        without = [source for source in _measured(plan) if not counts[source]]
        if without:
            said.append(
                f"{recipe.name} has no {split} sequence of {plan.sequence_length:,} tokens from "
                f"{', '.join(map(repr, without))}{_WHY_NONE[how]}"
            )
    return said
