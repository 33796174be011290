"""Models of Transformers with random parameters, and a tokenizer, saved to a folder: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

__all__ = ["KINDS", "WIDTH", "save_model", "save_tokenizer"]

WIDTH = 16
VOCABULARY = 700
END = "<|endoftext|>"

TEXT = "the quick brown fox jumps over the lazy dog " * 3


def gpt2() -> Any:
    """Learned positions: no more than 48 tokens."""
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=WIDTH,
            n_layer=2,
            n_head=2,
            n_positions=48,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def llama() -> Any:
    """Rotary positions and grouped heads."""
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        )
    )


KINDS = {"gpt2": gpt2, "llama": llama}


def save_model(kind: str, folder: Path, seed: int = 5) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        KINDS[kind]().save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path) -> None:
    """As Transformers saves one, with an end-of-text token that it adds to no text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([TEXT], trainer)
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END).save_pretrained(folder)
