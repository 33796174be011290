from __future__ import annotations

import numpy as np
import pytest

from slimpajama.dedup.checking.similarity import Means, estimated, judged, standard_error


def test_the_standard_error_of_112_minima_at_080() -> None:
    assert standard_error(0.8, 112) == pytest.approx(0.0379, abs=2e-4)


def test_agreement_by_chance_is_taken_off() -> None:
    one = np.arange(256, dtype=np.uint8).reshape(1, -1)
    assert estimated(one, one).tolist() == [1.0]
    other = one.copy()
    other[0, 1:] += 1  # one in 256 agrees, as chance would have it
    assert estimated(one, other).tolist() == [0.0]


def test_the_estimate_is_right_on_average() -> None:
    generator = np.random.default_rng(5)
    one = generator.integers(0, 256, (2000, 112), dtype=np.uint8)
    other = np.where(generator.random(one.shape) < 0.7, one, generator.integers(0, 256, one.shape, dtype=np.uint8))
    assert estimated(one, other).mean() == pytest.approx(0.7, abs=0.005)


def test_only_what_is_four_errors_from_the_threshold_is_settled() -> None:
    one = np.zeros((4, 100), dtype=np.uint8)
    other = one.copy()
    other[0, :70] = 1  # 0.30
    other[1, :3] = 1  # 0.97
    other[2, :25] = 1  # 0.75
    other[3, :25] = 1
    equal = np.array([False, False, False, True])
    similarities, means = judged(equal, one, other, 0.8)
    assert means.tolist() == [Means.ESTIMATE, Means.ESTIMATE, Means.UNSETTLED, Means.COPY]
    assert similarities[3] == 1.0
    _, without = judged(equal, one[:, :0], other[:, :0], None)
    assert without.tolist() == [Means.UNSETTLED] * 3 + [Means.COPY]
