"""RRGS, the "risk of random guessing score" of SlimPajama-DC: how near to chance a model's scores are."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.errors import ConfigError

__all__ = ["rrgs"]


def rrgs(scores: Sequence[float], chance: float = 0.25) -> float:
    """1 - mean |s - chance| over the scores of a benchmark's parts, as fractions; lower is further from chance.

    As published, a score below chance counts as much as one above it. Raises :class:`~slimpajama.ConfigError` for no
    scores, and for one outside 0 to 1.
    """
    if not scores:
        raise ConfigError("RRGS needs the score of at least one part of a benchmark")
    wrong = next((score for score in scores if not 0 <= score <= 1), None)
    if wrong is not None:
        raise ConfigError(f"RRGS takes scores as fractions from 0 to 1, not {wrong}; divide percentages by 100")
    return 1 - sum(abs(score - chance) for score in scores) / len(scores)
