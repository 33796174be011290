"""The lines of the table of methods, and the judgement of a method by its own shingles."""

from __future__ import annotations

import datasketch
import numpy as np

from benchmarks.exact_jaccard import join, shingle_sets
from benchmarks.outcomes import Outcome, judged, of_kept
from benchmarks.quality import HEADING, Method, by_datasketch, by_own_shingles, cells
from benchmarks.truth import LEAST_PERCENT, Truth
from slimpajama.config.shingle import ShingleConfig

ONE = " ".join(f"word{number}" for number in range(100))
COPY = ONE.replace("word50", "mord50")  # in 13 of about 670 runs of 13 characters, in 5 of 96 runs of 5 words
SPOILT = ONE.replace("0 ", "1 ")  # in 9 words of 100, and so in nearly half of the runs of 5
OTHER = " ".join(f"other{number}" for number in range(100))
TEXTS = [ONE, COPY, SPOILT, OTHER]


def truth() -> Truth:
    sets = shingle_sets(TEXTS)
    return Truth([*"abcd"], np.array([len(text) for text in TEXTS]), sets, join(sets, LEAST_PERCENT))


def outcome() -> Outcome:
    return of_kept(["a", "d"], truth(), {"b": "a", "c": "a"})


def test_a_method_is_judged_by_its_own_shingles_too() -> None:
    assert truth().sets.jaccard(np.array([0, 0]), np.array([1, 2])).round(2).tolist() == [0.96, 0.7]
    # By words b has 91 of 101 runs in common with a, c fewer than 60.
    assert by_own_shingles(outcome(), TEXTS, ShingleConfig(unit="word", length=5)) == 1
    assert by_own_shingles(outcome(), TEXTS, ShingleConfig(unit="character", length=3)) == 0


def test_a_line_of_the_table() -> None:
    line = dict(zip(HEADING, cells(Method("`fineweb`", judged(outcome(), truth()), 5131, 1)), strict=True))
    assert line["method"] == "`fineweb`"
    assert (line["removed"], line["J < 0.8 with the survivor"], line["J < 0.5"]) == ("2", "1", "0")
    assert line["left with a twin ≥ 0.8"] == "0"
    assert (line["checks"], line["J < 0.8 by its own shingles"]) == ("5,131", "1")


def test_the_ways_to_use_the_index_of_datasketch() -> None:
    assert datasketch.MinHashLSH(num_perm=128, params=(9, 13)).b == 9
    found = dict(by_datasketch(truth(), TEXTS, [0, 3, 2, 1]))
    assert [*found] == [
        "datasketch 9 × 13, components",
        "datasketch 9 × 13, `query` first",
        "datasketch 14 × 8, components",
        "datasketch 14 × 8, `query` first",
    ]
    reversed_order = dict(by_datasketch(truth(), TEXTS, [1, 3, 2, 0]))
    assert all(one.survivors[0] == 1 for one in reversed_order.values())
    for one in found.values():
        assert one.kept[0]
        assert one.kept[3]
        assert one.survivors[1] == 0
