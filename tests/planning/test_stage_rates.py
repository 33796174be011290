"""Rates are found again in what corpora take that were made up by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.planning.stage_rates import Observed, Rates, rates_of

SIZES = ((1, 1, 240), (32, 32, 7700), (4, 131_072, 31_000_000), (28, 13_000, 50_000_000))


def observed(*seconds: float) -> list[Observed]:
    return [Observed(*size, {"any": took}) for size, took in zip(SIZES, seconds, strict=True)]


@given(
    once=st.one_of(st.just(0.0), st.floats(1e-2, 1e-1)),
    piece=st.one_of(st.just(0.0), st.floats(1e-3, 1e-1)),
    document=st.one_of(st.just(0.0), st.floats(1e-6, 1e-5)),
    text=st.one_of(st.just(0.0), st.floats(1e-9, 1e-7)),
)
def test_rates_are_found_again(once: float, piece: float, document: float, text: float) -> None:
    rates = Rates(once, piece, document, text)
    found = rates_of("any", observed(*(rates.seconds(*size) for size in SIZES)))
    for size in ((1000, 10, 10), (1, 10**7, 10**7), (1, 100, 10**10)):
        assert found.seconds(*size) == pytest.approx(rates.seconds(*size), rel=1e-4, abs=1e-4)


def test_no_rate_is_negative_and_what_did_not_run_costs_nothing() -> None:
    same = rates_of("any", observed(0.3, 0.3, 0.3, 0.3))
    assert (same.once, same.piece, same.document, same.text) == pytest.approx((0.3, 0, 0, 0), abs=1e-12)
    slower = rates_of("any", observed(0.1, 0.6, 0.2, 0.5))
    assert min(slower.once, slower.piece, slower.document, slower.text) >= 0
    assert slower.piece == pytest.approx(0.016, rel=0.1)
    assert rates_of("other", observed(0.1, 0.6, 0.2, 0.5)) == Rates(0.0, 0.0, 0.0, 0.0)


def test_what_does_not_go_by_text_costs_nothing_for_a_byte() -> None:
    found = rates_of("any", observed(0.01, 0.32, 1.35, 0.5), by_text=False)
    assert found.text == 0
    assert found.document > 0


def test_the_seconds_of_a_run_are_the_sum() -> None:
    assert Rates(1.0, 0.1, 0.01, 0.001).seconds(10, 100, 1000) == 4.0
