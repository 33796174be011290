"""Keyformer (arXiv 2403.09054): keep the recent tokens and the key tokens, by a noisy softmax that adds up.

A query's logits get noise and are divided by a temperature that rises from ``first_temperature`` to
``last_temperature`` over the generation; the softmax of that is added to each token's sum, over the prompt and over all
generated tokens, in each head by itself. The attention itself is untouched: noise and temperature choose tokens only.

The logits are taken as the logarithm of the attention: the two differ by one number for each query, which no softmax
sees. A token whose attention is 0 in float32 (or in the model's own half precision, where the model rounds it) adds
nothing to its sum.

The released code differs from the paper and is not followed: there, a token that leaves the window is always dropped
and no generated token can become a key token (see docs/kvcache.md).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.noise import HashedNoise, NoiseSource
from slimpajama.study.kvcache.scorers import LayerTokens, forever, mean_over_group


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
        if self.generated < 1:
            raise ConfigError(f"Keyformer has generated={self.generated}; give the number of tokens to be generated.")
        if not 0 <= self.recent_share <= 1:
            raise ConfigError(f"Keyformer has recent_share={self.recent_share}; give a share of the budget, 0 to 1.")
        if min(self.first_temperature, self.last_temperature) <= 0:
            raise ConfigError(
                f"Keyformer has the temperatures {self.first_temperature} and {self.last_temperature}; "
                "both must be above 0."
            )

    def queries_read(self, queries: int) -> int:
        """All of them: scores add up over the whole prompt."""
        return queries

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
        positions = kwargs.positions.repeat_interleave(attentions.shape[1] // kv_heads, 1)
        logits = attentions.log()
        noise = self.noise.draw(kwargs.layer, kwargs.queries, positions)
        if noise is not None:
            logits = logits + noise
        count = attentions.shape[2]
        if kwargs.first_step and count > 1:
            steps = range(kwargs.first_step, kwargs.first_step + count)
            temperatures = torch.tensor([self.temperature(step) for step in steps], device=logits.device)
            logits = logits / temperatures[:, None]
        elif (temperature := self.temperature(kwargs.first_step)) != 1:
            logits = logits / temperature
        kwargs.sums.add_(mean_over_group(logits.softmax(-1).sum(2), kv_heads))
        return forever(kwargs.sums, kwargs.newest_share(self.recent_share))
