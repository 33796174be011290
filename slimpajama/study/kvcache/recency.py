"""Methods that look at places only: the window, and StreamingLLM (arXiv 2309.17453), a window with attention sinks.

Both keep the original positions, as all methods here do. StreamingLLM as published numbers the cached tokens anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import is_whole
from slimpajama.study.kvcache.scorers import LayerTokens


@dataclass(frozen=True, slots=True)
class RecentTokens:
    """Keep the newest tokens, and the first ``sinks`` of the row (none is the plain window, 4 is StreamingLLM)."""

    sinks: int = 0

    prompt_only = False

    def __post_init__(self) -> None:
        if not is_whole(self.sinks, 0):
            raise ConfigError(f"a window has sinks={self.sinks}; give a whole number, 0 or more")

    def queries_read(self, queries: int) -> int:
        """None: no attention is looked at."""
        return 0

    def score(
        self,
        module: torch.nn.Module | None,
        hidden_states: torch.Tensor | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs: LayerTokens,
    ) -> torch.Tensor:
        """The place of a token; sinks stay."""
        scores = kwargs.positions.float()
        return scores.masked_fill(kwargs.positions < self.sinks, torch.inf) if self.sinks else scores
