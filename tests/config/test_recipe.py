"""Recipes: the published table as it stands, and one clear sentence for each mistake."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.recipe import Recipe, load_recipe, parse_tokens
from slimpajama.config.source_names import source_named
from slimpajama.errors import ConfigError
from tests.conftest import REPOSITORY

RECIPES = REPOSITORY / "configs" / "mixtures"

PUBLISHED = {
    "common_crawl": (100.0, 90.9, 75.8, 75.8, 75.8, 52.2),
    "c4": (0, 0, 0, 0, 0, 26.7),
    "github": (0, 9.1, 24.2, 0, 9.1, 5.2),
    "books": (0, 0, 0, 0, 7.9, 4.2),
    "arxiv": (0, 0, 0, 0, 0, 4.6),
    "wikipedia": (0, 0, 0, 24.2, 7.3, 3.8),
    "stackexchange": (0, 0, 0, 0, 0, 3.3),
}

GOOD = "name: mine\nweights: {web: 60, wiki: 40}\ntokens: 2M\n"


def message(tmp_path: Path, text: str, **overrides: Any) -> str:
    """The error of a recipe file, less the file's name."""
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path / "recipe.yaml", **overrides)
    return str(caught.value).replace(str(tmp_path / "recipe.yaml"), "FILE")


@pytest.mark.parametrize("number", range(1, 7))
def test_the_six_recipes_are_the_published_table(number: int) -> None:
    recipe = load_recipe(RECIPES / f"dc-{number}.yaml")
    assert recipe.name == f"dc-{number}"
    assert recipe.weights == {source: row[number - 1] for source, row in PUBLISHED.items() if row[number - 1]}
    assert (recipe.tokens, recipe.sequence_length, recipe.scope) == (330_000_000_000, 2048, "global")


def test_a_seventh_recipe_shows_a_source_of_ones_own() -> None:
    recipe = load_recipe(RECIPES / "dc-7.yaml")
    assert (recipe.weights, recipe.tokens, recipe.sequence_length) == ({"refinedweb": 100.0}, 330 * 10**9, 2048)


def test_there_are_no_other_recipes() -> None:
    assert sorted(path.name for path in RECIPES.iterdir()) == [f"dc-{number}.yaml" for number in range(1, 8)]


def test_shares_are_the_decimal_numbers_that_were_written() -> None:
    shares = load_recipe(RECIPES / "dc-2.yaml").shares()
    assert shares == {"common_crawl": Fraction(909, 1000), "github": Fraction(91, 1000)}


def test_the_published_sum_of_100_point_1_is_scaled_to_1() -> None:
    recipe = load_recipe(RECIPES / "dc-5.yaml")
    assert sum(Fraction(str(weight)) for weight in recipe.weights.values()) == Fraction("100.1")
    assert recipe.shares()["books"] == Fraction(79, 1001)
    assert sum(recipe.shares().values()) == 1


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=8).filter(any))
def test_shares_sum_to_one_whatever_the_weights(parts: list[int]) -> None:
    thousandths = [part * 100_000 // sum(parts) for part in parts]
    weights = {f"s{number}": part / 1000 for number, part in enumerate(thousandths)}
    shares = Recipe(name="r", weights=weights, tokens=2048).shares()
    assert sum(shares.values()) == 1
    assert list(shares) == [source for source, weight in weights.items() if weight]
    total = sum(thousandths)
    assert [shares[f"s{at}"] for at, part in enumerate(thousandths) if part] == [
        Fraction(part, total) for part in thousandths if part
    ]


@pytest.mark.parametrize("sum_in_tenths", range(995, 1006))
def test_sums_within_two_tenths_of_a_hundred_are_rounding_and_others_mistakes(sum_in_tenths: int) -> None:
    weights = {"web": 50.0, "wiki": (sum_in_tenths - 500) / 10}
    if 998 <= sum_in_tenths <= 1002:
        assert Recipe(name="r", weights=weights, tokens=4096).shares()["web"] == Fraction(500, sum_in_tenths)
    else:
        with pytest.raises(ValueError, match=f"the weights sum to {sum_in_tenths / 10:g};"):
            Recipe(name="r", weights=weights, tokens=4096)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("2M", 2_000_000),
        ("330B", 330_000_000_000),
        ("330b", 330_000_000_000),
        ("330G", 330_000_000_000),
        ("1T", 10**12),
        ("7k", 7000),
        (" 2 M ", 2_000_000),
        ("1.5e9", 1_500_000_000),
        ("1.5E+9", 1_500_000_000),
        ("0.5k", 500),
        ("1.234567891B", 1_234_567_891),
        ("1_000_000", 1_000_000),
        ("4096", 4096),
        (4096, 4096),
        (1.5e9, 1_500_000_000),
    ],
)
def test_token_budgets_are_read_as_people_write_them(written: object, tokens: int) -> None:
    assert parse_tokens(written) == tokens
    assert Recipe(name="r", weights={"web": 100}, tokens=written, sequence_length=2).tokens == tokens  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "written", ["", "M", "2 Mi", "two", "-2M", "2M2", "1,000", "_1", "1_", "0x10", "1e999999999", "9" * 27]
)
def test_what_is_no_number_of_tokens_is_refused(tmp_path: Path, written: str) -> None:
    assert message(tmp_path, GOOD, tokens=written) == (
        f"FILE: tokens: {written!r} is not a number of tokens; write for example 2M, 330B or 1.5e9"
    )


SUMS = (
    "; as percent they must sum to 100 (within 0.2 for rounded tables), as fractions to 1 (within 0.002); for other "
    "numbers set weights_are to ratio or tokens"
)
NOTHING = "nothing says what the sources give; write weights, a rule, epochs or phases"

MISTAKES = {
    "weights: {web: 60, wiki: 30}\n": "FILE: settings: the weights sum to 90" + SUMS,
    "weights: {web: 60, wiki: 40.3}\n": "FILE: settings: the weights sum to 100.3" + SUMS,
    "weights: {web: 0, wiki: 0}\n": "FILE: settings: the weights sum to 0" + SUMS,
    "weights: {web: -10, wiki: 110}\n": "FILE: weights.web: must be at least 0 (given: -10)",
    "weights: {web: .nan}\n": "FILE: weights.web: must be a number (given: nan)",
    "weights: {web: lots}\n": "FILE: weights.web: must be a number (given: 'lots')",
    "weights: {}\n": "FILE: settings: " + NOTHING,
    "tokens: 1.5\n": "FILE: tokens: must be a whole number (given: 1.5)",
    "tokens: '1.5'\n": "FILE: tokens: '1.5' is not a whole number of tokens",
    "tokens: 0\n": "FILE: tokens: must be above 0 (given: 0)",
    "tokens: 1000.000001T\n": "FILE: tokens: must be at most 1,000,000,000,000,000 (given: '1000.000001T')",
    "tokens: 2047\n": "FILE: settings: 2,047 tokens do not fill one sequence of 2,048; raise tokens",
    "sequence_length: 1\n": "FILE: sequence_length: must be at least 2 (given: 1)",
    "scope: both\n": "FILE: scope: must be 'global' or 'local' (given: 'both')",
    "max_epochs: 0\n": "FILE: max_epochs: must be above 0 (given: 0)",
    "seed: -1\n": "FILE: seed: must be at least 0 (given: -1)",
    "name: ../up\n": "FILE: name: must be made of A-Z, a-z, 0-9, '.', '_' and '-' and begin with a letter or "
    "digit (given: '../up')",
    "epoch: 3\n": "FILE: there is no setting 'epoch'; the settings are name, weights, weights_are, rule, sources, "
    "epochs, tokens, description, max_epochs, phases, repeat_phases, split_by, repeat, sequence_length, "
    "extra_token, packing, provenance, seed, scope, "
    "file_tokens",
    "epochs: 3\n": "FILE: epochs: must be a mapping, such as {name: value} (given: 3)",
    "epochs: {books: 0}\n": "FILE: epochs.books: must be above 0 (given: 0)",
    "epochs: {web: 2}\n": "FILE: settings: 'web' is in epochs and in weights; leave one out",
    "rule: unimax\n": "FILE: settings: weights and rule are both given; leave one of them out",
    "rule: often\n": "FILE: rule: a rule is proportional, unimax or {temperature: 0.7} (given: 'often')",
    "rule: {temperature: 5}\n": "FILE: rule: temperature is the power of the tokens that shares are as, from 0 (all "
    "alike) to 1 (proportional); a temperature T that divides, such as 5, is written as 1/T, here 0.2 (given: 5)",
    "sources: [web]\n": "FILE: settings: sources are those that a rule is for, and there is no rule; leave sources or "
    "give a rule",
    "weights_are: percent\n": "FILE: weights_are: must be 'shares', 'ratio' or 'tokens' (given: 'percent')",
    "max_epochs: {web: 0}\n": "FILE: max_epochs: web: must be above 0 (given: 0)",
    "max_epochs: often\n": "FILE: max_epochs: must be a number (given: 'often')",
    "repeat_phases: true\n": "FILE: settings: repeat_phases is for a recipe of phases, and there are none; leave it "
    "out",
    "phases: [{name: one, weights: {web: 100}, tokens: 1M}]\n": "FILE: settings: weights, rule and epochs stand in "
    "each phase, not beside phases; move them into the phases",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_each_mistake_is_one_sentence_with_place_and_remedy(tmp_path: Path, line: str) -> None:
    kept = [other for other in GOOD.splitlines(keepends=True) if other.split(":")[0] != line.split(":")[0]]
    assert message(tmp_path, "".join(kept) + line) == MISTAKES[line]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert message(tmp_path, "name: mine\ntokens: 2M\n") == f"FILE: settings: {NOTHING}"
    assert message(tmp_path, "") == "FILE: name: must be given"


def test_a_file_that_is_not_a_mapping_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path, "- web\n") == "FILE holds a list; it must be a mapping of settings to values"
    assert message(tmp_path, "just words\n", tokens="2M") == (
        "FILE holds a text; it must be a mapping of settings to values"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(tmp_path / "absent.yaml")
    assert str(caught.value) == f"cannot read the recipe {tmp_path / 'absent.yaml'}: No such file or directory"


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [made]", "!!python/name:os.getcwd", "!own 3"])
def test_yaml_tags_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    monkeypatch.chdir(tmp_path)
    found = message(tmp_path, f"name: {tag}\n")
    assert found.startswith("FILE is not YAML: could not determine a constructor for the tag ")
    assert "\n" not in found
    assert not (tmp_path / "made").exists()


def test_overrides_replace_what_the_file_says_and_none_does_not(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(GOOD)
    recipe = load_recipe(tmp_path / "recipe.yaml", tokens="1B", sequence_length=64, scope="local", seed=None)
    assert (recipe.tokens, recipe.sequence_length, recipe.scope, recipe.seed) == (10**9, 64, "local", 1)
    assert load_recipe(tmp_path / "recipe.yaml", tokens=None).tokens == 2_000_000


# ------------------------------------------------------------------------------------------------ kinds of weights


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=8))
def test_ratios_and_tokens_are_shares_of_their_sum(parts: list[int]) -> None:
    weights = {f"s{number}": float(part) for number, part in enumerate(parts)}
    for kind in ("ratio", "tokens"):
        shares = Recipe(name="r", weights=weights, weights_are=kind, tokens=4096).shares()
        assert shares == {name: Fraction(part, sum(parts)) for name, part in zip(weights, parts, strict=True)}


def test_fractions_sum_to_one_within_their_rounding() -> None:
    assert Recipe(name="r", weights={"web": 0.667, "wiki": 0.332}, tokens=4096).shares()["web"] == Fraction(667, 999)
    with pytest.raises(ValueError, match=r"the weights sum to 0\.99;"):
        Recipe(name="r", weights={"web": 0.66, "wiki": 0.33}, tokens=4096)


def test_weights_in_tokens_are_a_budget(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: r\nweights: {web: 1.5B, wiki: 500M}\nweights_are: tokens\n")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    assert (recipe.budget, recipe.shares()) == (2 * 10**9, {"web": Fraction(3, 4), "wiki": Fraction(1, 4)})
    assert load_recipe(tmp_path / "recipe.yaml", tokens="2M").budget == 2_000_000, "then they are a ratio"
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    with pytest.raises(
        ValueError, match=r"the weights are tokens and sum to 2\.5, which is no whole number; round them"
    ):
        Recipe(name="r", weights={"web": 2.5}, weights_are="tokens").budget  # noqa: B018


def test_a_budget_must_be_given_where_shares_are_of_one() -> None:
    with pytest.raises(ValueError, match="tokens must be given, such as 2M, as weights and rules share out a budget"):
        Recipe(name="r", rule="unimax")
    assert Recipe(name="r", epochs={"web": 1}).budget is None, "what the epochs come to"


# ------------------------------------------------------------------------------------------------ phases, names

PHASES = (
    {"name": "stable", "weights": {"web": 100}, "tokens": 3_000_000},
    {"name": "decay", "rule": "unimax", "tokens": 1_000_000},
)


def test_phases_share_out_another_budget_as_they_share_their_own() -> None:
    recipe = Recipe.model_validate({"name": "r", "phases": PHASES})
    assert recipe.budget == 4_000_000
    assert recipe.steps() == recipe.phases
    smaller = Recipe.model_validate({"name": "r", "phases": PHASES, "tokens": 1_000_001})
    assert [step.budget for step in smaller.steps()] == [750_000, 250_001]
    assert smaller.budget == 1_000_001
    assert Recipe.model_validate(smaller.model_dump(mode="json")) == smaller


def test_a_source_is_gone_through_four_times_and_by_phases_once() -> None:
    once = Recipe.model_validate({"name": "r", "phases": PHASES})
    again = Recipe.model_validate({"name": "r", "phases": PHASES, "repeat_phases": True})
    limits = {"wiki": 2.0, "default": 8.5}
    named = Recipe(name="r", weights={"web": 100}, tokens=4096, max_epochs=limits)
    assert [one.most_epochs("web") for one in (once, again, named)] == [1, 4, Fraction(17, 2)]
    assert named.most_epochs("wiki") == 2


def test_phases_that_cannot_be_told_apart_or_say_nothing_are_refused() -> None:
    for phases, said in (
        ([PHASES[0], PHASES[0]], "two phases are named 'stable'; give each a name of its own"),
        (
            [{"name": "empty", "tokens": 4096}],
            "phase empty: nothing says what the sources give; write weights, a rule or",
        ),
        ([{"name": "short", "rule": "unimax", "tokens": 9}], "phase short: 9 tokens do not fill one sequence of 2,048"),
        ([{"name": "open", "rule": "unimax"}], "phase open: tokens must be given, such as 2M, as weights and rules"),
    ):
        with pytest.raises(ValueError, match=said):
            Recipe.model_validate({"name": "r", "phases": phases})


@pytest.mark.parametrize(
    "name", ["common_crawl", "RedPajamaCommonCrawl", "CommonCrawl", "common-crawl", "CC", "redpajama_common_crawl"]
)
def test_a_source_is_known_by_its_other_names(name: str) -> None:
    assert source_named(name, ["books", "common_crawl"]) == "common_crawl"


def test_other_names_are_not_guesses() -> None:
    assert source_named("Book", ["books"]) == "books"
    assert source_named("RedPajamaBook", ["book"]) == "book"
    assert source_named("crawl", ["common_crawl"]) is None
    assert source_named("CommonCrawl", ["common_crawl", "common-crawl"]) is None, "it could be either"
    assert source_named("common-crawl", ["common_crawl", "common-crawl"]) == "common-crawl"
    assert source_named("MyWeb", ["web"], {"web": "MyWeb"}) == "web"


def test_two_names_of_one_source_are_refused() -> None:
    recipe = Recipe(name="r", weights={"c4": 50, "RedPajamaC4": 50}, tokens=4096)
    with pytest.raises(ValueError, match="'c4' and 'RedPajamaC4' are the same source, 'c4'; leave one out"):
        recipe.with_names(lambda name: source_named(name, ["c4"]) or name)


def test_weights_that_are_tokens_sum_to_a_budget_that_can_be(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: mine\nweights: {web: 1e15, wiki: 1e14}\nweights_are: tokens\n")
    with pytest.raises(ConfigError, match=r"the budget must be at most 1,000,000,000,000,000 tokens \(given: 1,100,"):
        load_recipe(tmp_path / "recipe.yaml")
