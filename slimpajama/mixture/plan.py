"""From a recipe and what there is of each source to whole sequences: how many, how often repeated, in which file.

Sequences are shared out by largest remainder, so each source is within one sequence of its exact share. Every output
file is itself such a mixture, so a reader that takes the files one after the other, or only some of them, sees the
recipe's proportions. The phases of a recipe are planned one after the other, and each goes on in each source where the
one before ended. Pure functions; a plan costs less than a millisecond, and the sharing over its files is made when it
is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.part import overlapping, part_of, without_overlap
from slimpajama.config.recipe import Proportions, Recipe
from slimpajama.config.source_names import source_named
from slimpajama.errors import ConfigError
from slimpajama.mixture.parts import check_split, check_values, selection_of, train_stream
from slimpajama.mixture.rules import Allotment, Supply, allotment, called
from slimpajama.mixture.sharing import apportion, share_out
from slimpajama.tokens.store import TokenStore

__all__ = [
    "FilePlan",
    "PhasePlan",
    "Plan",
    "SourcePlan",
    "plan_from_store",
    "plan_mixture",
    "with_found_names",
]


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """One source's part of a phase, or of the whole.

    ``share``: asked for, exact. ``first``: the sequence of the source that is its first. ``available``: tokens of one
    epoch, ``distinct`` of them where documents that come several times in an epoch count once. ``unused``: tokens of an
    epoch that no sequence holds, here or before.
    """

    name: str
    share: Fraction
    first: int
    sequences: int
    tokens: int
    available: int
    distinct: int
    unused: int

    @property
    def epochs(self) -> float:
        """How often its deduplicated tokens are gone through, fractional."""
        return self.tokens / self.distinct


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase, in so many ``files``; a recipe without phases is one without a name."""

    name: str
    sources: tuple[SourcePlan, ...]
    files: int

    @property
    def sequences(self) -> int:
        """Of all sources."""
        return sum(source.sequences for source in self.sources)

    def taken_of(self, source: str) -> int:
        """Sequences of a source."""
        return sum(one.sequences for one in self.sources if one.name == source)

    @property
    def bounds(self) -> NDArray[np.int64]:
        """``int64[files + 1, sources]``: file f holds sequences ``bounds[f, s] .. bounds[f + 1, s]`` of source s."""
        first = np.array([source.first for source in self.sources], dtype=np.int64)
        return first + share_out([source.sequences for source in self.sources], self.files)


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file: sequences ``slices[i] = (first, last)`` of ``sources[i]``."""

    phase: str
    sources: tuple[str, ...]
    slices: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole mixture."""

    sequence_length: int
    phases: tuple[PhasePlan, ...]

    @property
    def sequences(self) -> int:
        """Of all phases."""
        return sum(phase.sequences for phase in self.phases)

    @property
    def files(self) -> int:
        """Output files."""
        return sum(phase.files for phase in self.phases)

    @property
    def sources(self) -> tuple[SourcePlan, ...]:
        """Each source's part of all phases together."""
        return self.phases[0].sources if len(self.phases) == 1 else _together(self.phases)

    def file_plans(self) -> Iterator[FilePlan]:
        """The files in their order, which is that of training."""
        for phase in self.phases:
            bounds, sources = phase.bounds.tolist(), tuple(source.name for source in phase.sources)
            for first, last in pairwise(bounds):
                yield FilePlan(phase.name, sources, tuple(zip(first, last, strict=True)))


def with_found_names(recipe: Recipe, sources: Sequence[str], set_names: Mapping[str, str] | None = None) -> Recipe:
    """The recipe with its sources by the names they have among ``sources``.

    Raises :class:`ConfigError` for a source that the recipe asks for and that is none of them, by any name.
    """

    def found(name: str) -> str:
        part = part_of(name)
        return (source_named(part.source, sources, set_names) or part.source) + part.written

    try:
        renamed = recipe.with_names(found)
    except ValueError as fault:
        raise ConfigError(f"{recipe.name}: {fault}") from fault
    limits = renamed.max_epochs if isinstance(renamed.max_epochs, dict) else {}
    for name in (*renamed.sources_named, *(limit for limit in limits if limit != "default")):
        if part_of(name).source not in sources:
            near = difflib.get_close_matches(name, sources, n=1)
            raise ConfigError(
                f"{recipe.name} asks {_asked(renamed, name)}source {name!r}, but there is none; there are "
                f"{', '.join(sources)}: "
                + (f"write {near[0]!r} if you mean that, " if near else "")
                + "add it to the input, or leave it out of the recipe"
            )
    check_split(renamed)
    everything = sources if any(step.rule and not step.sources for step in renamed.steps()) else ()
    both = overlapping((*renamed.sources_named, *everything))
    if both is not None:
        raise ConfigError(
            f"{recipe.name} takes {both[0]!r} and {both[1]!r}, which have documents in common; "
            f"{without_overlap(*both)}, or name the sources of its rule"
        )
    return renamed


def _asked(recipe: Recipe, source: str) -> str:
    """How much is asked of a source, where that is a share of the whole."""
    share = recipe.shares().get(source)
    return f"{float(100 * share):.4g} % of " if share and not recipe.epochs else "for "


def plan_mixture(recipe: Recipe, available: Mapping[str, int], distinct: Mapping[str, int] | None = None) -> Plan:
    """The plan of ``recipe`` given the tokens of one epoch of each source there is, ``distinct`` ones if documents come
    several times in an epoch.

    Sources come in the order of ``available``. Raises :class:`ConfigError` for a source that does not exist, one
    without tokens, and a budget that would go through a source more often than ``max_epochs`` allows, with the numbers
    and what to change.
    """
    recipe = with_found_names(recipe, tuple(available))
    for source in recipe.sources_named:
        if not available[source]:
            raise ConfigError(
                f"{recipe.name} asks {_asked(recipe, source)}source {source!r}, which has no training document in the "
                f"{recipe.scope} scope; leave it out and share its part among the others"
            )
    used = dict.fromkeys(available, 0)
    phases = []
    for phase in recipe.steps():
        planned = _plan_phase(recipe, phase, available, distinct or available, used)
        phases.append(planned)
        if not recipe.repeat_phases:
            used = {name: count + planned.taken_of(name) for name, count in used.items()}
    return Plan(recipe.tokens_per_sequence, tuple(phases))


def plan_from_store(store: TokenStore, recipe: Recipe) -> Plan:
    """The recipe's plan, given what the store has. Raises :class:`ConfigError`."""
    recipe = with_found_names(recipe, store.sources)
    check_values(recipe, recipe.sources_named, store)
    # By name: the order of weights is lost where a recipe is stored.
    parts = sorted(name for name in recipe.sources_named if not part_of(name).is_whole)
    names = [name for source in store.sources for name in (source, *(p for p in parts if part_of(p).source == source))]
    sizes = {name: store.sizes(part_of(name).source, "train", selection_of(recipe, name)) for name in names}
    available = {name: sum(own.tokens) for name, own in sizes.items()}
    distinct = {name: own.distinct for name, own in sizes.items()}
    if recipe.packing != "concat":
        padded = {name: train_stream(recipe, name).padded_tokens(store) for name in names}
        distinct = {name: distinct[name] * padded[name] // max(1, available[name]) for name in names}
        available = padded
    return plan_mixture(recipe, available, distinct)


def _plan_phase(
    recipe: Recipe,
    phase: Proportions,
    available: Mapping[str, int],
    distinct: Mapping[str, int],
    used: Mapping[str, int],
) -> PhasePlan:
    """``used``: sequences that the phases before took of each source."""
    length = recipe.tokens_per_sequence
    supplies = {
        source: Supply(tokens, max(0, int(recipe.most_epochs(source) * tokens) // length - used[source]))
        for source, tokens in available.items()
    }
    allotted = allotment(recipe, phase, supplies)
    # In the order of the store: a mapping's order is lost where it is stored, and says nothing of the mixture.
    shares = {source: allotted.shares[source] for source in available if source in allotted.shares}
    counts = dict(zip(shares, apportion(list(shares.values()), allotted.total), strict=True))
    _check_epochs(recipe, phase, allotted, counts, supplies, used)
    sources = []
    for source, share in shares.items():
        tokens = counts[source] * length
        unused = max(0, available[source] - used[source] * length - tokens)
        there = available[source]
        sources.append(SourcePlan(source, share, used[source], counts[source], tokens, there, distinct[source], unused))
    files = max(1, round(allotted.total * length / recipe.file_tokens))
    name = "" if phase is recipe else phase.name
    return PhasePlan(name, tuple(sources), min(files, allotted.total))


def _check_epochs(
    recipe: Recipe,
    phase: Proportions,
    allotted: Allotment,
    counts: Mapping[str, int],
    supplies: Mapping[str, Supply],
    used: Mapping[str, int],
) -> None:
    """Raise :class:`ConfigError` for the source that would be gone through too often, the worst of them.

    Epochs that are asked for of a single source are what is wanted, unless an earlier phase took of it, too.
    """
    length = recipe.tokens_per_sequence
    beyond = [
        source
        for source, count in counts.items()
        if count > supplies[source].most and (source not in allotted.fixed or used[source])
    ]
    if not beyond:
        return
    epochs = {source: Fraction((used[source] + counts[source]) * length, supplies[source].tokens) for source in beyond}
    worst = max(beyond, key=lambda source: epochs[source] / recipe.most_epochs(source))
    before = ", with the phases before" if used[worst] else ","
    remedies = _remedies(phase, allotted, supplies, worst, length)
    if recipe.phases and not recipe.repeat_phases:
        remedies.append("set repeat_phases to let sequences come again in a later phase")
    raise ConfigError(
        f"{called(recipe, phase)} asks {counts[worst] * length:,} tokens of {worst}{before} {float(epochs[worst]):.2f} "
        f"epochs of the {supplies[worst].tokens:,} there are; max_epochs is {float(recipe.most_epochs(worst)):g}: "
        f"{', '.join([*remedies, 'or raise max_epochs'])}"
    )


def _remedies(
    phase: Proportions, allotted: Allotment, supplies: Mapping[str, Supply], worst: str, length: int
) -> list[str]:
    """What to lower, and to which value, so that no source is gone through too often."""
    if worst in allotted.fixed:
        epochs = floor(1000 * Fraction(supplies[worst].most * length, supplies[worst].tokens)) / 1000
        return [f"lower its epochs to at most {epochs:g}"]
    fixed = sum(allotted.fixed.values())
    rest = allotted.total - fixed
    others = {source: share * allotted.total / rest for source, share in allotted.shares.items()}
    # Whole sequences: below these, rounding a source up to the next one stays within its epochs.
    most = min(int(supplies[source].most / share) for source, share in others.items() if source not in allotted.fixed)
    said = [f"lower tokens to at most {(most + fixed) * length:,}"] if most else []
    if phase.weights:
        share = floor(10_000 * Fraction(supplies[worst].most, rest)) / 100
        said.append(f"its share to {share:g} %" if said else f"lower its share to {share:g} %")
    return said


def _together(phases: Sequence[PhasePlan]) -> tuple[SourcePlan, ...]:
    """Each source's part of several phases."""
    total = sum(phase.sequences for phase in phases)
    found: dict[str, SourcePlan] = {}
    for phase in phases:
        for source in phase.sources:
            share = source.share * phase.sequences / total
            before = found.get(source.name)
            found[source.name] = (
                replace(source, share=share)
                if before is None
                else replace(
                    before,
                    share=before.share + share,
                    sequences=before.sequences + source.sequences,
                    tokens=before.tokens + source.tokens,
                    unused=min(before.unused, source.unused),
                )
            )
    return tuple(found.values())
