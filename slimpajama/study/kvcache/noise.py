"""The noise of Keyformer, as a function of where it falls rather than of when it was drawn.

A number comes from a hash of (seed, layer, head, place of the key) and, when it is fresh, the place of the query. So
the same seed gives the same noise on a CPU and a GPU, for a row alone and in a batch, and a beam that moves to another
row takes its noise along. Rows have the same noise at the same places. A generator was rejected for these reasons. Of
fixed noise, a number is computed once and kept beside its token, so the cost of the hash is that of the prompt.

``fixed`` is the paper's Algorithm 1, which draws before its loop: a token has one number for as long as it is cached.
``fresh`` is what the released code does: a new number for every query. Kinds are those of the paper's ablation:
``gumbel``, ``gaussian`` of the same mean and variance, ``constant`` (the mean of the Gumbel distribution) and ``none``.
A constant cannot change a softmax, so ``constant`` keeps the tokens that ``none`` keeps, whatever table 4 says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from slimpajama.errors import ConfigError

GUMBEL_MEAN = 0.5772156649015329
GUMBEL_DEVIATION = math.pi / math.sqrt(6)

NoiseKind = Literal["gumbel", "gaussian", "constant", "none"]
NOISE_KINDS: tuple[NoiseKind, ...] = ("gumbel", "gaussian", "constant", "none")


class NoiseSource(Protocol):
    """Where Keyformer's noise comes from."""

    @property
    def by_key_alone(self) -> bool:
        """Whether the noise of a key is the same for all queries and at all times, so that a cache may keep it."""
        ...

    def draw(self, layer: int, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor | None:
        """Noise for ``queries`` (batch, queries) and ``keys`` (batch, heads, tokens), both places in their rows.

        It spreads over (batch, heads, queries, tokens); None is no noise.
        """
        ...


@dataclass(frozen=True, slots=True)
class HashedNoise:
    """Noise of one kind; ``fresh`` draws anew for every query."""

    kind: NoiseKind = "gumbel"
    fresh: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in NOISE_KINDS:
            raise ConfigError(f"noise of kind {self.kind!r} is unknown; use one of {', '.join(NOISE_KINDS)}")

    @property
    def by_key_alone(self) -> bool:
        """Of fixed noise; a constant is not worth keeping."""
        return not self.fresh and self.kind in ("gumbel", "gaussian")

    def draw(self, layer: int, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor | None:
        """Noise by the places of keys, and of queries if it is fresh."""
        if self.kind == "none":
            return None
        if self.kind == "constant":
            return torch.full((1, 1, 1, 1), GUMBEL_MEAN, device=keys.device)
        heads = torch.arange(keys.shape[1], device=keys.device)
        stream = mixed(mixed(heads + layer * 0x10001) + self.seed * 0x9E3779B1)[None, :, None]
        if self.fresh:
            of_query = mixed(stream + queries[:, None, :])  # (batch, heads, queries)
            bits = mixed(of_query[..., None] * 31 + keys[:, :, None, :])
        else:
            bits = mixed(stream * 31 + keys)[:, :, None, :]
        uniform = ((bits >> 9).float() + 0.5) / (1 << 23)  # 23 bits: never 0 and never 1 in float32
        if self.kind == "gaussian":
            return torch.special.ndtri(uniform) * GUMBEL_DEVIATION + GUMBEL_MEAN
        return -torch.log(-torch.log(uniform))


def mixed(values: torch.Tensor) -> torch.Tensor:
    """A hash of the low 32 bits of integers, to 32 bits, each bit of which depends on all (the lowbias32 finaliser)."""
    low = 0xFFFFFFFF
    values = values.long() & low
    values = ((values ^ (values >> 16)) * 0x7FEB352D) & low
    values = ((values ^ (values >> 15)) * 0x846CA68B) & low
    return values ^ (values >> 16)
