"""SnapKV (arXiv 2404.14469): keep what the end of the prompt attends to.

The attention of the last ``window`` queries of the prompt is averaged and smoothed over neighbouring tokens; the window
itself stays. It acts once, after the prompt: generated tokens are never dropped, so its cache grows and holds, at equal
budget, more than those of the other methods.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slimpajama.errors import ConfigError
from slimpajama.study.kvcache.checks import is_whole
from slimpajama.study.kvcache.scorers import LayerTokens, forever, mean_over_group


@dataclass(frozen=True, slots=True)
class PromptEnd:
    """Settings of SnapKV: queries in the window, and tokens that are averaged around each (an odd number)."""

    window: int = 32
    smoothing: int = 5

    prompt_only = True

    def __post_init__(self) -> None:
        if not is_whole(self.window):
            raise ConfigError(f"SnapKV has window={self.window}; give a whole number, 1 or more")
        if not is_whole(self.smoothing) or self.smoothing % 2 == 0:
            raise ConfigError(f"SnapKV has smoothing={self.smoothing}; give an odd number, 1 for none")

    def queries_read(self, queries: int) -> int:
        """The window, or all of a shorter prompt."""
        return min(self.window, queries)

    def score(
        self,
        module: torch.nn.Module | None,
        hidden_states: torch.Tensor | None,
        keys: torch.Tensor,
        values: torch.Tensor,
        attentions: torch.Tensor,
        kwargs: LayerTokens,
    ) -> torch.Tensor:
        """The smoothed mean of the window's attention; the window stays, or as much of it as the budget allows."""
        window = kwargs.newest(kwargs.limits.clamp(max=self.window))
        asked = (kwargs.queries >= (kwargs.lengths - self.window)[:, None]) & (kwargs.queries >= 0)
        weights = asked.float() / kwargs.lengths.clamp(max=self.window)[:, None]
        kwargs.sums.add_(mean_over_group((attentions * weights[:, None, :, None]).sum(2), keys.shape[1]))
        before = kwargs.sums.masked_fill(kwargs.newest(self.window) | (kwargs.positions < 0), 0)
        smooth = torch.nn.functional.avg_pool1d(before, self.smoothing, stride=1, padding=self.smoothing // 2)
        return forever(smooth, window)
