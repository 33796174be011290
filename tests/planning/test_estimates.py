"""What a sample says of the whole: exact where all was sampled, a range that holds it elsewhere."""

from __future__ import annotations

import random

import pytest

from slimpajama.planning.estimates import Counted, Range, extrapolated


def test_what_was_sampled_whole_is_known() -> None:
    samples = [Counted(0, 100, 100, {"a": (7, 70)}), Counted(1, 50, 50, {"b": (1, 10)})]
    assert extrapolated(samples, {0: 100, 1: 50}, ["a", "b"], 1) == {
        "a": (Range(7, 7, 7), Range(70, 70, 70)),
        "b": (Range(1, 1, 1), Range(10, 10, 10)),
        "total": (Range(8, 8, 8), Range(80, 80, 80)),
    }


def test_one_file_says_nothing_of_how_files_differ() -> None:
    found = extrapolated([Counted(0, 100, 10, {"a": (3, 30)})], {0: 200}, ["a"], 1)
    assert found["a"] == (Range(60, 30, 120), Range(600, 300, 1200))


def test_a_source_of_which_nothing_was_found_is_empty() -> None:
    found = extrapolated([Counted(-1, 10, 10, {"a": (1, 1)})], {-1: 10}, ["a", "b"], 1)
    assert found["b"] == (Range(0, 0, 0), Range(0, 0, 0))


def test_files_of_several_sources_count_for_each() -> None:
    samples = [Counted(-1, 10, 5, {"a": (1, 10), "b": (2, 20)}), Counted(-1, 10, 5, {"a": (3, 30)})]
    found = extrapolated(samples, {-1: 20}, ["a", "b"], 1)
    assert (found["a"][0].estimate, found["b"][0].estimate, found["total"][1].estimate) == (8, 4, 120)


@pytest.mark.parametrize("files", [4, 12])
def test_nineteen_ranges_of_twenty_hold_the_truth(files: int) -> None:
    held = 0
    for seed in range(100):
        rng = random.Random(seed)
        density = [rng.gauss(10, 3) for _ in range(100)]
        truth = round(sum(1000 * one for one in density))
        drawn = rng.sample(density, files)
        samples = [Counted(0, 1000, 1000, {"a": (round(1000 * one), 0)}) for one in drawn]
        found = extrapolated(samples, {0: 100_000}, ["a"], seed)["a"][0]
        held += found.low <= truth <= found.high
    assert held >= {4: 80, 12: 88}[files]  # four files are few even so
    assert held < 100


def test_a_range_can_be_scaled() -> None:
    assert Range(10, 5, 21).times(1.5) == Range(15, 8, 32)
