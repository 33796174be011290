"""How similar two documents are, by the cheapest means that settles it.

Equal hashes of the cleaned texts: J is 1. Else the estimate from the stored bytes of the minima: of k minima a pair of
similarity J agrees in k * (J + (1 - J) / 256) on average, as one byte agrees by chance in one of 256. Where the
estimate lies four standard errors or more from the threshold, that is the answer (one in 30,000 pairs at the threshold
itself would be judged wrongly; further from it, far fewer). Else the two texts are compared. Costs two rows of k bytes
a pair. Rejected: whole minima (four times the disk, for a standard error that is 0.4 % smaller), and comparing all
texts.
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

__all__ = ["ERRORS", "Means", "estimated", "judged", "standard_error"]

ERRORS = 4.0
"""Standard errors from the threshold at which an estimate settles a pair."""

_CHANCE = 1 / 256
_ROWS_AT_ONCE = 1 << 16


class Means(enum.IntEnum):
    """By what the similarity of a pair is known."""

    COPY = 0
    ESTIMATE = 1
    TEXTS = 2
    UNSETTLED = 3


def standard_error(threshold: float, minima: int) -> float:
    """Of the estimate of a pair whose similarity is ``threshold``."""
    agreeing = threshold + (1 - threshold) * _CHANCE
    return float(np.sqrt(agreeing * (1 - agreeing) / minima) / (1 - _CHANCE))


def estimated(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """``float64[n]``: similarities by the minima ``uint8[n, k]`` of the documents of n pairs."""
    agreeing = np.empty(one.shape[0])
    for begin in range(0, one.shape[0], _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        agreeing[rows] = (one[rows] == other[rows]).mean(axis=1)
    found: NDArray[np.float64] = np.clip((agreeing - _CHANCE) / (1 - _CHANCE), 0.0, 1.0)
    return found


def judged(
    equal: NDArray[np.bool_], one: NDArray[np.uint8], other: NDArray[np.uint8], threshold: float | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Similarities ``float64[n]`` of n pairs, and :class:`Means` ``uint8[n]``; what is unsettled has its estimate.

    ``equal`` ``bool[n]``: the cleaned texts are the same. Without a ``threshold`` nothing is settled by an estimate.
    """
    means = np.full(equal.size, Means.UNSETTLED, dtype=np.uint8)
    similarities = np.zeros(equal.size)
    if threshold is not None:
        similarities = estimated(one, other)
        error = standard_error(threshold, one.shape[1])
        means[np.abs(similarities - threshold) >= ERRORS * error] = Means.ESTIMATE
    similarities[equal] = 1.0
    means[equal] = Means.COPY
    return similarities, means
