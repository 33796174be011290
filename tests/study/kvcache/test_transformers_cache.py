"""Models of transformers with a cache that shrinks: full attention where nothing is dropped, and its twin by masks."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM, PreTrainedModel

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.eviction import METHODS, Eviction, MethodName, eviction
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.kvcache.noise import HashedNoise
from slimpajama.study.kvcache.transformers_cache import ShrinkingCache, attached, cache_argument
from tests.study.kvcache.families import ALL_FAMILIES, FAMILIES, SERVED_SINCE, random_tokens, small_model

PROMPT, STEPS = 16, 8
Kept = list[list[list[list[int]]]]
"""Places kept, by layer, row and head, as they were when a step began."""


@torch.no_grad()
def forced_logits(
    model: PreTrainedModel, tokens: torch.Tensor, cache: ShrinkingCache, parts: list[int]
) -> tuple[torch.Tensor, list[Kept]]:
    """Logits of ``tokens`` given in ``parts``, and what was in the cache before each."""
    logits, kept, first = [], [], 0
    with attached(model, cache):
        for count in parts:
            kept.append(
                [
                    [[layer.kept(row, head) for head in range(layer.positions.shape[1])] for row in range(len(tokens))]
                    for layer in cache.shrinking.values()
                ]
            )
            given = tokens[:, first : first + count]
            logits.append(model(given, use_cache=True, **{cache_argument(model): cache}).logits)
            first += count
    return torch.cat(logits, 1), kept


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_a_budget_that_is_large_enough_gives_the_logits_of_full_attention(family: str, method: MethodName) -> None:
    model, tokens = small_model(family), random_tokens(2, PROMPT + STEPS)
    with torch.no_grad():
        full = model(tokens).logits
    cache = ShrinkingCache(eviction(method, Budget(tokens=PROMPT + STEPS), STEPS))
    logits, _ = forced_logits(model, tokens, cache, [PROMPT, 1, 1, 3, *[1] * (STEPS - 5)])
    assert torch.allclose(logits, full, atol=1e-5, rtol=1e-5)
    assert full.std() > 0.1  # there is something to get wrong


@torch.no_grad()
def masked_logits(model: PreTrainedModel, tokens: torch.Tensor, kept: list[Kept], parts: list[int]) -> torch.Tensor:
    """The twin: one pass over all tokens without a cache, in which each head of each layer is masked to ``kept``."""
    length = tokens.shape[1]
    layers = [module for module in model.modules() if type(module).__name__.endswith("Attention")]
    masks = []
    for index, module in enumerate(layers):
        heads = model.config.num_attention_heads
        seen = torch.ones(length, length).tril().bool().repeat(len(tokens), heads, 1, 1)
        first = 0
        for count, at_start in zip(parts, kept, strict=True):
            if first:
                for row in range(len(tokens)):
                    for head in range(heads):
                        group = heads // len(at_start[index][row])
                        seen[row, head, first : first + count, :first] = False
                        seen[row, head, first : first + count, at_start[index][row][head // group]] = True
            first += count
        boolean = type(module).__name__ == "MptAttention"  # there, True is masked
        masks.append(~seen if boolean else torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min))

    def replaced(mask: torch.Tensor) -> Any:
        def hook(module: object, args: Any, kwargs: dict[str, Any]) -> Any:
            return args, {**kwargs, "attention_mask": mask}

        return hook

    hooks = [
        module.register_forward_pre_hook(replaced(mask), with_kwargs=True)
        for module, mask in zip(layers, masks, strict=True)
    ]
    model.config._attn_implementation = "eager"
    logits: torch.Tensor = model(tokens, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["keyformer", "h2o", "streaming_llm", "tova", "snapkv"])
@pytest.mark.parametrize("parts", [[PROMPT, *[1] * STEPS], [PROMPT, 2, 1, 1, 3, 1]], ids=["one by one", "in parts"])
def test_the_shrunk_cache_gives_what_full_attention_gives_with_the_rest_masked(
    family: str, method: MethodName, parts: list[int]
) -> None:
    model, tokens = small_model(family), random_tokens(2, PROMPT + STEPS)
    cache = ShrinkingCache(eviction(method, Budget(share=0.5), STEPS))
    logits, kept = forced_logits(model, tokens, cache, parts)
    assert torch.allclose(logits, masked_logits(model, tokens, kept, parts), atol=2e-5, rtol=1e-5)
    if method in ("keyformer", "h2o"):
        last = kept[-1]
        assert last[0][0][0] != last[0][0][1] or last[1][0][0] != last[1][0][1]  # heads keep their own
        assert last[0][0] != last[0][1] or last[1][0] != last[1][1]  # rows keep their own
    if method not in ("snapkv",):
        assert {len(places) for layer in kept[-1] for row in layer for places in row} == {PROMPT // 2}


@torch.no_grad()
def generated(model: PreTrainedModel, cache: ShrinkingCache, tokens: torch.Tensor, **settings: Any) -> Any:
    with attached(model, cache):
        return model.generate(
            tokens,
            **{cache_argument(model): cache},
            max_new_tokens=STEPS,
            return_dict_in_generate=True,
            eos_token_id=None,
            pad_token_id=0,
            **settings,
        )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_a_row_that_is_padded_keeps_and_gives_what_it_does_alone(family: str, method: MethodName) -> None:
    model, tokens, pads = small_model(family), random_tokens(2, PROMPT), 5
    mask = torch.ones_like(tokens)
    mask[1, :pads] = 0
    how = eviction(method, Budget(share=0.6), STEPS)
    together, alone = ShrinkingCache(how), ShrinkingCache(how)
    settings: dict[str, Any] = {"do_sample": False, "output_logits": True}
    both = generated(model, together, tokens.where(mask.bool(), 0), attention_mask=mask, **settings)
    single = generated(model, alone, tokens[1:, pads:], **settings)
    assert torch.equal(both.sequences[1, PROMPT:], single.sequences[0, PROMPT - pads :])
    assert torch.allclose(torch.stack(both.logits)[:, 1], torch.stack(single.logits)[:, 0], atol=1e-5, rtol=1e-4)
    for index, layer in alone.shrinking.items():
        for head in range(layer.positions.shape[1]):
            assert together.layer(index).kept(1, head) == layer.kept(0, head)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_beam_has_the_cache_that_its_own_tokens_make(family: str) -> None:
    model, tokens = small_model(family), random_tokens(2, PROMPT)
    how = Eviction(Keyformer(STEPS, noise=HashedNoise(fresh=True)), Budget(share=0.5))
    beams = generated(
        model,
        ShrinkingCache(how),
        tokens,
        num_beams=3,
        num_return_sequences=3,
        do_sample=False,
        length_penalty=0.0,
        output_scores=True,
    )
    for row, score in zip(beams.sequences, beams.sequences_scores, strict=True):
        logits, _ = forced_logits(model, row[None], ShrinkingCache(how), [PROMPT, *[1] * STEPS])
        chances = logits[0].log_softmax(-1)[PROMPT - 1 : -1].gather(1, row[PROMPT:, None])
        assert float(chances.sum()) == pytest.approx(float(score), abs=1e-3)
    assert len({tuple(row.tolist()) for row in beams.sequences}) == 6


def test_sampling_with_a_full_cache_gives_the_tokens_it_gives_without_one() -> None:
    model, tokens = small_model("llama"), random_tokens(2, PROMPT)
    torch.manual_seed(1)
    with torch.no_grad():
        plain = model.generate(tokens, do_sample=True, max_new_tokens=STEPS, eos_token_id=None, pad_token_id=0)
    torch.manual_seed(1)
    assert torch.equal(generated(model, ShrinkingCache(Eviction()), tokens, do_sample=True).sequences, plain)


def test_the_memory_is_that_of_the_budget_and_one_slot() -> None:
    model, tokens = small_model("llama"), random_tokens(2, PROMPT)
    cache = ShrinkingCache(eviction("keyformer", Budget(share=0.5), STEPS))
    generated(model, cache, tokens, do_sample=False)
    rows, layers, kv_heads, slots, width, parts, bytes_each = 2, 2, 2, PROMPT // 2 + 1, 8, 2, 4
    used = cache.bytes_used()
    assert used.keys_and_values == rows * layers * kv_heads * slots * width * parts * bytes_each
    assert used.bookkeeping == rows * layers * kv_heads * slots * (4 + 4 + 2 * 4)  # place, sum, and noise of 2 heads
    assert cache.layer(0).keys.untyped_storage().nbytes() * 4 == used.keys_and_values  # no larger tensor behind it


@pytest.mark.skipif("mpt" not in FAMILIES, reason="this version of transformers gives MPT no cache object")
def test_the_model_is_as_it_was_after_the_cache_is_detached() -> None:
    model, tokens = small_model("mpt"), random_tokens(1, PROMPT)
    before = (model.config._attn_implementation, model.config.use_cache, model.generation_config.use_cache)
    with torch.no_grad():
        plain = model(tokens).logits
        generated(model, ShrinkingCache(eviction("h2o", Budget(share=0.5), STEPS)), tokens, do_sample=False)
        assert torch.equal(model(tokens).logits, plain)
    assert (model.config._attn_implementation, model.config.use_cache, model.generation_config.use_cache) == before
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_call_with_another_cache_is_left_alone() -> None:
    model, tokens = small_model("llama"), random_tokens(1, PROMPT)
    cache = ShrinkingCache(eviction("h2o", Budget(share=0.5), STEPS))
    with torch.no_grad(), attached(model, cache):
        inside = model(tokens, use_cache=False).logits
    assert cache.tokens == 0
    with torch.no_grad():
        assert torch.allclose(model(tokens).logits, inside, atol=1e-5)


def test_what_cannot_be_done_is_an_error() -> None:
    model, tokens = small_model("llama"), random_tokens(2, PROMPT)
    cache = ShrinkingCache(eviction("h2o", Budget(share=0.5), STEPS))
    with pytest.raises(ConfigError, match="inside of it"):
        model(tokens, use_cache=True, **{cache_argument(model): cache})
    with pytest.raises(ConfigError, match="cannot be cropped"):
        cache.crop(-1)
    mask = torch.ones_like(tokens)
    mask[1, -3:] = 0
    with pytest.raises(ConfigError, match="padding_side"), attached(model, ShrinkingCache(cache.eviction)) as other:
        model(tokens, attention_mask=mask, use_cache=True, **{cache_argument(model): other})
    assert not cache.is_croppable, "or transformers crops it on some devices"
    bloom = BloomForCausalLM(BloomConfig(vocab_size=9, hidden_size=8, n_layer=1, n_head=2))
    with pytest.raises(ConfigError, match="BloomForCausalLM has no attention"), attached(bloom, cache):
        pass


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_with_the_pad_token_in_its_middle_needs_an_attention_mask(family: str) -> None:
    model, tokens = small_model(family), random_tokens(1, PROMPT)
    tokens[0, 7] = 0
    how = Eviction()
    with pytest.raises(ConfigError, match=r"masked elsewhere than at its start; pad on the left.*pass attention_mask"):
        generated(model, ShrinkingCache(how), tokens, do_sample=False)
    whole = torch.ones_like(tokens)
    found = generated(model, ShrinkingCache(how), tokens, attention_mask=whole, do_sample=False)
    with torch.no_grad():
        plain = model.generate(
            tokens, attention_mask=whole, do_sample=False, max_new_tokens=STEPS, eos_token_id=None, pad_token_id=0
        )
    assert torch.equal(found.sequences, plain)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_family_that_this_version_cannot_serve_is_refused_and_the_others_are_not(family: str) -> None:
    cache = ShrinkingCache(eviction("h2o", Budget(share=0.5), STEPS))
    refused = pytest.raises(
        ConfigError, match=r"takes no cache object; install a newer|has no attention that can shrink"
    )
    with nullcontext() if family in FAMILIES else refused, attached(small_model(family), cache):
        pass


def test_the_docs_name_the_versions() -> None:
    text = " ".join((Path(__file__).parents[3] / "docs" / "kvcache.md").read_text().split())
    names = {"gptj": "GPT-J", "llama": "Llama", "neox": "GPT-NeoX", "gpt2": "GPT-2", "mpt": "MPT"}
    told = dict(re.findall(r"([A-Z][\w-]+) from ([0-9.]+[0-9])", text))
    assert {names[family]: version for family, version in SERVED_SINCE.items()} == told
