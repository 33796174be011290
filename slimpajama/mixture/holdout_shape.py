"""The shape of the sequences that a recipe is measured on: their length, the extra token, and how they are packed.

A mixture is measured on sequences like those it is trained on, so recipes of one shape share the files of the holdout,
and those of different shapes have files beside each other. Rejected: one holdout for all packings of a length, on which
a model that has only seen whole documents is measured on parts of documents.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.config.recipe import Recipe
from slimpajama.mixture.packing import Packing

__all__ = ["HoldoutShape"]


@dataclass(frozen=True, slots=True, order=True)
class HoldoutShape:
    """Sequences of ``sequence_length`` tokens, and one more with ``extra_token``."""

    sequence_length: int
    extra_token: bool = False
    packing: Packing = "concat"

    @classmethod
    def of(cls, recipe: Recipe) -> HoldoutShape:
        """The one of a recipe."""
        return cls(recipe.sequence_length, recipe.extra_token, recipe.packing)

    @property
    def tokens(self) -> int:
        """Of a sequence, with the extra one."""
        return self.sequence_length + self.extra_token

    @property
    def name(self) -> str:
        """In the names of files; no name begins with another one and a hyphen."""
        packing = "" if self.packing == "concat" else f"{self.packing}-"
        return f"{packing}{'extra-' if self.extra_token else ''}{self.sequence_length}"

    @property
    def in_words(self) -> str:
        """For people."""
        extra = " and one more" if self.extra_token else ""
        return f"{self.sequence_length:,}{extra}{'' if self.packing == 'concat' else f', {self.packing}'}"
