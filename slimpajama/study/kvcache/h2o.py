"""H2O (arXiv 2306.14048): keep the recent tokens and the heavy hitters, by the attention they have received.

The plain softmax is added up over the prompt and the generated tokens, in each head by itself. Half of the budget is
recent by default, as its authors have it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import is_share
from slimpajama.study.kvcache.scorers import LayerTokens, forever, mean_over_group, of_all_queries


@dataclass(frozen=True, slots=True)
class HeavyHitters:
    """Settings of H2O."""

    recent_share: float = 0.5

    prompt_only = False

    def __post_init__(self) -> None:
        if not is_share(self.recent_share):
            raise ConfigError(f"H2O has recent_share={self.recent_share}; give a share of the budget, 0 to 1")

    def queries_read(self, queries: int) -> int:
        """All of them: scores add up over the whole prompt."""
        return queries

    def score(
        self,
        module: torch.nn.Module | None,
        hidden_states: torch.Tensor | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs: LayerTokens,
    ) -> torch.Tensor:
        """The sums of attention; the recent tokens stay."""
        kwargs.sums.add_(mean_over_group(of_all_queries(attentions), keys.shape[1]))
        return forever(kwargs.sums, kwargs.newest_share(self.recent_share))
