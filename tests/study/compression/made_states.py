"""The matrices of the test vectors, made by the formulas that come with them, and what each measure of them is.

The figures were computed apart from this package, in float64, and equal what the released code of arXiv 2410.10672
gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    name: str
    states: NDArray[np.float64]
    mnn: float
    nuclear_norm: float
    entropy_nats: float
    matrix_entropy: float


def sines(tokens: int, width: int) -> NDArray[np.float64]:
    i, j = np.meshgrid(np.arange(tokens), np.arange(width), indexing="ij")
    return np.asarray(np.sin(1.0 + 0.7 * i + 1.3 * j + 0.11 * i * j))


CASES = (
    Case(
        "tall_3x2",
        np.array([[1.0, 2.0], [3.0, 5.0], [-4.0, 1.0]]),
        mnn=0.7948889377192531,
        nuclear_norm=2.361781858373453,
        entropy_nats=0.5559812765068112,
        matrix_entropy=0.8021114304434921,
    ),
    Case(
        "square_4x4",
        sines(4, 4),
        mnn=0.9632338394316243,
        nuclear_norm=2.7394797132325195,
        entropy_nats=0.49101916939574936,
        matrix_entropy=0.35419546033433275,
    ),
    Case(
        "wide_4x6",
        sines(4, 6),
        mnn=0.9206730668531622,
        nuclear_norm=2.85228663394738,
        entropy_nats=0.5776200987424862,
        matrix_entropy=0.32237591521776227,
    ),
    Case(
        "tall_8x4",
        sines(8, 4),
        mnn=0.706564964402057,
        nuclear_norm=4.770077592275521,
        entropy_nats=0.9079511736296967,
        matrix_entropy=0.6549483277824388,
    ),
    Case(
        "rng_16x8",
        np.random.default_rng(0).standard_normal((16, 8)),
        mnn=0.7019911342980756,
        nuclear_norm=10.316909721618881,
        entropy_nats=1.759933510728838,
        matrix_entropy=0.8463491160742661,
    ),
    Case(
        "rng_8x16",
        np.random.default_rng(1).standard_normal((8, 16)),
        mnn=0.7901976793099384,
        nuclear_norm=7.1610864319900465,
        entropy_nats=1.784037135075672,
        matrix_entropy=0.6434553818838565,
    ),
    Case(
        "rank1_6x4",
        np.outer(np.arange(1.0, 7.0), [1.0, -1.0, 2.0, 0.5]),
        mnn=0.7348469228349535,
        nuclear_norm=2.449489742783178,
        entropy_nats=4.210748639932315e-16,
        matrix_entropy=3.037413090630149e-16,
    ),
)
