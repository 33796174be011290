"""How a cache is compared with full attention, and how the figures are drawn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from slimpajama.errors import ConfigError
from slimpajama.report.figures.kvcache import mean_and_spread
from slimpajama.study.kvcache.agreement import cache_agreement
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import Eviction, eviction
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

PROMPT, LENGTH, VOCABULARY = 12, 20, 30
TOKENS = torch.randint(0, VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    model = Decoder(DecoderConfiguration(VOCABULARY, width=16, layers=2, heads=2, feed_forward=24), seed=1)
    model.eval()
    return model


def test_a_full_cache_agrees_in_whole(decoder: Decoder) -> None:
    found = cache_agreement(decoder, TOKENS, PROMPT, Eviction())
    assert found.same_token == 1
    assert found.loss == pytest.approx(found.full_loss, abs=1e-6)
    assert found.divergence == pytest.approx(0, abs=1e-6)


@torch.inference_mode()
def test_the_loss_is_that_of_the_tokens_after_the_first_one(decoder: Decoder) -> None:
    how = eviction("window", Budget(tokens=3), 1)
    caches = DecoderCaches(decoder, how)
    decoder(TOKENS[:, :PROMPT], caches=caches.layers)
    losses, same = [], []
    full = decoder(TOKENS)
    for place in range(PROMPT, LENGTH - 1):
        logits = decoder(TOKENS[:, place : place + 1], caches=caches.layers)[:, 0]
        losses.append(functional.cross_entropy(logits, TOKENS[:, place + 1]))
        same.append((logits.argmax(-1) == full[:, place].argmax(-1)).float().mean())
    found = cache_agreement(decoder, TOKENS, PROMPT, how)
    assert found.loss == pytest.approx(float(torch.stack(losses).mean()), abs=1e-5)
    assert found.same_token == pytest.approx(float(torch.stack(same).mean()))
    assert found.full_loss == pytest.approx(
        float(functional.cross_entropy(full[:, PROMPT:-1].flatten(0, 1), TOKENS[:, PROMPT + 1 :].flatten())), abs=1e-5
    )
    assert found.divergence > 1e-4


def test_a_prompt_that_leaves_nothing_to_count_is_an_error(decoder: Decoder) -> None:
    wrong: list[Any] = [0, -1, 1.5, True, "3", LENGTH - 1, LENGTH]
    for prompt in wrong:
        with pytest.raises(ConfigError, match=f"a prompt of {prompt!r} leave nothing to count"):
            cache_agreement(decoder, TOKENS, prompt, Eviction())


def test_no_rows_and_what_is_no_token_are_errors(decoder: Decoder) -> None:
    for tokens, message in (
        (TOKENS[:0], "shape .0, 20.; give"),
        (TOKENS[0], "shape .20,."),
        (TOKENS.float(), "type torch.float32"),
        (TOKENS + 1, "the id 30, and the vocabulary of the decoder has 30"),
        (TOKENS - 1, "the id -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            cache_agreement(decoder, tokens, PROMPT, Eviction())


def test_tokens_of_32_bits_give_the_same_figures(decoder: Decoder) -> None:
    how = eviction("window", Budget(tokens=3), 1)
    assert cache_agreement(decoder, TOKENS.int(), PROMPT, how) == cache_agreement(decoder, TOKENS, PROMPT, how)


def test_the_spread_is_that_between_seeds() -> None:
    assert mean_and_spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_and_spread([4.0]) == (4.0, 0.0)
