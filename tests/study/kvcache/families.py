"""Small models of each family, with random weights large enough that heads attend to different tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
import transformers
from packaging.version import Version
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MptConfig,
    MptForCausalLM,
    PreTrainedModel,
)

VOCABULARY = 61
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def gptj() -> PreTrainedModel:
    shape = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "rotary_dim": 4}
    return GPTJForCausalLM(GPTJConfig(vocab_size=VOCABULARY, **shape, **ENDS))


def gpt2() -> PreTrainedModel:
    shape = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **shape, **ENDS))


def neox() -> PreTrainedModel:
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=VOCABULARY, max_position_embeddings=64, **shape, **ENDS))


def mpt() -> PreTrainedModel:
    shape = {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": 64}
    return MptForCausalLM(MptConfig(vocab_size=VOCABULARY, **shape, **ENDS))


def llama() -> PreTrainedModel:
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
    config = LlamaConfig(
        vocab_size=VOCABULARY, num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-6, **shape, **ENDS
    )
    return LlamaForCausalLM(config)


ALL_FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "gptj": gptj,
    "gpt2": gpt2,
    "neox": neox,
    "mpt": mpt,
    "llama": llama,
}
SERVED_SINCE = {"gptj": "4.48", "llama": "4.48", "neox": "4.49", "gpt2": "4.52", "mpt": "4.54"}
"""Versions of transformers, as docs/kvcache.md names them."""
FAMILIES = [name for name in ALL_FAMILIES if Version(transformers.__version__) >= Version(SERVED_SINCE[name])]
"""Those that the installed version can serve."""


def small_model(family: str) -> PreTrainedModel:
    torch.manual_seed(5)
    model = ALL_FAMILIES[family]().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight.normal_(0, 0.4)
    return model


def random_tokens(rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))
