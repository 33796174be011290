"""What a recipe takes of parts by value, and what is said of the values there are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from slimpajama.config.recipe import Recipe
from slimpajama.errors import ConfigError
from slimpajama.mixture.parts import check_seen, selection_of, values_text
from slimpajama.mixture.plan import plan_mixture
from slimpajama.text_table import aligned, markdown_table
from slimpajama.tokens.columns import value_hash
from slimpajama.tokens.selection import Selection, Where
from slimpajama.tokens.summary import ColumnValue, PerScope


def recipe(**settings: Any) -> Recipe:
    common = {"name": "r", "tokens": 1000, "sequence_length": 10, "split_by": {"github": "meta.lang"}}
    return Recipe(**{**common, **settings})


def value(name: str, tokens: int) -> ColumnValue:
    count = PerScope(global_=tokens, local=2 * tokens)
    return ColumnValue(value=name, hash="0" * 16, documents=count, tokens=count)


def test_what_parts_are_by_hand() -> None:
    named = recipe(
        weights={"github/python": 50, "github/java": 0, "github/(rest)[duplicates>=2]": 30, "c4[duplicates=1]": 20}
    )
    assert selection_of(named, "github/python") == Selection("global", where=Where("meta.lang", ("python",)))
    rest = selection_of(named, "github/(rest)[duplicates>=2]")
    assert rest == Selection("global", (2, None), where=Where("meta.lang", ("java", "python"), others=True))
    assert selection_of(named, "c4[duplicates=1]") == Selection("global", (1, 1))


def test_the_rest_is_that_of_all_phases() -> None:
    phases = [
        {"name": "one", "weights": {"github/python": 100}, "tokens": 500},
        {"name": "two", "weights": {"github/(rest)": 100}, "tokens": 500},
    ]
    where = selection_of(recipe(tokens=None, phases=phases), "github/(rest)").where
    assert where == Where("meta.lang", ("python",), others=True)


def test_a_rule_shares_out_among_parts() -> None:
    available = {"github": 1000, "github/python": 600, "github/(rest)": 400, "c4": 5000}
    even = recipe(rule="proportional", sources=["github/python", "github/(rest)"], tokens=500)
    plan = plan_mixture(even, available)
    assert {one.name: one.sequences for one in plan.sources} == {"github/python": 30, "github/(rest)": 20}
    both = recipe(rule="unimax", epochs={"github/python": 1})
    with pytest.raises(
        ConfigError, match=r"such as github/\(rest\) for what no other part has, or name the sources of"
    ):
        plan_mixture(both, available)


def test_a_part_that_gives_nothing_needs_no_split() -> None:
    weights = {"github/python": 0, "c4": 100}
    plan = plan_mixture(recipe(weights=weights, split_by={}), {"c4": 5000})
    assert [one.name for one in plan.sources] == ["c4"]
    with pytest.raises(ConfigError, match="asks for 'github/python', a part of github, and split_by does not say by"):
        plan_mixture(recipe(weights={"github/python": 50, "c4": 50}, split_by={}), {"github": 900, "c4": 5000})


def test_values_in_a_line() -> None:
    few = [value("python", 600), value("(none)", 300), value("a, b", 100)]
    assert values_text(few, "global") == "python (60 %), (none) (30 %), 'a, b' (10 %)"
    many = [value(f"v{number}", number) for number in range(20)]
    assert values_text(many, "local").startswith("v19 (10 %), v18 (9.47 %)")
    assert values_text(many, "local").endswith("v12 (6.32 %) and 12 more")
    assert "\n" not in values_text([value("two\nlines", 1)], "global")


def test_a_table_of_markdown_holds_any_name() -> None:
    assert markdown_table([("source", "n"), ("github/a|b\nc", "1")])[2] == "| github/a\\|b c | 1 |"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "are none: no document has this field; correct split_by"),
        (["(none)"], "are (none): no document has this field; correct split_by"),
        (["(list)", "(none)"], "are (list), (none): name an element of the list, as meta.lang.0, or another column"),
        (["(none)", "(object)"], "name a member of the object, as meta.lang.name, or another column"),
        (["Python", "java"], "are Python, java: write 'Python' if you mean that, or leave it out"),
        (["python]", "(rest)", "p" + "y" * 300], ": name one of these, or leave it out"),
        ([f"v{number}" for number in range(10, 20)], "v16, v17 and 2 more: name one of these, or leave it out"),
    ],
)
def test_a_value_that_no_document_has_is_refused_with_what_there_is(values: list[str], said: str) -> None:
    named = recipe(weights={"github/python": 50, "github/(rest)": 50})
    seen = {("github", "meta.lang"): {value_hash(one): one for one in values}}
    with pytest.raises(ConfigError, match=re.escape(said) + "$"):
        check_seen(named, seen)
    check_seen(named, {("github", "meta.lang"): {value_hash("python"): "python"}})


def test_a_printed_table_has_a_line_for_each_row_whatever_a_name_holds() -> None:
    lines = aligned([("source", "n"), ("github/a\nb\x1b[1m", "1"), ("c4", "20")]).split("\n")
    assert [line.split() for line in lines[2:]] == [["github/a\\x0ab\\x1b[1m", "1"], ["c4", "20"]]
    assert len({len(line) for line in lines}) == 1
