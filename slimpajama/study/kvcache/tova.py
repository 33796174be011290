"""TOVA (arXiv 2401.06104): keep what the newest token attends to.

The attention of the last query, averaged over the heads of a layer, is the score, so all heads of a layer keep the same
tokens. Nothing is remembered from step to step. The newest token itself stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slimpajama.study.kvcache.scorers import LayerTokens, forever


@dataclass(frozen=True, slots=True)
class LastAttention:
    """TOVA has no settings."""

    prompt_only = False

    def queries_read(self, queries: int) -> int:
        """The last one."""
        return 1

    def score(
        self,
        module: torch.nn.Module | None,
        hidden_states: torch.Tensor | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs: LayerTokens,
    ) -> torch.Tensor:
        """The last query's attention, averaged over heads.

        Heads must hold the same tokens in the same slots for that; they do, since they always drop the same one.
        """
        mean = attentions[:, :, -1].mean(1, keepdim=True)
        return forever(mean.expand(kwargs.positions.shape), kwargs.newest(1))
