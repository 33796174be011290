"""From the runs of a study to its figures: means over seeds, spreads, and which differences exceed them.

The spread of a source is the standard deviation of bits a byte between seeds, pooled over mixtures of a size, as three
seeds alone say little of a spread. How much seeds differ depends on the text that is measured, and on whether a mixture
has any of it: a model that has seen no code guesses at code, and its loss may vary a hundred times as much. So there
are two spreads, of the mixtures that hold a source and of those that lack it. Two means differ beyond the spread when
they are more than twice the root mean square of their spreads apart: with three seeds that is 2.4 standard errors of a
difference. With one seed nothing is marked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import msgspec

from slimpajama.report.figures.study import (
    ChoiceCell,
    HeldOutCell,
    LossCurve,
    ScopePair,
    SourceSpread,
    StudyFigures,
    TrainedPoint,
)
from slimpajama.study.evaluation.held_out import HeldOutLoss
from slimpajama.study.evaluation.rrgs import rrgs
from slimpajama.study.matrix import StudiedMixture, StudyPlan
from slimpajama.study.runs import RunResult

__all__ = ["SPREADS_APART", "differ", "pooled_spread", "source_spread", "study_figures"]

SPREADS_APART = 2.0


def pooled_spread(groups: Sequence[Sequence[float]]) -> float | None:
    """The standard deviation within groups, each around its own mean; ``None`` where no group has two values."""
    freedom = sum(len(group) - 1 for group in groups if group)
    if not freedom:
        return None
    squares = sum(sum((value - _mean(group)) ** 2 for value in group) for group in groups if group)
    return math.sqrt(squares / freedom)


def source_spread(
    model: str, source: str, bits: Mapping[str, Sequence[float]], mixtures: Sequence[StudiedMixture]
) -> SourceSpread:
    """Of the values ``bits`` by mixture."""
    holding = [bits[one.name] for one in mixtures if one.shares.get(source)]
    lacking = [bits[one.name] for one in mixtures if not one.shares.get(source)]
    return SourceSpread(model=model, source=source, holding=pooled_spread(holding), lacking=pooled_spread(lacking))


def differ(one: HeldOutCell, other: HeldOutCell, spread: SourceSpread) -> bool:
    """Whether two means on a source are more than twice the spread of the two apart."""
    both = [spread.holding if cell.trained_on else spread.lacking for cell in (one, other)]
    known = [value for value in both if value is not None]
    if len(known) < len(both):
        return False
    return abs(one.bits - other.bits) > SPREADS_APART * math.sqrt(_mean([value**2 for value in known]))


def study_figures(plan: StudyPlan, results: Sequence[RunResult]) -> StudyFigures:
    """All that the runs of ``plan`` found."""
    mixtures = tuple(one.name for one in plan.mixtures)
    models = tuple(dict.fromkeys(result.model for result in results))
    sources = tuple(dict.fromkeys(loss.source for result in results for loss in result.held_out))
    first = plan.specs[0]
    cells: list[HeldOutCell] = []
    spreads: list[SourceSpread] = []
    for model, source in itertools.product(models, sources):
        losses = {name: _losses(results, model, name, source) for name in mixtures}
        bits = {name: [loss.bits_per_byte for loss in found] for name, found in losses.items()}
        spreads.append(source_spread(model, source, bits, plan.mixtures))
        cells += _cells(plan.mixtures, losses, bits, spreads[-1])
    return StudyFigures(
        mixtures=mixtures,
        models=models,
        sources=sources,
        seeds=tuple(dict.fromkeys(result.seed for result in results)),
        parameters={result.model: result.parameters for result in results},
        tokens=results[0].tokens,
        window=first.settings.window,
        split=first.split,
        cells=tuple(cells),
        spreads=tuple(spreads),
        curves=tuple(_curve(results, model, name) for model in models for name in mixtures),
        scopes=tuple(_scopes(plan.mixtures, cells, spreads)),
        choices=tuple(
            _choices(results, model, name, task)
            for task in dict.fromkeys(group.task for group in results[0].choices)
            for model in models
            for name in mixtures
        ),
        tokens_per_cpu_second=sorted(result.tokens_per_cpu_second for result in results)[len(results) // 2],
        limits=_limits(results),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _losses(results: Sequence[RunResult], model: str, mixture: str, source: str) -> list[HeldOutLoss]:
    """By seed."""
    return [
        loss
        for result in results
        if result.model == model and result.mixture == mixture
        for loss in result.held_out
        if loss.source == source
    ]


def _cells(
    mixtures: Sequence[StudiedMixture],
    losses: Mapping[str, Sequence[HeldOutLoss]],
    bits: Mapping[str, Sequence[float]],
    spread: SourceSpread,
) -> list[HeldOutCell]:
    cells = [
        HeldOutCell(
            mixture=one.name,
            model=spread.model,
            source=spread.source,
            seeds=len(bits[one.name]),
            nats=_mean([loss.nats_per_token for loss in losses[one.name]]),
            bits=_mean(bits[one.name]),
            spread=pooled_spread([bits[one.name]]),
            best=False,
            beyond=False,
            trained_on=one.shares.get(spread.source, 0.0),
        )
        for one in mixtures
    ]
    best = min(cells, key=lambda cell: cell.bits)
    return [
        msgspec.structs.replace(cell, best=cell.bits == best.bits, beyond=differ(cell, best, spread)) for cell in cells
    ]


def _curve(results: Sequence[RunResult], model: str, mixture: str) -> LossCurve:
    runs = [result.curve for result in results if result.model == model and result.mixture == mixture]
    points = tuple(
        TrainedPoint(tokens=points[0].tokens, loss=_mean([point.loss for point in points]))
        for points in zip(*runs, strict=True)
    )
    return LossCurve(mixture=mixture, model=model, points=points)


def _scopes(
    mixtures: Sequence[StudiedMixture], cells: Sequence[HeldOutCell], spreads: Sequence[SourceSpread]
) -> list[ScopePair]:
    found = {(cell.model, cell.source, cell.mixture): cell for cell in cells}
    pairs = [
        (local.name, other.name)
        for local, other in itertools.product(mixtures, mixtures)
        if (local.scope, other.scope) == ("local", "global") and local.recipe == other.recipe
    ]
    return [
        ScopePair(
            local_mixture=local_name,
            global_mixture=global_name,
            model=spread.model,
            source=spread.source,
            difference=local.bits - other.bits,
            beyond=differ(local, other, spread),
        )
        for spread, (local_name, global_name) in itertools.product(spreads, pairs)
        for local in [found[spread.model, spread.source, local_name]]
        for other in [found[spread.model, spread.source, global_name]]
    ]


def _choices(results: Sequence[RunResult], model: str, mixture: str, task: str) -> ChoiceCell:
    runs = [
        [group for group in result.choices if group.task == task]
        for result in results
        if result.model == model and result.mixture == mixture
    ]
    questions = sum(group.questions for group in runs[0])
    chance = sum(group.chance for group in runs[0]) / questions
    by_group = [_mean([group.right_per_byte / group.questions for group in same]) for same in zip(*runs, strict=True)]
    return ChoiceCell(
        task=task,
        mixture=mixture,
        model=model,
        questions=questions,
        per_token=_mean([sum(group.right_per_token for group in run) / questions for run in runs]),
        per_byte=_mean([sum(group.right_per_byte for group in run) / questions for run in runs]),
        chance=chance,
        rrgs=rrgs(by_group) if abs(chance - 0.25) < 1e-9 else None,
    )


def _limits(results: Sequence[RunResult]) -> tuple[str, ...]:
    """What cannot be concluded from these runs."""
    largest = max(result.parameters for result in results)
    tokens = results[0].tokens
    seeds = len({result.seed for result in results})
    small = (
        f"The largest model has {largest / 1e6:,.1f} million parameters. Small proxies rank mixtures poorly: Olmix "
        "reports rank correlations with large models of 0.73 at 1 million parameters and 0.89 at 15 million."
    )
    short = (
        f"Each run saw {tokens:,} tokens, {tokens / largest:,.2f} a parameter; about 20 a parameter are usual, so "
        "these losses tell which text is learnt first, not what a trained model knows."
    )
    other = (
        "A lower training loss does not make a better mixture: SlimPajama-DC's best average came with its highest "
        "training loss."
    )
    said = [small, short, other]
    if seeds < 3:
        there = "There is 1 seed" if seeds == 1 else f"There are {seeds} seeds"
        said.append(f"{there}; a spread needs three or more to be worth its name.")
    return tuple(said)
