"""How many tokens a cache keeps: a share of the prompt, or a number of tokens.

A share is the paper's setting (20 to 90 % of the prompt). The number that follows from it stays the same for the whole
generation, so the cache does not grow while tokens are generated.
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import is_number, is_whole


@dataclass(frozen=True, slots=True)
class Budget:
    """Give exactly one of ``share`` (of the prompt's tokens, above 0) and ``tokens`` (at least 1)."""

    share: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        if (self.share is None) == (self.tokens is None):
            raise ConfigError(f"a budget has share={self.share} and tokens={self.tokens}; give exactly one of the two")
        if self.share is not None and not (is_number(self.share) and 0 < self.share <= 1):
            raise ConfigError(f"a budget has share={self.share!r}; give a number above 0 and up to 1")
        if self.tokens is not None and not is_whole(self.tokens):
            raise ConfigError(f"a budget has tokens={self.tokens!r}; give a whole number of 1 or more")

    def for_prompt(self, length: int) -> int:
        """Tokens to keep after a prompt of ``length`` tokens: a share is rounded down, and at least one token stays."""
        if self.tokens is not None:
            return self.tokens
        return max(1, part_of(self.share or 0.0, length))


def part_of(share: float, length: int) -> int:
    """``share`` of ``length``, rounded down; 0.29 of 100 is 29, although 0.29 * 100 is 28.999999999999996."""
    return int(share * length + 1e-9)
