"""Budgets, names of methods and the noise: what follows from a setting, and which settings are errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.budget import Budget, part_of
from slimpajama.study.kvcache.eviction import Eviction, eviction
from slimpajama.study.kvcache.generation import Sampling
from slimpajama.study.kvcache.h2o import HeavyHitters
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.kvcache.noise import GUMBEL_DEVIATION, GUMBEL_MEAN, HashedNoise
from slimpajama.study.kvcache.recency import RecentTokens
from slimpajama.study.kvcache.snapkv import PromptEnd

PLACES = torch.arange(2000).repeat(1, 8, 1)
QUERIES = torch.arange(5)[None]


def test_a_share_is_rounded_down_and_leaves_a_token() -> None:
    assert [Budget(share=0.5).for_prompt(length) for length in (1, 2, 5, 100)] == [1, 1, 2, 50]
    assert [part_of(share / 100, 100) for share in range(101)] == list(range(101))
    assert Budget(tokens=7).for_prompt(3) == 7


WRONG: dict[str, Callable[[], object]] = {
    "exactly one": lambda: Budget(),
    "share=0.5 and tokens=3": lambda: Budget(share=0.5, tokens=3),
    "above 0 and up to 1": lambda: Budget(share=1.5),
    "share=nan; give": lambda: Budget(share=math.nan),
    "share=True; give": lambda: Budget(share=True),
    "share='0.5'; give": lambda: Budget(share="0.5"),  # type: ignore[arg-type]
    "tokens=0; give a whole number of 1 or more": lambda: Budget(tokens=0),
    "tokens=1.5; give": lambda: Budget(tokens=1.5),  # type: ignore[arg-type]
    "tokens=nan; give": lambda: Budget(tokens=math.nan),  # type: ignore[arg-type]
    "tokens=True; give": lambda: Budget(tokens=True),
    "tokens='3'; give": lambda: Budget(tokens="3"),  # type: ignore[arg-type]
    "temperature=0; give a finite number above 0": lambda: Sampling(temperature=0),
    "temperature=-1": lambda: Sampling(temperature=-1),
    "temperature=nan": lambda: Sampling(temperature=math.nan),
    "temperature=inf": lambda: Sampling(temperature=math.inf),
    "temperature=True": lambda: Sampling(temperature=True),
    "temperature='1'": lambda: Sampling(temperature="1"),  # type: ignore[arg-type]
    "top=0; give a whole number of 1 or more, or None": lambda: Sampling(top=0),
    "top=-2": lambda: Sampling(top=-2),
    "top=1.5": lambda: Sampling(top=1.5),  # type: ignore[arg-type]
    "top=True": lambda: Sampling(top=True),
    "seed=0.5; give a whole number from": lambda: Sampling(seed=0.5),  # type: ignore[arg-type]
    "seed=18446744073709551616; give": lambda: Sampling(seed=2**64),
    "generated=0": lambda: Keyformer(0),
    "recent_share=2": lambda: Keyformer(1, recent_share=2),
    "must be numbers above 0": lambda: Keyformer(1, last_temperature=0),
    "H2O has recent_share=-1": lambda: HeavyHitters(-1),
    "sinks=-1": lambda: RecentTokens(-1),
    "window=0": lambda: PromptEnd(window=0),
    "smoothing=2": lambda: PromptEnd(smoothing=2),
    "only one of scorer and budget": lambda: Eviction(HeavyHitters()),
    "'h20' is unknown; use one of keyformer, h2o": lambda: eviction("h20", Budget(tokens=1), 1),  # type: ignore[arg-type]
    "'loud' is unknown": lambda: HashedNoise("loud"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("message", WRONG)
def test_a_setting_that_cannot_be_is_an_error(message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WRONG[message]()


@pytest.mark.parametrize(
    "made",
    [
        lambda: Keyformer(1.5),  # type: ignore[arg-type]
        lambda: Keyformer(True),
        lambda: Keyformer(1, recent_share=math.nan),
        lambda: Keyformer(1, last_temperature=math.nan),
        lambda: HeavyHitters(True),
        lambda: RecentTokens(1.5),  # type: ignore[arg-type]
        lambda: PromptEnd(window=1.5),  # type: ignore[arg-type]
        lambda: PromptEnd(smoothing=math.nan),  # type: ignore[arg-type]
    ],
)
def test_a_method_takes_numbers_of_the_right_kind_only(made: Callable[[], object]) -> None:
    with pytest.raises(ConfigError):
        made()


def test_the_temperature_rises_over_the_generation_and_stays() -> None:
    ramp = Keyformer(4)
    assert [ramp.temperature(step) for step in range(7)] == [1, 1.25, 1.5, 1.75, 2, 2, 2]


@pytest.mark.parametrize("kind", ["gumbel", "gaussian"])
def test_noise_has_the_mean_and_the_spread_of_the_gumbel_distribution(kind: str) -> None:
    drawn = HashedNoise(kind).draw(0, QUERIES, PLACES)  # type: ignore[arg-type]
    assert drawn is not None
    assert float(drawn.mean()) == pytest.approx(GUMBEL_MEAN, abs=0.03)
    assert float(drawn.std()) == pytest.approx(GUMBEL_DEVIATION, abs=0.03)
    assert drawn.isfinite().all()


def test_fixed_noise_is_one_number_a_token_and_fresh_noise_one_a_query() -> None:
    fixed, fresh = HashedNoise(seed=1), HashedNoise(fresh=True, seed=1)
    one, many = fixed.draw(0, QUERIES, PLACES), fresh.draw(0, QUERIES, PLACES)
    assert one is not None
    assert many is not None
    assert (one.shape, many.shape) == ((1, 8, 1, 2000), (1, 8, 5, 2000))
    assert len(set(many.flatten().tolist())) > 0.99 * many.numel()
    later = fixed.draw(0, QUERIES + 9, PLACES)
    assert torch.equal(one, later)


def test_heads_layers_and_seeds_have_noise_of_their_own_that_is_unrelated() -> None:
    rows = [HashedNoise(seed=seed).draw(layer, QUERIES, PLACES) for seed in (0, 1) for layer in (0, 1)]
    together = torch.cat([row[0, :, 0] for row in rows if row is not None])
    related = torch.corrcoef(together) - torch.eye(len(together))
    assert float(related.abs().max()) < 0.1


def test_a_constant_changes_no_softmax_and_none_is_no_noise() -> None:
    constant = HashedNoise("constant").draw(0, QUERIES, PLACES)
    assert constant is not None
    assert constant.unique().tolist() == pytest.approx([GUMBEL_MEAN])
    assert HashedNoise("none").draw(0, QUERIES, PLACES) is None
