"""The study's own decoder with a cache that shrinks: logits, greedy search, sampling and beams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import METHODS, Eviction, MethodName, eviction
from slimpajama.study.kvcache.generation import Sampling, beam_search, generate
from slimpajama.study.kvcache.h2o import HeavyHitters
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

PROMPT, STEPS, VOCABULARY = 20, 9, 50
FULL = Eviction()


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    shape = DecoderConfiguration(
        vocabulary=VOCABULARY, width=32, layers=2, heads=4, feed_forward=48, context=64, base_width=32
    )
    model = Decoder(shape, seed=3)
    with torch.no_grad():
        for block in model.blocks:
            block.attention.inputs.weight.normal_(0, 0.7, generator=torch.Generator().manual_seed(1))
    model.eval()
    return model


def tokens_of(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(rows))


@torch.inference_mode()
def forced(decoder: Decoder, tokens: torch.Tensor, caches: DecoderCaches, parts: list[int]) -> torch.Tensor:
    logits, first = [], 0
    for count in parts:
        logits.append(decoder(tokens[:, first : first + count], caches=caches.layers))
        first += count
    return torch.cat(logits, 1)


ONE_BY_ONE = [PROMPT, *[1] * STEPS]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("parts", [ONE_BY_ONE, [PROMPT, 1, 4, 1, 1, 2]], ids=["one by one", "in parts"])
def test_a_budget_that_is_large_enough_gives_the_logits_of_full_attention(
    decoder: Decoder, method: MethodName, parts: list[int]
) -> None:
    tokens = tokens_of(2, PROMPT + STEPS)
    with torch.inference_mode():
        full = decoder(tokens)
    caches = DecoderCaches(decoder, eviction(method, Budget(tokens=PROMPT + STEPS), STEPS))
    assert torch.allclose(forced(decoder, tokens, caches, parts), full, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_prompt_whose_attention_is_computed_in_parts_keeps_the_same_tokens(
    decoder: Decoder, method: MethodName
) -> None:
    tokens = tokens_of(2, PROMPT + STEPS)
    how = eviction(method, Budget(share=0.5), STEPS)
    whole, few = DecoderCaches(decoder, how), DecoderCaches(decoder, how, queries_at_once=3)
    logits = [forced(decoder, tokens, caches, ONE_BY_ONE) for caches in (whole, few)]
    assert torch.allclose(*logits, atol=1e-5)
    for one, other in zip(whole.layers, few.layers, strict=True):
        assert torch.equal(one.shrinking.positions.sort(-1).values, other.shrinking.positions.sort(-1).values)


def test_rows_and_heads_keep_their_own_tokens_and_generated_ones_are_among_the_key_tokens(decoder: Decoder) -> None:
    budget, steps = 8, 30
    how = Eviction(Keyformer(steps, recent_share=0.25), Budget(tokens=budget))
    layers = generate(decoder, tokens_of(3, PROMPT), steps, how).caches.layers
    kept = [layer.shrinking.kept(row, head) for layer in layers for row in range(3) for head in range(4)]
    assert {len(places) for places in kept} == {budget}
    assert len({tuple(places) for places in kept}) > 12
    last_key_tokens = [place for places in kept for place in places[: budget - 2]]
    assert any(PROMPT <= place < PROMPT + steps - 4 for place in last_key_tokens)


def test_a_row_keeps_and_gives_in_a_batch_what_it_does_alone(decoder: Decoder) -> None:
    prompts = tokens_of(3, PROMPT)
    how = eviction("keyformer", Budget(share=0.5), STEPS)
    together = generate(decoder, prompts, STEPS, how)
    for row in range(3):
        alone = generate(decoder, prompts[row : row + 1], STEPS, how)
        assert torch.equal(alone.tokens[0], together.tokens[row])
        for one, other in zip(alone.caches.layers, together.caches.layers, strict=True):
            assert [one.shrinking.kept(0, head) for head in range(4)] == [
                other.shrinking.kept(row, head) for head in range(4)
            ]


def test_a_full_cache_generates_what_running_everything_again_does(decoder: Decoder) -> None:
    tokens = prompts = tokens_of(2, PROMPT)
    with torch.inference_mode():
        for _ in range(STEPS):
            tokens = torch.cat((tokens, decoder(tokens)[:, -1].argmax(-1, keepdim=True)), 1)
    assert torch.equal(generate(decoder, prompts, STEPS, FULL).tokens, tokens[:, PROMPT:])


def test_sampling_depends_on_its_seed_and_of_one_token_it_is_greedy(decoder: Decoder) -> None:
    prompts, how = tokens_of(2, PROMPT), eviction("h2o", Budget(share=0.5), STEPS)
    first, again, other = (generate(decoder, prompts, STEPS, how, Sampling(seed=seed)).tokens for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    greedy = generate(decoder, prompts, STEPS, how).tokens
    assert torch.equal(generate(decoder, prompts, STEPS, how, Sampling(top=1)).tokens, greedy)


def slow_beam_search(decoder: Decoder, prompt: torch.Tensor, length: int, how: Eviction, beams: int) -> list[int]:
    """Every beam runs from the start again, in a cache of its own, for each token."""
    paths: list[tuple[float, list[int]]] = [(0.0, [])]
    for step in range(length):
        reached = []
        for total, path in paths:
            whole = torch.cat((prompt, torch.tensor([path], dtype=torch.long)), 1)
            logits = forced(decoder, whole, DecoderCaches(decoder, how), [PROMPT, *[1] * step])
            chances = logits[0, -1].log_softmax(-1).tolist()
            reached += [(total + chance, [*path, token]) for token, chance in enumerate(chances)]
        paths = sorted(reached, key=lambda one: -one[0])[:beams]
    return paths[0][1]


def test_each_beam_keeps_a_cache_of_its_own(decoder: Decoder) -> None:
    prompts = tokens_of(2, PROMPT)
    how = Eviction(HeavyHitters(), Budget(tokens=7))
    found = beam_search(decoder, prompts, 6, how, beams=4)
    for row in range(2):
        assert found.tokens[row].tolist() == slow_beam_search(decoder, prompts[row : row + 1], 6, how, 4)


def test_one_beam_is_greedy_search(decoder: Decoder) -> None:
    prompts, how = tokens_of(2, PROMPT), eviction("keyformer", Budget(share=0.5), STEPS)
    one, greedy = beam_search(decoder, prompts, STEPS, how, beams=1), generate(decoder, prompts, STEPS, how)
    assert torch.equal(one.tokens, greedy.tokens)
    assert torch.allclose(one.log_probability, greedy.log_probability, atol=1e-4)


def test_the_cache_takes_its_budget_and_one_slot_and_a_full_one_grows(decoder: Decoder) -> None:
    prompts, each = tokens_of(1, PROMPT), 2 * 2 * 4 * 8 * 4  # layers, keys and values, heads, width, bytes
    half = generate(decoder, prompts, 40, eviction("keyformer", Budget(share=0.5), 40)).caches.bytes_used()
    full = generate(decoder, prompts, 40, FULL).caches.bytes_used()
    assert half.keys_and_values == (PROMPT // 2 + 1) * each
    assert (PROMPT + 39) * each <= full.keys_and_values <= (PROMPT + 39) * each * 9 // 8 + 16 * each


NOT_WHOLE: list[Any] = [0, -1, 1.5, 2.0, True, "3", None, float("nan")]


@pytest.mark.parametrize("length", NOT_WHOLE)
def test_a_length_that_is_not_a_whole_number_is_an_error(decoder: Decoder, length: Any) -> None:
    with pytest.raises(ConfigError, match=f"length={length!r}; give a whole number"):
        generate(decoder, tokens_of(1, 4), length, FULL)
    with pytest.raises(ConfigError, match=f"length={length!r}; give a whole number"):
        beam_search(decoder, tokens_of(1, 4), length, FULL, beams=2)


@pytest.mark.parametrize("beams", [*NOT_WHOLE, VOCABULARY + 1])
def test_a_number_of_beams_that_cannot_be_is_an_error(decoder: Decoder, beams: Any) -> None:
    with pytest.raises(ConfigError, match=f"beams={beams!r}; give a whole number from 1 to .* 50"):
        beam_search(decoder, tokens_of(1, 4), 1, FULL, beams=beams)


def test_whole_numbers_of_numpy_are_as_good_as_those_of_python(decoder: Decoder) -> None:
    prompts, three = tokens_of(2, 4), np.int64(3)
    sampling = Sampling(np.float32(0.5), top=three, seed=np.uint64(2**64 - 1))
    assert generate(decoder, prompts, three, FULL, sampling).tokens.shape == (2, 3)
    assert beam_search(decoder, prompts, three, FULL, beams=three).tokens.shape == (2, 3)


WRONG_PROMPTS = {
    r"shape \(1, 0\); give \[rows, tokens\]": torch.zeros(1, 0, dtype=torch.long),
    r"shape \(0, 4\)": torch.zeros(0, 4, dtype=torch.long),
    r"shape \(4,\)": torch.zeros(4, dtype=torch.long),
    "torch.float32; give whole numbers": torch.zeros(1, 4),
    "torch.bool": torch.zeros(1, 4, dtype=torch.bool),
    "id 50, and the vocabulary of the decoder has 50; give ids from 0 to 49": torch.tensor([[0, 1], [50, 2]]),
    "id -1, ": torch.tensor([[0, -1, 60]]),
}


@pytest.mark.parametrize("message", WRONG_PROMPTS)
def test_prompts_that_are_not_tokens_of_the_decoder_are_an_error(decoder: Decoder, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate(decoder, WRONG_PROMPTS[message], 1, FULL)
    with pytest.raises(ConfigError, match=message):
        beam_search(decoder, WRONG_PROMPTS[message], 1, FULL, beams=2)


def test_prompts_with_the_first_and_the_last_token_of_the_vocabulary_are_taken(decoder: Decoder) -> None:
    edges = torch.tensor([[0, VOCABULARY - 1]])
    of_ints = generate(decoder, edges.int(), 3, FULL).tokens
    assert torch.equal(of_ints, generate(decoder, edges, 3, FULL).tokens)


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-45, 1e-300])
@pytest.mark.parametrize("top", [None, 5])
def test_at_a_temperature_near_nothing_sampling_is_greedy(
    decoder: Decoder, temperature: float, top: int | None
) -> None:
    prompts = tokens_of(2, PROMPT)
    greedy = generate(decoder, prompts, STEPS, FULL)
    drawn = generate(decoder, prompts, STEPS, FULL, Sampling(temperature, top))
    assert torch.equal(drawn.tokens, greedy.tokens)
    assert torch.equal(drawn.log_probability, greedy.log_probability)


@pytest.mark.parametrize("temperature", [1e6, 1e38, 1e300])
def test_at_the_highest_temperatures_the_top_tokens_are_drawn_alike(decoder: Decoder, temperature: float) -> None:
    prompt = tokens_of(1, PROMPT).expand(600, PROMPT)
    with torch.inference_mode():
        likeliest = set(decoder(prompt[:1])[0, -1].topk(3).indices.tolist())
    drawn = generate(decoder, prompt, 1, FULL, Sampling(temperature, top=3)).tokens.flatten().tolist()
    assert set(drawn) == likeliest
    assert min(drawn.count(token) for token in likeliest) > 150


def test_all_weights_add_up_to_one_for_each_query_where_a_step_computes_them_once(decoder: Decoder) -> None:
    tokens = tokens_of(2, PROMPT + STEPS)
    caches = DecoderCaches(decoder, Eviction(HeavyHitters(), Budget(tokens=PROMPT + STEPS)), queries_at_once=6)
    forced(decoder, tokens, caches, ONE_BY_ONE)
    for layer in caches.layers:
        sums = layer.shrinking._sums[:, :, : PROMPT + STEPS].sum(-1)
        assert torch.allclose(sums, torch.full_like(sums, PROMPT + STEPS), atol=1e-4)


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a program wait for a GPU: numbers of tensors in Python, and sizes that depend on them."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert str(func) not in ("aten._local_scalar_dense.default", "aten.nonzero.default", "aten.equal.default"), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", METHODS)
def test_no_step_waits_for_a_gpu(decoder: Decoder, method: MethodName) -> None:
    tokens = tokens_of(2, PROMPT + STEPS)
    caches = DecoderCaches(decoder, eviction(method, Budget(share=0.5), STEPS))
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NoWaiting():
        float(decoder.slopes[0])
    with NoWaiting():
        forced(decoder, tokens, caches, ONE_BY_ONE)
        caches.choose_rows(torch.tensor([1, 1]))
        forced(decoder, tokens, caches, [1])
