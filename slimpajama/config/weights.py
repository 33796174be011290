"""Numbers of a recipe as people write them: budgets like 2M, weights in percent, fractions, ratios or tokens, rules.

Everything becomes exact fractions, so that a plan conserves tokens: a weight is the decimal number that was written and
not its binary neighbour. Rejected: guessing from the size of the numbers that weights are a ratio; a table with a slip
in it would pass.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Context
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from slimpajama.config.refusals import shown

__all__ = [
    "MOST_TOKENS",
    "MaxEpochs",
    "Rule",
    "Tokens",
    "Weight",
    "WeightsAre",
    "budget_of",
    "exact",
    "parse_tokens",
    "power",
    "shares_of",
]

ROUNDING = Fraction(2, 10)
"""How far the sum of percentages may be from 100: DC-5 as published sums to 100.1."""

WeightsAre = Literal["shares", "ratio", "tokens"]

_MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}

_DIGITS = Context(prec=40)
"""Enough digits that a power does not depend on the machine that takes it."""


def parse_tokens(value: object) -> object:
    """``"2M"``, ``"330B"``, ``"1.5e9"`` or a number as a number of tokens; anything else is pydantic's to refuse."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d(?:[\d_]{0,24}\d)?(?:\.\d{1,24})?(?:e\+?\d{1,2})?)\s*([kmbgt]?)\s*", value.lower())
        if not match:
            raise ValueError(f"{shown(value)} is not a number of tokens; write for example 2M, 330B or 1.5e9")
        count = Fraction(match[1].replace("_", "")) * _MULTIPLES[match[2]]
        if count.denominator != 1:
            raise ValueError(f"{shown(value)} is not a whole number of tokens")
        return int(count)
    return int(value) if isinstance(value, float) and value.is_integer() else value


MOST_TOKENS = 10**15
"""A budget; some seventy times what the largest public corpora hold."""

Tokens = Annotated[int, BeforeValidator(parse_tokens), Field(gt=0, le=MOST_TOKENS)]


def _weight(value: object) -> object:
    """Token counts such as ``2M`` are weights, too."""
    if isinstance(value, str) and value.strip()[-1:].lower() in tuple("kmbgt"):
        try:
            return parse_tokens(value)
        except ValueError:
            return value
    return value


Weight = Annotated[float, BeforeValidator(_weight), Field(ge=0, allow_inf_nan=False)]


def _rule(value: object) -> object:
    if value is None or value in ("proportional", "unimax"):
        return value
    if not isinstance(value, Mapping) or set(value) != {"temperature"}:
        raise ValueError("a rule is proportional, unimax or {temperature: 0.7}" + f" (given: {shown(value)})")
    number = value["temperature"]
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ValueError(
            "temperature is the power of the tokens that shares are as, from 0 (all alike) to 1 (proportional); "
            f"a temperature T that divides, such as 5, is written as 1/T, here 0.2 (given: {shown(number)})"
        )
    return {"temperature": float(number)}


Rule = Annotated[Literal["proportional", "unimax"] | dict[str, float] | None, BeforeValidator(_rule)]
"""How shares come of the tokens that there are."""


def _max_epochs(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {str(source): _epochs(number, f"{source}: ") for source, number in value.items()}
    return _epochs(value, "")


def _epochs(value: object, place: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{place}must be a number (given: {shown(value)})") from None
    if not 0 < number < math.inf:
        raise ValueError(f"{place}must be {'above 0' if number <= 0 else 'a finite number'} (given: {shown(value)})")
    return number


MaxEpochs = Annotated[float | dict[str, float] | None, BeforeValidator(_max_epochs)]
"""One limit for all sources, or a mapping of sources to limits, with ``default`` for the others."""


def exact(number: float) -> Fraction:
    """The decimal number that was written, not its binary neighbour."""
    return Fraction(repr(number))


def shares_of(weights: Mapping[str, float], weights_are: WeightsAre) -> dict[str, Fraction]:
    """The exact share of each name with a weight above 0, in the order given; they sum to 1.

    Raises :class:`ValueError` for weights that cannot be meant.
    """
    numbers = {name: exact(weight) for name, weight in weights.items() if weight}
    total = sum(numbers.values(), Fraction(0))
    if weights_are != "shares" and not total:
        raise ValueError("all weights are 0; give one source a weight above 0")
    if weights_are == "shares" and abs(total - 100) > ROUNDING and abs(total - 1) > ROUNDING / 100:
        raise ValueError(
            f"the weights sum to {float(total):g}; as percent they must sum to 100 (within {float(ROUNDING)} for "
            f"rounded tables), as fractions to 1 (within {float(ROUNDING / 100)}); for other numbers set weights_are "
            "to ratio or tokens"
        )
    return {name: number / total for name, number in numbers.items()}


def budget_of(weights: Mapping[str, float]) -> int:
    """The tokens that weights in tokens come to. Raises :class:`ValueError` where that is no whole number."""
    total = sum((exact(weight) for weight in weights.values()), Fraction(0))
    if total.denominator != 1:
        raise ValueError(f"the weights are tokens and sum to {float(total):,}, which is no whole number; round them")
    return int(total)


def power(tokens: int, exponent: float) -> Fraction:
    """``tokens ** exponent``, the same on every machine."""
    base, by = _DIGITS.create_decimal(tokens), _DIGITS.create_decimal(repr(exponent))
    return Fraction(_DIGITS.power(base, by)) if tokens else Fraction(0)
