"""Ranks sort as what they stand for does; what is no number and no date comes last."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.ranks import UNRANKED, preferred_fields, rank_keys, ranks_of, sortable

NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53).map(float)


def ranked(key: str, *values: object) -> list[int]:
    """Which of ``values`` come first, by their places, those of equal rank in their order."""
    keys = rank_keys([key])
    rows = [(value,) * len(preferred_fields(keys)) for value in values]
    ranks = ranks_of(keys, np.zeros(len(values), dtype=np.int64), rows)
    return list(map(int, np.argsort(ranks[:, 0], kind="stable")))


def unranked(*values: object) -> list[bool]:
    keys = rank_keys(["meta.x"])
    ranks = ranks_of(keys, np.zeros(len(values), dtype=np.int64), [(value,) for value in values])
    return [rank == UNRANKED for rank in ranks[:, 0].tolist()]


@given(st.lists(NUMBERS, min_size=1), st.booleans())
def test_numbers_sort_as_numbers(numbers: list[float], larger_first: bool) -> None:
    ranks = sortable(np.array(numbers), larger_first)
    ordered = sorted(numbers, reverse=larger_first)
    assert [numbers[place] for place in np.argsort(ranks, kind="stable")] == ordered
    assert len(set(ranks.tolist())) == len(set(numbers)), "equal numbers have equal ranks, 0 and -0 too"
    assert not (ranks == UNRANKED).any()


def test_the_larger_comes_first_or_with_a_minus_the_smaller_and_what_is_missing_last() -> None:
    values = (None, 2, -1.5, 10**400, math.nan, 7, "9", True, [1], {"a": 1}, "")
    assert ranked("meta.score", *values)[:3] == [5, 1, 2]
    assert ranked("-meta.score", *values)[:3] == [2, 1, 5]
    assert unranked(*values) == [True, False, False, True, True, False, True, True, True, True, True]


def test_dates_and_seconds_since_1970_are_on_one_scale() -> None:
    values = ("2023-05-01", 0, "2023-05-01T12:00:00Z", "1969-12-31", "2023-05-01 13:00:00+02:00", 1_900_000_000)
    assert ranked("newest", *values) == [5, 2, 4, 0, 1, 3]
    assert ranked("oldest", *values) == [3, 1, 0, 4, 2, 5]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-05-01", datetime(2023, 5, 1)),
        ("2023-05", datetime(2023, 5, 1)),
        ("2020-02-29T23:59:59Z", datetime(2020, 2, 29, 23, 59, 59)),
        ("2020-02-29t23:59:59.25z", datetime(2020, 2, 29, 23, 59, 59, 250_000)),
        ("2023-05-01 01:30", datetime(2023, 5, 1, 1, 30)),
        ("2023-05-01T01:30:00+02:30", datetime(2023, 4, 30, 23, 0)),
        ("2023-05-01T01:30:00-0530", datetime(2023, 5, 1, 7, 0)),
        (" 0001-01-01 ", datetime(1, 1, 1)),
        ("9999-12-31T23:59:59-12:00", datetime(9999, 12, 31, 23, 59, 59)),
    ],
)
def test_these_are_dates(text: str, moment: datetime) -> None:
    seconds = moment.replace(tzinfo=timezone.utc).timestamp() + (43_200 if text.endswith("-12:00") else 0)
    keys = rank_keys(["meta.x"])
    both = ranks_of(keys, np.zeros(2, dtype=np.int64), [(text,), (seconds,)])
    assert both[0, 0] == both[1, 0] != UNRANKED


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2023",
        "2023-13-01",
        "2023-02-30",
        "2023-05-01T25:00",
        "01.05.2023",
        "20230501",
        "２０２３-05-01",
        "2" * 50,
    ],
)
def test_these_are_not(text: str) -> None:
    assert unranked(text) == [True]


def test_newest_takes_the_first_field_that_holds_a_date() -> None:
    keys = rank_keys(["source", "newest", "longest", "meta.date", "-meta.score"])
    assert preferred_fields(keys) == (("meta", "timestamp"), ("meta", "date"), ("meta", "score"))
    values = [("soon", "2020-01-01", 1), ("2021-01-01", "1999-01-01", None), (None, None, 2)]
    ranks = ranks_of(keys, np.array([300, 500, 200]), values)
    assert [np.argsort(column).tolist() for column in ranks.T] == [[1, 0, 2], [1, 0, 2], [0, 1, 2], [0, 2, 1]]
    assert (ranks == UNRANKED).tolist() == [
        [False, False, False, False],
        [False, False, False, True],
        [True, False, True, False],
    ]


def test_a_format_that_gives_no_values_ranks_nobody() -> None:
    assert (ranks_of(rank_keys(["meta.x"]), np.zeros(2, dtype=np.int64), []) == UNRANKED).all()
