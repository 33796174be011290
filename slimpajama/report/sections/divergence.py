"""How far the sources' token distributions are from one another: Kullback-Leibler and Jensen-Shannon, in nats.

Counts of a subset are renormalised to a distribution P of each source. The paper does not say how zeros are smoothed,
so KL compares P' = 0.99 P + 0.01 M, where M is the mean of all sources' P: it stays finite (below ln(100 n) of n
sources), and rare tokens do not decide it. Jensen-Shannon needs no smoothing and is of P itself. The floor is the KL
divergence between two halves of one source, the mean of both directions: what chance alone makes of half its
tokens, so more than it makes of all of them.
Costs one matrix product and a pass over the vocabulary for each pair of sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMOOTHING", "Divergence", "divergence"]

SMOOTHING = 0.01

Matrix = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Divergence:
    """``kl[i][j]``: of source i from source j, ``js`` of both; ``floor`` of each source; ``None`` where one has no
    tokens."""

    kl: Matrix
    js: Matrix
    floor: tuple[float | None, ...]


def divergence(halves: NDArray[np.int64]) -> Divergence:
    """The divergences of n sources by their counts, ``int64[n, 2, tokens]``."""
    counts = halves.sum(axis=1)
    there = np.flatnonzero(counts.sum(axis=1))
    used = np.flatnonzero(counts.sum(axis=0))  # a token that no source has adds nothing
    if not there.size:
        nothing = (None,) * len(counts)
        return Divergence((nothing,) * len(counts), (nothing,) * len(counts), nothing)
    plain = _distributions(counts[np.ix_(there, used)])
    mean = plain.mean(axis=0)
    smooth = (1 - SMOOTHING) * plain + SMOOTHING * mean
    logs = np.log(smooth)
    own = (smooth * logs).sum(axis=1)
    kl = np.maximum(own[:, None] - smooth @ logs.T, 0)
    np.fill_diagonal(kl, 0)
    js = np.array([[_jensen_shannon(one, other) for other in plain] for one in plain])
    floor = [_floor(halves[source][:, used], mean) for source in there.tolist()]
    return Divergence(
        _spread(kl, there, len(counts)), _spread(js, there, len(counts)), _spread_row(floor, there, len(counts))
    )


def _distributions(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = counts / counts.sum(axis=-1, keepdims=True)
    return shares


def _jensen_shannon(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    middle = (one + other) / 2
    return max(0.0, (_relative(one, middle) + _relative(other, middle)) / 2)


def _relative(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """KL where ``other`` is above 0 wherever ``one`` is."""
    some = one > 0
    return float((one[some] * np.log(one[some] / other[some])).sum())


def _floor(halves: NDArray[np.int64], mean: NDArray[np.float64]) -> float | None:
    if not halves.sum(axis=1).all():
        return None
    one, other = (1 - SMOOTHING) * _distributions(halves) + SMOOTHING * mean
    return (_relative(one, other) + _relative(other, one)) / 2


def _spread(matrix: NDArray[np.float64], places: NDArray[np.int64], size: int) -> Matrix:
    """A matrix of some sources as one of all."""
    whole: list[list[float | None]] = [[None] * size for _ in range(size)]
    for row, i in zip(matrix.tolist(), places.tolist(), strict=True):
        for value, j in zip(row, places.tolist(), strict=True):
            whole[i][j] = value
    return tuple(map(tuple, whole))


def _spread_row(values: list[float | None], places: NDArray[np.int64], size: int) -> tuple[float | None, ...]:
    whole: list[float | None] = [None] * size
    for value, place in zip(values, places.tolist(), strict=True):
        whole[place] = value
    return tuple(whole)
