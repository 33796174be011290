"""Names of parts of a source, and ranges of duplicates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.part import PartName, duplicate_range, overlapping, part_of, ranges_of
from slimpajama.config.recipe import Recipe


@pytest.mark.parametrize(
    ("name", "duplicates"),
    [
        ("c4", None),
        ("c4[duplicates>=5]", (5, None)),
        ("c4[duplicates>5]", (6, None)),
        ("c4[duplicates<=5]", (1, 5)),
        ("c4[duplicates<5]", (1, 4)),
        ("c4[duplicates=1]", (1, 1)),
        ("c4[duplicates == 2-5]", (2, 5)),
    ],
)
def test_parts_by_hand(name: str, duplicates: tuple[int, int | None] | None) -> None:
    assert part_of(name) == PartName("c4", duplicates, name.removeprefix("c4"))


@pytest.mark.parametrize("name", ["c4[", "c4[copies>=5]", "c4[duplicates]", "c4[duplicates>=2-5]", "[duplicates>=2]"])
def test_what_is_no_part_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no part of a source; write for example c4\[duplicates>=5\]"):
        part_of(name)


@pytest.mark.parametrize("name", ["c4[duplicates<1]", "c4[duplicates=0]", "c4[duplicates=5-2]"])
def test_a_part_without_documents_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="holds no document, as each stands for one or more; correct the numbers"):
        part_of(name)


def test_parts_that_overlap_are_found() -> None:
    assert overlapping(["c4", "books", "c4"]) is None
    assert overlapping(["c4[duplicates<5]", "c4[duplicates>=5]", "books[duplicates>=5]"]) is None
    assert overlapping(["c4", "c4[duplicates>=5]"]) == ("c4", "c4[duplicates>=5]")
    assert overlapping(["c4[duplicates=2-5]", "c4[duplicates<=2]"]) == ("c4[duplicates=2-5]", "c4[duplicates<=2]")
    with pytest.raises(ValueError, match=r"'c4' and 'c4\[duplicates>5\]' have documents in common; give parts that do"):
        Recipe(name="r", weights={"c4": 50, "c4[duplicates>5]": 50}, tokens=4096)


def test_ranges_by_hand() -> None:
    assert [duplicate_range(text) for text in ("1", "2-5", " 6 - 100 ", "101-")] == [
        (1, 1),
        (2, 5),
        (6, 100),
        (101, None),
    ]
    for text in ("0", "5-2", "a", "-5", "", "1 2"):
        with pytest.raises(ValueError, match="is no range of duplicates; write for example 1, 2-5 or 101-"):
            duplicate_range(text)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5, unique=True))
def test_buckets_cover_every_number_once(cuts: list[int]) -> None:
    starts = sorted({1, *cuts})
    ends = [*(start - 1 for start in starts[1:]), None]
    buckets = {f"{start}-{'' if end is None else end}": start for start, end in zip(starts, ends, strict=True)}
    assert ranges_of(buckets) == tuple(((start, end), start) for start, end in zip(starts, ends, strict=True))


@pytest.mark.parametrize(
    ("buckets", "said"),
    [
        ({1: 1, "2-5": 3}, "no bucket holds 6 duplicates or more; end with one like 6-"),
        ({1: 1, "3-": 3}, "no bucket holds 2 duplicates; add one, with 1 where nothing is repeated"),
        ({"1-3": 1, "3-": 3}, "two buckets hold 3 duplicates; each number belongs into one"),
        ({"1-": 0}, "greater than or equal to 1"),
    ],
)
def test_buckets_that_leave_something_out_are_refused(buckets: dict[object, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Recipe.model_validate({"name": "r", "weights": {"c4": 100}, "tokens": 4096, "repeat": {"buckets": buckets}})
