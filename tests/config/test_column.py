"""Names of metadata columns, and the parts of a source that are named by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.column import MOST_COLUMNS, column, columns_of
from slimpajama.config.part import overlapping, part_of
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError
from slimpajama.mixture.plan import with_found_names
from slimpajama.pipeline.columns import with_columns_of


def test_columns_by_hand() -> None:
    assert str(column("meta.language")) == "meta.language"
    assert str(column("license")) == "meta.license"
    assert str(column("github:language.0.name")) == "github:meta.language.0.name"
    assert str(column("github:meta.dc:title")) == "github:meta.dc:title"
    assert columns_of(["github:meta.b", "meta.a", "c4:meta.c", "github:meta.a"], "github") == ("meta.b", "meta.a")


@pytest.mark.parametrize("name", ["", "meta..x", ".x", "a" * 101, "github:", "meta", "text", ":meta.x", "../x:meta.y"])
def test_what_is_no_column_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no column;|names no source before its colon"):
        TokenConfig(columns=(name,))


def test_too_many_columns_are_refused() -> None:
    many = tuple(f"meta.c{number}" for number in range(MOST_COLUMNS))
    assert TokenConfig(columns=(*many, "meta.c0")).columns == many
    with pytest.raises(ValueError, match="a source has 8 columns at most; leave some of github out"):
        TokenConfig(columns=(*many, "github:meta.x"))


def test_without_columns_nothing_more_is_written_down() -> None:
    weights = {"web": 100.0}
    assert "columns" not in TokenConfig().model_dump(mode="json")
    assert TokenConfig(columns=("lang",)).model_dump(mode="json")["columns"] == ["meta.lang"]
    assert "split_by" not in Recipe(name="r", weights=weights, tokens=4096).model_dump(mode="json")


@pytest.mark.parametrize(
    ("name", "source", "value", "duplicates"),
    [
        ("github/python", "github", "python", None),
        ("github/text/x-c++", "github", "text/x-c++", None),
        ("github/C [old] style", "github", "C [old] style", None),
        ("github/../../etc", "github", "../../etc", None),
        ("github/(none)", "github", "(none)", None),
        ("github/two\nlines", "github", "two\nlines", None),
        ("github/python[duplicates>=5]", "github", "python", (5, None)),
        ("github/(rest) [duplicates = 2-3]", "github", "(rest)", (2, 3)),
    ],
)
def test_parts_by_value_by_hand(name: str, source: str, value: str, duplicates: object) -> None:
    part = part_of(name)
    assert (part.source, part.value, part.duplicates) == (source, value, duplicates)
    assert part.source + part.written == name
    assert not part.is_whole


@given(st.text(min_size=1).filter(lambda value: not value.endswith("]")))
def test_any_value_can_be_named_that_ends_in_no_bracket(value: str) -> None:
    assert part_of(f"github/{value}").value == value


@pytest.mark.parametrize("name", ["github/", "github/[duplicates>1]", "github/a[copies>1]", "c4[duplicates>1]/python"])
def test_what_is_no_part_by_value_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no part of a source[;:]|names no value behind its slash;"):
        part_of(name)


def test_a_value_that_ends_in_a_bracket_is_refused_with_the_reason() -> None:
    said = r"what ends in \] must end.* so a value that ends in \] itself cannot be named; .* github/\(rest\)"
    with pytest.raises(ValueError, match=said):
        part_of("github/array[]")


def test_parts_by_value_that_overlap_are_found() -> None:
    assert overlapping(["github/python", "github/java", "github/(rest)", "c4/python"]) is None
    assert overlapping(["github/python[duplicates<5]", "github/python[duplicates>=5]", "github/java"]) is None
    assert overlapping(["github/python[duplicates<5]", "github[duplicates>=5]"]) is None
    assert overlapping(["github/python", "github"]) == ("github/python", "github")
    assert overlapping(["github/python", "github/python[duplicates>1]"]) is not None
    assert overlapping(["github/python", "github[duplicates>1]"]) is not None
    with pytest.raises(ValueError, match=r"give parts that do not overlap, such as github/\(rest\) for what no other"):
        Recipe(name="r", weights={"github": 50, "github/java": 50}, split_by={"github": "lang"}, tokens=4096)


def recipe(weights: dict[str, float], **settings: Any) -> Recipe:
    return Recipe(**{"name": "r", "weights": weights, "tokens": 4096, **settings})


def test_a_part_takes_the_name_of_its_source() -> None:
    found = with_found_names(
        recipe({"RedPajamaGithub/python": 60, "c4": 40}, split_by={"GitHub": "language"}), ("c4", "github")
    )
    assert found.weights == {"github/python": 60, "c4": 40}
    assert found.split_by == {"github": "meta.language"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "asks for 'github/python', a part of github, and split_by does not say by which column; add for example"),
        (
            {"split_by": {"github": "lang", "c4": "lang"}},
            "r splits 'c4' by meta.lang, and names no part of it; name some, such as c4/VALUE, or leave it out of",
        ),
    ],
)
def test_parts_and_splits_belong_together(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        with_found_names(recipe({"github/python": 60, "c4": 40}, **settings), ("c4", "github"))


def test_a_store_gets_the_columns_that_recipes_need(tmp_path: Path) -> None:
    split = recipe({"github/python": 60, "c4": 40}, split_by={"github": "lang"})
    needed = with_columns_of(
        TokenConfig(columns=("Common-Crawl:meta.b",)), [split], ("c4", "common_crawl", "github"), tmp_path
    )
    assert needed.columns == ("common_crawl:meta.b", "github:meta.lang")
    assert with_columns_of(TokenConfig(columns=("b", "a")), [], ("c4", "web"), tmp_path).columns == (
        "c4:meta.a",
        "c4:meta.b",
        "web:meta.a",
        "web:meta.b",
    )
    with pytest.raises(ConfigError, match=r"there is no source 'githib'; there are c4, github: write github:meta.b if"):
        with_columns_of(TokenConfig(columns=("githib:b",)), [], ("c4", "github"), tmp_path)
