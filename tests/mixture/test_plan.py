"""Plans: whole sequences, each source and each file within one of its exact share, and mistakes with their numbers."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.recipe import Recipe, load_recipe
from slimpajama.errors import ConfigError
from slimpajama.mixture.plan import plan_mixture
from slimpajama.mixture.plan_text import plan_table, plan_warnings
from slimpajama.mixture.sharing import apportion, share_out
from tests.conftest import REPOSITORY


def recipe(weights: dict[str, float], **settings: Any) -> Recipe:
    return Recipe(**{"name": "r", "weights": weights, "tokens": 1000, "sequence_length": 10, **settings})


def refusal(wanted: Recipe, available: dict[str, int]) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_mixture(wanted, available)
    return str(caught.value)


def budget_within(wanted: Recipe, most: dict[str, int]) -> bool:
    """Said slowly: whether no source gets more sequences than it has when repeated as often as is allowed."""
    total = (wanted.budget or 0) // wanted.sequence_length
    counts = apportion(list(wanted.shares().values()), total)
    return all(
        count * wanted.sequence_length <= wanted.most_epochs(source) * most[source]
        for source, count in zip(wanted.shares(), counts, strict=True)
    )


weights = st.lists(st.integers(1, 1000), min_size=1, max_size=8)


@given(weights, st.integers(0, 10**12))
def test_each_source_is_within_one_sequence_of_its_exact_share(parts: list[int], total: int) -> None:
    shares = [Fraction(part, sum(parts)) for part in parts]
    counts = apportion(shares, total)
    assert sum(counts) == total
    assert all(abs(count - share * total) < 1 for count, share in zip(counts, shares, strict=True))


@given(weights, st.integers(0, 5000))
def test_what_is_left_goes_to_the_largest_remainders(parts: list[int], total: int) -> None:
    shares = [Fraction(part, sum(parts)) for part in parts]
    counts = apportion(shares, total)
    up = [share * total % 1 for share, count in zip(shares, counts, strict=True) if count > share * total]
    down = [share * total % 1 for share, count in zip(shares, counts, strict=True) if count <= share * total]
    assert min(up, default=Fraction(1)) >= max((part for part in down if part), default=Fraction(0))


@pytest.mark.parametrize(
    ("shares", "total", "counts"),
    [
        ("1/2 1/2", 3, [2, 1]),
        ("1/3 1/3 1/3", 2, [1, 1, 0]),
        ("909/1000 91/1000", 161, [146, 15]),
        ("1/10 2/10 7/10", 5, [1, 1, 3]),
        ("1/1", 0, [0]),
        ("999/1000 1/1000", 10, [10, 0]),
    ],
)
def test_apportioning_by_hand(shares: str, total: int, counts: list[int]) -> None:
    assert apportion([Fraction(share) for share in shares.split()], total) == counts


def assert_shared_out(counts: list[int], files: int) -> None:
    bounds = share_out(counts, files)
    total = sum(counts)
    cells = np.diff(bounds, axis=0)
    sizes = cells.sum(axis=1)
    assert bounds.shape == (files + 1, len(counts))
    assert bounds[0].tolist() == [0] * len(counts)
    assert bounds[-1].tolist() == counts
    assert sizes.min() in (total // files, sizes.max())
    assert sizes.max() - sizes.min() <= 1
    assert cells.min() >= 0
    for row, size in zip(cells.tolist(), sizes.tolist(), strict=True):
        for cell, count in zip(row, counts, strict=True):
            assert abs(cell - Fraction(count * size, total)) <= 1


@given(st.lists(st.integers(0, 300), min_size=1, max_size=8).filter(any), st.data())
def test_each_file_is_within_one_sequence_of_its_share_of_each_source(counts: list[int], data: st.DataObject) -> None:
    assert_shared_out(counts, data.draw(st.integers(1, min(sum(counts), 60))))


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=8).filter(any), st.integers(1, 40))
def test_files_hold_their_shares_of_very_many_sequences(counts: list[int], files: int) -> None:
    assert_shared_out(counts, min(files, sum(counts)))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=7).filter(any), st.data())
def test_files_of_a_few_sequences_hold_their_shares(counts: list[int], data: st.DataObject) -> None:
    assert_shared_out(counts, data.draw(st.integers(max(1, sum(counts) // 2), sum(counts))))


def test_sharing_out_by_hand() -> None:
    assert share_out([6, 3, 1], 2).tolist() == [[0, 0, 0], [3, 2, 0], [6, 3, 1]]
    assert share_out([4, 4], 4).tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]
    assert share_out([2, 1], 3).tolist() == [[0, 0], [1, 0], [2, 0], [2, 1]]
    assert share_out([5], 1).tolist() == [[0], [5]]


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=7),
    st.integers(2, 5000),
    st.integers(0, 200_000),
    st.integers(1, 100_000),
)
def test_a_plan_meets_any_recipe(parts: list[int], length: int, more: int, file_tokens: int) -> None:
    written = [part * 100_000 // sum(parts) / 1000 for part in parts]
    wanted = recipe(
        {f"s{at}": weight for at, weight in enumerate(written)},
        tokens=length + more,
        sequence_length=length,
        file_tokens=file_tokens,
        max_epochs=1e9,
    )
    plan = plan_mixture(wanted, {f"s{at}": 10 + at for at in range(len(parts))})
    total = (length + more) // length
    assert plan.sequences == total
    assert plan.sequences * length <= length + more < (plan.sequences + 1) * length
    for source in plan.sources:
        assert abs(source.sequences - source.share * total) < 1
        assert source.tokens == source.sequences * length
        assert source.epochs == source.tokens / source.available
        assert source.unused == max(0, source.available - source.tokens)
    assert plan.phases[0].bounds[-1].tolist() == [source.sequences for source in plan.sources]
    assert plan.files <= total
    assert plan.files == min(total, max(1, round(total * length / file_tokens)))


def test_a_plan_by_hand() -> None:
    wanted = recipe({"web": 70.0, "code": 20.0, "wiki": 10.0, "none": 0.0}, tokens=1009, file_tokens=300)
    plan = plan_mixture(wanted, {"wiki": 40, "web": 10_000, "code": 205, "none": 0, "other": 5})
    assert (plan.sequence_length, plan.sequences, plan.files) == (10, 100, 3)
    assert [(one.name, one.sequences, one.tokens, one.epochs, one.unused) for one in plan.sources] == [
        ("wiki", 10, 100, 2.5, 0),
        ("web", 70, 700, 0.07, 9300),
        ("code", 20, 200, 200 / 205, 5),
    ]
    # 100 sequences in files of 33, 33 and 34: the shares of a third are 3.3, 23.1 and 6.6.
    assert plan.phases[0].bounds.tolist() == [[0, 0, 0], [3, 23, 7], [7, 46, 13], [10, 70, 20]]


def test_a_plan_does_not_depend_on_the_order_in_which_weights_are_written() -> None:
    there = {"wiki": 400, "web": 10_000, "code": 2050}
    plans = [
        plan_mixture(recipe(weights, tokens=1009, file_tokens=300), there)
        for weights in ({"web": 70.0, "code": 20.0, "wiki": 10.0}, {"code": 20.0, "wiki": 10.0, "web": 70.0})
    ]
    assert plans[0].sources == plans[1].sources
    assert plans[0].phases[0].bounds.tolist() == plans[1].phases[0].bounds.tolist()


def test_the_table_of_a_plan_says_asked_got_epochs_and_unused() -> None:
    plan = plan_mixture(
        recipe({"web": 66.7, "wiki": 33.3}, tokens=10_000_000, max_epochs=20), {"web": 10**7, "wiki": 300_000}
    )
    assert plan_table(plan) == [
        ("source", "asked %", "got %", "sequences", "tokens", "epochs", "available", "left unused"),
        ("web", "66.700", "66.700", "667,000", "6,670,000", "0.667", "10,000,000", "3,330,000"),
        ("wiki", "33.300", "33.300", "333,000", "3,330,000", "11.100", "300,000", "0"),
        ("total", "100.000", "100.000", "1,000,000", "10,000,000", "", "", ""),
    ]


@pytest.mark.parametrize(
    ("name", "source", "share", "epochs"), [("dc-3", "github", 5.2, 2.45), ("dc-4", "wikipedia", 3.8, 3.35)]
)
def test_the_published_mixtures_repeat_small_sources_as_published(
    name: str, source: str, share: float, epochs: float
) -> None:
    available = {"common_crawl": int(627e9 * 0.522), source: int(627e9 * share / 100)}
    wanted = load_recipe(REPOSITORY / "configs" / "mixtures" / f"{name}.yaml")
    plan = plan_mixture(wanted, available)
    assert {one.name: round(one.epochs, 2) for one in plan.sources} == {"common_crawl": 0.76, source: epochs}
    assert plan.sequences * 2048 == 330_000_000_000 // 2048 * 2048


def test_a_source_that_is_not_there_is_named_with_those_that_are() -> None:
    assert refusal(recipe({"web": 90.9, "refinedweb": 9.1}), {"web": 100, "wiki": 100}) == (
        "r asks 9.1 % of source 'refinedweb', but there is none; there are web, wiki: "
        "add it to the input, or leave it out of the recipe"
    )


def test_a_source_without_documents_is_named_with_the_scope() -> None:
    assert refusal(recipe({"web": 90, "wiki": 10}, scope="local"), {"web": 1000, "wiki": 0}) == (
        "r asks 10 % of source 'wiki', which has no training document in the local scope; leave it out and share its "
        "part among the others"
    )


def test_too_many_epochs_are_refused_with_the_numbers() -> None:
    assert refusal(recipe({"web": 75, "wiki": 25}, tokens=1_000_000), {"web": 10**6, "wiki": 50_000}) == (
        "r asks 250,000 tokens of wiki, 5.00 epochs of the 50,000 there are; max_epochs is 4: lower tokens to at most "
        "800,000, its share to 20 %, or raise max_epochs"
    )
    assert refusal(
        recipe({"web": 50, "wiki": 50}, tokens=64_000, sequence_length=64, max_epochs=1), {"web": 10**6, "wiki": 1000}
    ) == (
        "r asks 32,000 tokens of wiki, 32.00 epochs of the 1,000 there are; max_epochs is 1: lower tokens to at most "
        "1,920, its share to 1.5 %, or raise max_epochs"
    )
    assert (
        plan_mixture(recipe({"web": 75, "wiki": 25}, tokens=800_000), {"web": 10**6, "wiki": 50_000}).sources[1].epochs
        == 4
    )


@given(
    st.integers(1, 99), st.integers(2, 100), st.integers(400, 5000), st.sampled_from([0.5, 1.0, 2.5, 4.0]), st.data()
)
def test_doing_what_the_refusal_says_is_enough(
    weight: int, length: int, available: int, max_epochs: float, data: st.DataObject
) -> None:
    settings = {"sequence_length": length, "max_epochs": max_epochs}
    tokens = data.draw(st.integers(length, 1_000_000))
    wanted = recipe({"web": 100 - weight, "wiki": weight}, tokens=tokens, **settings)
    there = {"web": 10**9, "wiki": available}
    if budget_within(wanted, there):
        assert plan_mixture(wanted, there).sequences == tokens // length
        return
    said = re.search(r"lower tokens to at most ([\d,]+), its share to ([\d.]+) %", refusal(wanted, there))
    assert said is not None
    lower = int(said[1].replace(",", ""))
    assert length <= lower < tokens
    assert plan_mixture(wanted.model_copy(update={"tokens": lower}), there).sequences * length == lower
    lighter = {"web": float(100 - Fraction(said[2])), "wiki": float(said[2])}
    assert plan_mixture(wanted.model_copy(update={"weights": lighter}), there).sequences == tokens // length


# ---------------------------------------------------------------------------------------------- what may not be meant


def test_a_source_whose_share_is_too_small_for_a_sequence_is_told_with_the_numbers() -> None:
    wanted = recipe({"web": 99.97, "wiki": 0.03})
    plan = plan_mixture(wanted, {"web": 10_000, "wiki": 10_000})
    assert [source.sequences for source in plan.sources] == [100, 0]
    (said,) = plan_warnings(wanted, plan, {})
    assert said == (
        "r asks 0.03 % of source 'wiki', which is 0.03 of 100 sequences: it gets no sequence; raise tokens "
        "or its weight"
    )


def test_a_source_without_a_held_out_sequence_is_told_with_the_numbers() -> None:
    wanted = recipe({"web": 50, "wiki": 50})
    plan = plan_mixture(wanted, {"web": 10_000, "wiki": 10_000, "code": 1})
    held_out = {"validation": {"web": 1, "wiki": 0, "code": 0}, "test": {"web": 0, "wiki": 0, "code": 0}}
    validation, test = plan_warnings(wanted, plan, held_out)
    assert validation == (
        "r has no validation sequence of 10 tokens from 'wiki'; a larger holdout or shorter sequences give some"
    )
    assert test.startswith("r has no test sequence of 10 tokens from 'web', 'wiki'; a larger ")
    published, _ = plan_warnings(wanted, plan, held_out, "published")
    assert published == (
        "r has no validation sequence of 10 tokens from 'wiki', as the split that the input comes with has too few "
        "tokens of it"
    )


@given(weights, st.integers(10, 5000))
def test_exactly_the_sources_without_a_sequence_are_told(parts: list[int], tokens: int) -> None:
    total = sum(parts)
    percent = {f"s{at}": 100 * part / total for at, part in enumerate(parts)}
    wanted = recipe(percent, tokens=tokens)
    plan = plan_mixture(wanted, dict.fromkeys(percent, 10**9))
    said = plan_warnings(wanted, plan, {})
    without = [source.name for source in plan.sources if source.sequences == 0]
    assert len(said) == len(without)
    assert all(f"source {name!r}" in line for name, line in zip(without, said, strict=True))
