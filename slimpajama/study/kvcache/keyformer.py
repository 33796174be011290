"""Keyformer (arXiv 2403.09054): keep the recent tokens and the key tokens, by a noisy softmax that adds up.

A query's logits get noise and are divided by a temperature that rises from ``first_temperature`` to
``last_temperature`` over the generation; the softmax of that is added to each token's sum, over the prompt and over all
generated tokens, in each head by itself. The attention itself is untouched: noise and temperature choose tokens only.

Where a model gives its attention only, the logits are taken as the logarithm of it: the two differ by one number for
each query, which no softmax sees. A token whose attention is then 0 in float32 (or in the model's own half precision,
where the model rounds it) adds nothing to its sum.

Noise that is fixed is asked for once a token, as its mark; the cache keeps it. Noise that is fresh is drawn here.

The released code differs from the paper and is not followed: there, a token that leaves the window is always dropped
and no generated token can become a key token (see docs/kvcache.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import is_number, is_share, is_whole
from slimpajama.study.kvcache.noise import HashedNoise, NoiseSource
from slimpajama.study.kvcache.scorers import LayerTokens, forever, mean_over_group, of_all_queries


@dataclass(frozen=True, slots=True)
class Keyformer:
    """Settings of Keyformer; ``generated`` is the number of tokens over which the temperature rises."""

    generated: int
    recent_share: float = 0.3
    first_temperature: float = 1.0
    last_temperature: float = 2.0
    noise: NoiseSource = field(default_factory=HashedNoise)

    prompt_only = False

    def __post_init__(self) -> None:
        if not is_whole(self.generated):
            raise ConfigError(f"Keyformer has generated={self.generated}; give the number of tokens to be generated")
        if not is_share(self.recent_share):
            raise ConfigError(f"Keyformer has recent_share={self.recent_share}; give a share of the budget, 0 to 1")
        if not all(is_number(one) and 0 < one < math.inf for one in (self.first_temperature, self.last_temperature)):
            raise ConfigError(
                f"Keyformer has the temperatures {self.first_temperature} and {self.last_temperature}; "
                "both must be numbers above 0"
            )

    def queries_read(self, queries: int) -> int:
        """All of them: scores add up over the whole prompt."""
        return queries

    def marks(self, layer: int, positions: torch.Tensor, heads: int) -> torch.Tensor | None:
        """The noise of each token, where it does not depend on the query."""
        if not self.noise.by_key_alone:
            return None
        nothing = positions.new_zeros(len(positions), 1)
        noise = self.noise.draw(layer, nothing, positions.repeat_interleave(heads // positions.shape[1], 1))
        return None if noise is None else noise[:, :, 0]

    def temperature(self, step: int) -> float:
        """The temperature of generated token ``step``, 0 for the prompt; it stays at the last one after the ramp."""
        rise = self.last_temperature - self.first_temperature
        return self.first_temperature + rise * min(step, self.generated) / self.generated

    def score(
        self,
        module: torch.nn.Module | None,
        hidden_states: torch.Tensor | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs: LayerTokens,
    ) -> torch.Tensor:
        """The sums of the noisy softmax; the recent tokens stay."""
        kv_heads = keys.shape[1]
        logits = attentions.log() if kwargs.logits is None else kwargs.logits
        if kwargs.marks is not None:
            logits = logits + kwargs.marks[:, :, None]
        elif not self.noise.by_key_alone:
            positions = kwargs.positions.repeat_interleave(attentions.shape[1] // kv_heads, 1)
            noise = self.noise.draw(kwargs.layer, kwargs.queries, positions)
            logits = logits if noise is None else logits + noise
        count = attentions.shape[2]
        if kwargs.first_step and count > 1:
            steps = range(kwargs.first_step, kwargs.first_step + count)
            temperatures = torch.tensor([self.temperature(step) for step in steps], device=logits.device)
            logits = logits / temperatures[:, None]
        elif (temperature := self.temperature(kwargs.first_step)) != 1:
            logits = logits / temperature
        kwargs.sums.add_(mean_over_group(of_all_queries(logits.softmax(-1)), kv_heads))
        return forever(kwargs.sums, kwargs.newest_share(self.recent_share))
