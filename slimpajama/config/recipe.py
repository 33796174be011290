"""A recipe: the weight of each source, a token budget, and how sequences are cut; one YAML file each.

Weights are percent of *tokens*. Published tables are rounded to a tenth, so a sum within 0.2 of 100 is taken as it is
meant and scaled; anything else is a mistake.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from slimpajama.config.loading import checked, read_yaml
from slimpajama.config.refusals import shown

__all__ = ["Recipe", "Tokens", "load_recipe", "parse_tokens"]

ROUNDING = Fraction(2, 10)
"""How far the weights' sum may be from 100: DC-5 as published sums to 100.1."""

_MULTIPLES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}


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


Tokens = Annotated[int, BeforeValidator(parse_tokens), Field(gt=0)]


class Recipe(BaseModel):
    """What one mixture is made of. ``weights``: percent of tokens by source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="folder of the mixture")
    description: str = Field(default="", description="a sentence for the dataset card")
    weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        min_length=1, description="percent of tokens by source; they sum to 100 within the rounding of a table"
    )
    tokens: Tokens = Field(description="budget of the training split")
    sequence_length: int = Field(default=2048, ge=2, le=1 << 20, description="tokens of a sequence")
    seed: int = Field(default=1, ge=0, lt=1 << 32, description="seed of the order within each file")
    scope: Literal["global", "local"] = Field(default="global", description="documents kept globally, or locally")
    max_epochs: float = Field(default=4.0, gt=0, description="refuse to repeat a source more often than this")
    file_tokens: Tokens = Field(default=1 << 26, description="tokens of an output file, about")

    @model_validator(mode="after")
    def _sums_to_a_hundred(self) -> Recipe:
        total = sum((_exact(weight) for weight in self.weights.values()), Fraction(0))
        if abs(total - 100) > ROUNDING:
            raise ValueError(
                f"the weights sum to {float(total):g} %; they are shares of the tokens and must sum to 100 "
                f"(within {float(ROUNDING)} for rounded tables)"
            )
        if self.tokens < self.sequence_length:
            raise ValueError(
                f"{self.tokens:,} tokens do not fill one sequence of {self.sequence_length:,}; raise tokens"
            )
        return self

    def shares(self) -> dict[str, Fraction]:
        """The exact share of each source with a weight above 0, in the recipe's order; they sum to 1."""
        weights = {source: _exact(weight) for source, weight in self.weights.items() if weight}
        total = sum(weights.values(), Fraction(0))
        return {source: weight / total for source, weight in weights.items()}


def _exact(weight: float) -> Fraction:
    """The decimal number that was written, not its binary neighbour."""
    return Fraction(repr(weight))


def load_recipe(file: Path, **overrides: Any) -> Recipe:
    """The recipe of a YAML file, with those ``overrides`` that are not ``None``. Raises :class:`ConfigError`."""
    values = read_yaml(file, "recipe")
    if isinstance(values, dict):
        values |= {key: value for key, value in overrides.items() if value is not None}
    return checked(Recipe, values, str(file))
