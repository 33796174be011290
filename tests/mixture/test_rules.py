"""Rules, epochs and phases: exact shares, conserved tokens, and no source above what it may give."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.recipe import Recipe
from slimpajama.errors import ConfigError
from slimpajama.mixture.plan import Plan, plan_mixture
from slimpajama.mixture.plan_text import phase_table, plan_warnings
from slimpajama.mixture.rules import by_temperature, unimax

LENGTH = 10


def recipe(**settings: Any) -> Recipe:
    return Recipe.model_validate({"name": "r", "sequence_length": LENGTH, **settings})


def sequences(plan: Plan) -> dict[str, int]:
    return {source.name: source.sequences for source in plan.sources}


def refusal(wanted: Recipe, available: dict[str, int]) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_mixture(wanted, available)
    return str(caught.value)


def slow_unimax(most: dict[str, int], total: int) -> dict[str, Fraction]:
    """Said slowly: pour evenly into all vessels that are not full, until all is poured."""
    got = dict.fromkeys(most, Fraction(0))
    left = Fraction(total)
    while left:
        open_ones = [source for source in most if got[source] < most[source]]
        step = min(left / len(open_ones), *(most[source] - got[source] for source in open_ones))
        for source in open_ones:
            got[source] += step
        left -= step * len(open_ones)
    return {source: amount / total for source, amount in got.items()}


@given(st.lists(st.integers(0, 300), min_size=1, max_size=7).filter(any), st.data())
def test_unimax_is_even_as_far_as_caps_allow(caps: list[int], data: st.DataObject) -> None:
    most = {f"s{at}": cap for at, cap in enumerate(caps)}
    total = data.draw(st.integers(1, sum(caps)))
    shares = unimax(most, total)
    assert shares == slow_unimax(most, total)
    assert sum(shares.values()) == 1
    assert all(share * total <= most[source] for source, share in shares.items())


def test_unimax_by_hand() -> None:
    assert unimax({"web": 100, "wiki": 10, "code": 30}, 90) == {
        "web": Fraction(50, 90),
        "wiki": Fraction(10, 90),
        "code": Fraction(30, 90),
    }


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=7), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_a_temperature_is_a_power_of_the_tokens(tokens: list[int], exponent: float) -> None:
    there = {f"s{at}": count for at, count in enumerate(tokens)}
    shares = by_temperature(there, exponent)
    assert sum(shares.values()) == 1
    total = sum(count**exponent for count in tokens)
    assert all(
        float(shares[name]) == pytest.approx(count**exponent / total, rel=1e-12) for name, count in there.items()
    )


def test_temperatures_by_hand() -> None:
    there = {"web": 16, "wiki": 4}
    assert by_temperature(there, 1) == {"web": Fraction(4, 5), "wiki": Fraction(1, 5)}
    assert by_temperature(there, 0.5) == {"web": Fraction(2, 3), "wiki": Fraction(1, 3)}
    assert by_temperature(there, 0) == {"web": Fraction(1, 2), "wiki": Fraction(1, 2)}


RULES = st.sampled_from(["proportional", "unimax", {"temperature": 0.7}, {"temperature": 0.0}])


@given(
    st.lists(st.integers(LENGTH, 10_000), min_size=2, max_size=6),
    st.one_of(RULES, st.just(None)),
    st.floats(0.1, 3.0),
    st.integers(0, 20_000),
    st.data(),
)
def test_every_rule_conserves_tokens_and_stays_within_a_sequence(
    tokens: list[int], rule: Any, epochs: float, more: int, data: st.DataObject
) -> None:
    there = {f"s{at}": count for at, count in enumerate(tokens)}
    fixed = {
        name: round(epochs, 3) for name in data.draw(st.lists(st.sampled_from(list(there)), max_size=2, unique=True))
    }
    others = [name for name in there if name not in fixed]
    budget = sum(int(Fraction(repr(fixed[name])) * there[name]) for name in fixed) + LENGTH + more
    settings: dict[str, Any] = {"rule": rule} if rule else {"weights": {name: 100 / len(others) for name in others}}
    if not others:
        settings = {}
    wanted = recipe(epochs=fixed, tokens=budget if others else None, max_epochs=10_000, **settings)
    if not others and not any(int(Fraction(repr(fixed[name])) * there[name]) // LENGTH for name in fixed):
        assert "fill no sequence" in refusal(wanted, there)
        return
    plan = plan_mixture(wanted, there)
    total = plan.sequences
    assert sum(source.share for source in plan.sources) == 1
    if others:
        assert total == budget // LENGTH
    for source in plan.sources:
        assert abs(source.sequences - source.share * total) < 1
        assert source.tokens == source.sequences * LENGTH
        assert source.tokens + source.unused >= min(source.available, source.tokens)
        if source.name in fixed:
            exact = Fraction(repr(fixed[source.name])) * source.available / LENGTH
            assert 0 <= exact - source.sequences < 1, "the whole sequences of so many epochs"
    assert sum(source.sequences for source in plan.sources) == total


@given(st.lists(st.integers(LENGTH, 10_000), min_size=1, max_size=6), st.sampled_from([0.5, 1.0, 2.5, 4.0]), st.data())
def test_unimax_keeps_every_source_within_its_epochs(tokens: list[int], epochs: float, data: st.DataObject) -> None:
    there = {f"s{at}": count for at, count in enumerate(tokens)}
    most = sum(int(epochs * count) // LENGTH for count in tokens)
    if not most:
        return
    wanted = recipe(rule="unimax", tokens=LENGTH * data.draw(st.integers(1, most)), max_epochs=epochs)
    assert all(source.epochs <= epochs for source in plan_mixture(wanted, there).sources)
    beyond = recipe(rule="unimax", tokens=LENGTH * (most + 3), max_epochs=epochs)
    assert f"within max_epochs there are {most * LENGTH:,}: lower tokens by 30, or raise" in refusal(beyond, there)


def test_a_rule_is_for_all_sources_that_have_tokens_or_for_those_it_names() -> None:
    there = {"web": 8000, "wiki": 1000, "code": 1000, "none": 0}
    assert sequences(plan_mixture(recipe(rule="proportional", tokens=1000), there)) == {
        "web": 80,
        "wiki": 10,
        "code": 10,
    }
    named = recipe(rule="proportional", sources=["wiki", "Code"], tokens=1000)
    assert sequences(plan_mixture(named, there)) == {"wiki": 50, "code": 50}
    assert refusal(recipe(rule="proportional", sources=["none"], tokens=1000), there) == (
        "r asks for source 'none', which has no training document in the global scope; leave it out and share its part "
        "among the others"
    )


def test_epochs_come_first_and_weights_share_the_rest() -> None:
    there = {"web": 10_000, "wiki": 105, "code": 2000}
    plan = plan_mixture(recipe(epochs={"wiki": 2}, weights={"web": 75, "code": 25}, tokens=1000), there)
    assert sequences(plan) == {"web": 59, "wiki": 21, "code": 20}
    assert {source.name: source.share for source in plan.sources} == {
        "web": Fraction(3 * 79, 400),
        "wiki": Fraction(21, 100),
        "code": Fraction(79, 400),
    }
    assert refusal(recipe(epochs={"wiki": 10}, rule="unimax", tokens=1000), there) == (
        "r asks for epochs of wiki that come to 1,050 tokens, which leaves nothing of its 1,000 for the others; raise "
        "tokens or lower epochs"
    )
    assert refusal(recipe(epochs={"wiki": 2}, tokens=1000), there) == (
        "r asks for epochs of wiki that come to 210 tokens, and nothing fills the rest of its 1,000; leave tokens out, "
        "or give weights or a rule for the others"
    )
    assert plan_mixture(recipe(epochs={"wiki": 9}), there).sequences == 94, "more than max_epochs, as it was asked for"


def test_limits_by_source() -> None:
    there = {"web": 1000, "wiki": 100}
    limits = {"wiki": 1, "default": 5}
    even = plan_mixture(recipe(rule="unimax", tokens=500, max_epochs=limits), there)
    assert sequences(even) == {"web": 40, "wiki": 10}
    assert (
        "5.00 epochs of the 100 there are; max_epochs is 1: lower tokens to at most 200, its share to 10 %"
        in refusal(recipe(weights={"web": 50, "wiki": 50}, tokens=1000, max_epochs=limits), there)
    )
    with pytest.raises(ValueError, match="epochs asks for 2 of 'wiki', but max_epochs allows 1; change one"):
        recipe(epochs={"wiki": 2}, max_epochs=limits)


# ------------------------------------------------------------------------------------------------ phases


def phased(*phases: dict[str, Any], **settings: Any) -> Recipe:
    return recipe(phases=[{"name": f"p{at}", **phase} for at, phase in enumerate(phases)], **settings)


def test_a_phase_goes_on_where_the_one_before_ended() -> None:
    there = {"web": 1000, "wiki": 300}
    wanted = phased(
        {"weights": {"web": 80, "wiki": 20}, "tokens": 500},
        {"weights": {"wiki": 100}, "tokens": 150},
        {"weights": {"web": 50, "wiki": 50}, "tokens": 100},
        file_tokens=100,
    )
    plan = plan_mixture(wanted, there)
    assert [(phase.name, phase.files, phase.sequences) for phase in plan.phases] == [
        ("p0", 5, 50),
        ("p1", 2, 15),
        ("p2", 1, 10),
    ]
    assert [[(one.name, one.first, one.sequences) for one in phase.sources] for phase in plan.phases] == [
        [("web", 0, 40), ("wiki", 0, 10)],
        [("wiki", 10, 15)],
        [("web", 40, 5), ("wiki", 25, 5)],
    ]
    assert [(one.name, one.sequences, one.epochs, one.unused) for one in plan.sources] == [
        ("web", 45, 0.45, 550),
        ("wiki", 30, 1.0, 0),
    ]
    taken: list[tuple[str, int]] = []
    for file in plan.file_plans():
        for source, (first, last) in zip(file.sources, file.slices, strict=True):
            taken += [(source, number) for number in range(first, last)]
    assert sorted(taken) == [*(("web", number) for number in range(45)), *(("wiki", number) for number in range(30))]
    assert [file.phase for file in plan.file_plans()] == ["p0"] * 5 + ["p1"] * 2 + ["p2"]
    assert phase_table(plan.phases[1], LENGTH)[1] == (
        "wiki", "100.000", "100.000", "15", "150", "0.500", "300", "50",
    )  # fmt: skip


def test_a_sequence_comes_again_only_where_that_is_asked_for() -> None:
    there = {"web": 1000, "wiki": 100}
    phases = ({"weights": {"wiki": 100}, "tokens": 60}, {"weights": {"web": 50, "wiki": 50}, "tokens": 100})
    assert refusal(phased(*phases), there) == (
        "phase p1 of r asks 50 tokens of wiki, with the phases before 1.10 epochs of the 100 there are; max_epochs is "
        "1: lower tokens to at most 80, its share to 40 %, set repeat_phases to let sequences come again in a later "
        "phase, or raise max_epochs"
    )
    on = plan_mixture(phased(*phases, max_epochs=2), there)
    assert [one.first for phase in on.phases for one in phase.sources] == [0, 0, 6]
    again = plan_mixture(phased(*phases, repeat_phases=True), there)
    assert [one.first for phase in again.phases for one in phase.sources] == [0, 0, 0]
    assert refusal(phased({"epochs": {"wiki": 0.5}}, {"epochs": {"wiki": 0.7}}), there) == (
        "phase p1 of r asks 70 tokens of wiki, with the phases before 1.20 epochs of the 100 there are; max_epochs is "
        "1: lower its epochs to at most 0.5, set repeat_phases to let sequences come again in a later phase, or raise "
        "max_epochs"
    )
    halves = plan_mixture(phased({"epochs": {"wiki": 0.5}}, {"epochs": {"wiki": 0.5}}), there)
    assert [phase.sequences for phase in halves.phases] == [5, 5]


@given(
    st.lists(st.tuples(st.sampled_from(["proportional", "unimax"]), st.integers(1, 40)), min_size=1, max_size=5),
    st.integers(400, 4000),
    st.integers(400, 4000),
)
def test_phases_never_share_a_sequence_and_account_for_all(phases: list[tuple[str, int]], web: int, wiki: int) -> None:
    there = {"web": web, "wiki": wiki}
    wanted = phased(*({"rule": rule, "tokens": count * LENGTH} for rule, count in phases), file_tokens=70)
    try:
        plan = plan_mixture(wanted, there)
    except ConfigError:
        assert sum(count for _, count in phases) > min(web, wiki) // LENGTH - len(phases)
        return
    following = dict.fromkeys(there, 0)
    for file in plan.file_plans():
        for source, (first, last) in zip(file.sources, file.slices, strict=True):
            assert first == following[source]
            following[source] = last
    assert following == sequences(plan)
    assert all(source.epochs <= 1 for source in plan.sources)
    assert [phase.sequences for phase in plan.phases] == [count for _, count in phases]


def test_a_source_without_a_sequence_in_a_phase_is_told() -> None:
    wanted = phased({"weights": {"web": 99, "wiki": 1}, "tokens": 100}, {"weights": {"web": 100}, "tokens": 100})
    (said,) = plan_warnings(wanted, plan_mixture(wanted, {"web": 1000, "wiki": 1000}), {})
    assert said.startswith("phase p0 of r asks 1 % of source 'wiki', which is 0.1 of 10 sequences: it gets no sequence")
