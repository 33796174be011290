"""From a sample to the whole: documents and text, each with the range it lies in; nothing but arithmetic.

Documents and text per byte of file are ratio estimates within each stratum (a source, or all files where each holds
several), added up. Their 95 % range comes from drawing the sampled files again and again with replacement (a
bootstrap), widened by the square root of n/(n - 1) for few files. A stratum that was sampled whole is known exactly.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Counted", "Range", "extrapolated"]

DRAWS = 400
_OUTSIDE = DRAWS // 40
"""Draws left out at either end: a twentieth in all."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What ``taken`` of the ``size`` bytes of a file hold: by source, (documents, bytes of text)."""

    stratum: int
    size: int
    taken: int
    held: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate, and between what it lies, 19 times in 20."""

    estimate: int
    low: int
    high: int

    def times(self, factor: float) -> Range:
        """Of something that is in proportion."""
        return Range(*(round(factor * value) for value in (self.estimate, self.low, self.high)))


def extrapolated(
    samples: Sequence[Counted], sizes: Mapping[int, int], sources: Sequence[str], seed: int
) -> dict[str, tuple[Range, Range]]:
    """For each source, and ``total``, its documents and bytes of text. ``sizes``: bytes of files of each stratum."""
    strata = {stratum: [one for one in samples if one.stratum == stratum] for stratum in sizes}
    partly = {stratum for stratum, own in strata.items() if sum(one.taken for one in own) < sizes[stratum]}
    rng = random.Random(seed)  # noqa: S311 - nothing secret
    middle = _sums(strata, sizes, sources)
    draws = [
        _sums(
            {name: rng.choices(own, k=len(own)) if name in partly else own for name, own in strata.items()},
            sizes,
            sources,
        )
        for _ in range(DRAWS)
    ]
    fewest = min((len(strata[stratum]) for stratum in partly), default=0)
    found = {}
    for name in (*sources, "total"):
        ranges = []
        for unit in (0, 1):
            ordered = sorted(draw[name][unit] for draw in draws)
            low, high = ordered[_OUTSIDE], ordered[-1 - _OUTSIDE]
            ranges.append(_widened(middle[name][unit], low, high, fewest))
        found[name] = (ranges[0], ranges[1])
    return found


def _widened(middle: float, low: float, high: float, fewest: int) -> Range:
    if fewest == 1:  # one file says nothing of how files differ
        low, high = min(low, middle / 2), max(high, middle * 2)
    factor = math.sqrt(fewest / (fewest - 1)) if fewest > 1 else 1.0
    low, high = middle - factor * (middle - low), middle + factor * (high - middle)
    return Range(round(middle), max(0, math.floor(low)), math.ceil(high))


def _sums(
    strata: Mapping[int, Sequence[Counted]], sizes: Mapping[int, int], sources: Sequence[str]
) -> dict[str, list[float]]:
    totals = {name: [0.0, 0.0] for name in (*sources, "total")}
    for stratum, own in strata.items():
        factor = sizes[stratum] / max(1, sum(one.taken for one in own))
        for one in own:
            for name, held in one.held.items():
                for unit in (0, 1):
                    totals[name][unit] += factor * held[unit]
                    totals["total"][unit] += factor * held[unit]
    return totals
