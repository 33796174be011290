"""From what a recipe says of its sources, and the tokens there are, to exact shares of the sequences of one phase.

Epochs come first: such a source gives its whole sequences of so many epochs. The others share what is left by their
weights or by a rule. UniMax (Chung et al. 2023) goes through the sources from the smallest on: each is offered an equal
part of what is left, and takes no more than its epochs allow. Caps are whole sequences, so that no source is above its
cap when shares are rounded. Everything is a fraction; costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from slimpajama.config.part import part_of
from slimpajama.config.recipe import Proportions, Recipe
from slimpajama.config.weights import exact, power
from slimpajama.errors import ConfigError

__all__ = ["Allotment", "Supply", "allotment", "by_temperature", "called", "unimax"]


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is of one source: ``tokens`` of one epoch, and the ``most`` whole sequences a phase may have of it."""

    tokens: int
    most: int


@dataclass(frozen=True, slots=True)
class Allotment:
    """The sequences of a phase: ``total``, and the exact ``shares`` of it by source, which sum to 1.

    ``fixed``: sequences of the sources that are taken by epochs.
    """

    total: int
    shares: Mapping[str, Fraction]
    fixed: Mapping[str, int]


def called(recipe: Recipe, phase: Proportions) -> str:
    """What a message calls a phase of a recipe, or a recipe that has none."""
    return recipe.name if phase is recipe else f"phase {phase.name} of {recipe.name}"


def allotment(recipe: Recipe, phase: Proportions, supplies: Mapping[str, Supply]) -> Allotment:
    """What each source is to give to ``phase`` of ``recipe``, with every source it may be of in ``supplies``.

    Raises :class:`ConfigError` where epochs do not fit the budget, and where UniMax cannot fill it.
    """
    length = recipe.tokens_per_sequence
    fixed = {source: int(exact(epochs) * supplies[source].tokens) // length for source, epochs in phase.epochs.items()}
    taken = sum(fixed.values())
    asks = f"{called(recipe, phase)} asks for epochs of {', '.join(fixed)} that"
    if phase.budget is None:
        if not taken:
            raise ConfigError(
                f"{asks} fill no sequence of {length:,} tokens; raise epochs or choose a smaller sequence_length"
            )
        return Allotment(taken, {source: Fraction(count, taken) for source, count in fixed.items()}, fixed)
    total = phase.budget // length
    rest = total - taken
    if rest < 0 or (rest == 0 and (phase.weights or phase.rule)):
        raise ConfigError(
            f"{asks} come to {taken * length:,} tokens, which leaves nothing of its {phase.budget:,} for the others; "
            "raise tokens or lower epochs"
        )
    others = _others(recipe, phase, supplies, rest)
    if rest and not others:
        raise ConfigError(
            f"{asks} come to {taken * length:,} tokens, and nothing fills the rest of its {phase.budget:,}; leave "
            "tokens out, or give weights or a rule for the others"
        )
    shares = {source: Fraction(count, total) for source, count in fixed.items()}
    return Allotment(total, shares | {source: share * rest / total for source, share in others.items()}, fixed)


def _others(recipe: Recipe, phase: Proportions, supplies: Mapping[str, Supply], rest: int) -> Mapping[str, Fraction]:
    """The shares of ``rest`` sequences of those that are not taken by epochs; they sum to 1."""
    if phase.weights:
        return phase.shares()
    if phase.rule is None:
        return {}
    chosen = {
        source: supplies[source]
        for source in (phase.sources or (name for name in supplies if part_of(name).is_whole))
        if source not in phase.epochs and supplies[source].tokens
    }
    if not chosen:
        raise ConfigError(
            f"the rule of {called(recipe, phase)} is for no source that has a training document; name some in sources"
        )
    if phase.rule != "unimax":
        exponent = 1.0 if phase.rule == "proportional" else phase.rule["temperature"]
        return by_temperature({source: supply.tokens for source, supply in chosen.items()}, exponent)
    most = sum(supply.most for supply in chosen.values())
    if most < rest:
        length = recipe.tokens_per_sequence
        raise ConfigError(
            f"{called(recipe, phase)} asks {rest * length:,} tokens by unimax, but within max_epochs there are "
            f"{most * length:,}: lower tokens by {(rest - most) * length:,}, or raise max_epochs"
        )
    return unimax({source: supply.most for source, supply in chosen.items()}, rest)


def by_temperature(tokens: Mapping[str, int], exponent: float) -> dict[str, Fraction]:
    """Shares as ``tokens ** exponent``; 1 is proportional, 0 the same for each."""
    powers = {source: Fraction(count) if exponent == 1 else power(count, exponent) for source, count in tokens.items()}
    total = sum(powers.values(), Fraction(0))
    return {source: value / total for source, value in powers.items()}


def unimax(most: Mapping[str, int], total: int) -> dict[str, Fraction]:
    """Shares of ``total`` sequences, as even as can be with at most ``most`` of each source; these are enough."""
    left, shares = Fraction(total), {}
    waiting = sorted(most, key=lambda source: most[source])
    for number, source in enumerate(waiting):
        given = min(Fraction(most[source]), left / (len(waiting) - number))
        shares[source] = given / total if total else Fraction(0)
        left -= given
    return {source: shares[source] for source in most}
