"""Generating with the study's own decoder and a cache that shrinks: greedy search, sampling, beams.

Models of ``transformers`` have ``generate`` for this. Prompts of a batch have one length. A beam is a row of the cache:
when a beam goes on from another one, it takes over that one's keys, values and sums, and keeps its own set from there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import check_tokens, is_number, is_whole
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import Eviction
from slimpajama.study.model.decoder import Decoder

LEAST_SEED, MOST_SEED = -(2**63), 2**64 - 1
"""That PyTorch takes."""
LOGITS = torch.finfo(torch.float32)
"""The type that probabilities are computed in."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Draw from the softmax at ``temperature``, of the ``top`` likeliest tokens only if it is given.

    One generator, begun with ``seed``, draws for all rows. So what a row samples depends on the batch it is in, while
    greedy search and beams give each row what it gets alone.
    """

    temperature: float = 1.0
    top: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_number(self.temperature) or not 0 < self.temperature < math.inf:
            raise ConfigError(f"sampling has temperature={self.temperature!r}; give a finite number above 0")
        if self.top is not None and not is_whole(self.top):
            raise ConfigError(
                f"sampling has top={self.top!r}; give a whole number of 1 or more, or None for all tokens"
            )
        if not is_whole(self.seed, LEAST_SEED) or self.seed > MOST_SEED:
            raise ConfigError(f"sampling has seed={self.seed!r}; give a whole number from {LEAST_SEED} to {MOST_SEED}")


@dataclass(frozen=True, slots=True)
class Generated:
    """Tokens after the prompts, ``[rows, length]``, their log-probabilities in sum, and the cache at the end."""

    tokens: torch.Tensor
    log_probability: torch.Tensor
    caches: DecoderCaches


def check(decoder: Decoder, prompts: torch.Tensor, length: int) -> None:
    """Raise an error for what cannot be generated from."""
    check_tokens(prompts, decoder.configuration.vocabulary)
    if not is_whole(length):
        raise ConfigError(f"a generation has length={length!r}; give a whole number of 1 or more")


def steps(
    decoder: Decoder, prompts: torch.Tensor, caches: DecoderCaches, following: list[torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Log-probabilities ``[rows, vocabulary]`` after the prompts, then after each token put into ``following``."""
    given = prompts
    while True:
        yield decoder.logits(decoder.hidden(given, caches=[*caches.layers])[:, -1]).float().log_softmax(-1)
        given = following[-1][:, None]


@torch.inference_mode()
def generate(
    decoder: Decoder, prompts: torch.Tensor, length: int, eviction: Eviction, sampling: Sampling | None = None
) -> Generated:
    """``length`` tokens after each of ``prompts`` ``[rows, tokens]``: the likeliest each time, or by ``sampling``."""
    check(decoder, prompts, length)
    random = torch.Generator(prompts.device).manual_seed(int(sampling.seed) if sampling else 0)
    caches = DecoderCaches(decoder, eviction)
    chosen: list[torch.Tensor] = []
    total = torch.zeros(len(prompts), device=prompts.device)
    for chances in steps(decoder, prompts, caches, chosen):
        tokens = drawn(chances, sampling, random) if sampling else chances.argmax(-1)
        total = total + chances.gather(1, tokens[:, None])[:, 0]
        chosen.append(tokens)
        if len(chosen) == length:
            return Generated(torch.stack(chosen, 1), total, caches)
    raise AssertionError("steps never end")


def drawn(chances: torch.Tensor, sampling: Sampling, random: torch.Generator) -> torch.Tensor:
    """One token a row. The largest logit is made 0, so that it stays finite at the lowest temperature."""
    if sampling.top is not None:
        least = chances.topk(min(sampling.top, chances.shape[1])).values[:, -1:]
        chances = chances.masked_fill(chances < least, -torch.inf)
    temperature = min(max(sampling.temperature, LOGITS.tiny), LOGITS.max)
    chances = (chances - chances.amax(-1, keepdim=True)) / temperature
    return torch.multinomial(chances.softmax(-1), 1, generator=random)[:, 0]


@torch.inference_mode()
def beam_search(decoder: Decoder, prompts: torch.Tensor, length: int, eviction: Eviction, beams: int) -> Generated:
    """The likeliest of ``beams`` continuations of each prompt, all ``length`` tokens long.

    ``caches`` of the result are those of all beams, the best of each prompt first.
    """
    check(decoder, prompts, length)
    rows, vocabulary = len(prompts), decoder.configuration.vocabulary
    if not is_whole(beams) or beams > vocabulary:
        raise ConfigError(
            f"a search has beams={beams!r}; give a whole number from 1 to the size of the vocabulary, {vocabulary}"
        )
    caches = DecoderCaches(decoder, eviction)
    following: list[torch.Tensor] = []
    first_of_row = torch.arange(rows, device=prompts.device)[:, None] * beams
    for chances in steps(decoder, prompts, caches, following):
        if not following:  # one row a prompt so far: its best tokens begin the beams
            total, tokens = chances.topk(beams)
            caches.choose_rows(torch.arange(rows, device=prompts.device).repeat_interleave(beams))
            paths = tokens.reshape(-1, 1)
        else:
            reached = total[:, :, None] + chances.view(rows, beams, -1)
            total, best = reached.flatten(1).topk(beams)
            origin = (first_of_row + best // chances.shape[1]).flatten()
            caches.choose_rows(origin)
            paths = torch.cat((paths[origin], (best % chances.shape[1]).reshape(-1, 1)), 1)
        following.append(paths[:, -1])
        if len(following) == length:
            return Generated(paths[::beams], total[:, 0], caches)
    raise AssertionError("steps never end")
