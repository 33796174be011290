"""What is counted of compared removals."""

from __future__ import annotations

import numpy as np

from slimpajama.dedup.removal_sample import RemovalSample, SampledSource


def test_similarities_are_counted_by_source_and_by_tenth() -> None:
    found = RemovalSample.of(
        3, 0.8, {"c4": np.array([1.0, 0.95, 0.8, 0.3]), "arxiv": np.array([0.79, 1.0]), "books": np.empty(0)}
    )
    assert (found.seed, found.threshold, found.looked_at, found.below_threshold, found.lowest) == (3, 0.8, 6, 2, 0.3)
    assert {name: count for name, count in found.histogram.items() if count} == {
        "0.3": 1,
        "0.7": 1,
        "0.8": 1,
        "0.9": 1,
        "1.0": 2,
    }
    assert found.sources == {
        "c4": SampledSource(4, 1, 0.3),
        "arxiv": SampledSource(2, 1, 0.79),
        "books": SampledSource(0, 0, None),
    }


def test_a_tenth_is_in_its_own_bin() -> None:
    found = RemovalSample.of(1, 0.8, {"c4": np.array([tenth / 10 for tenth in range(11)])})
    assert list(found.histogram.values()) == [1] * 11


def test_nothing_was_removed() -> None:
    found = RemovalSample.of(1, 0.8, {})
    assert (found.looked_at, found.below_threshold, found.lowest) == (0, 0, None)
