"""How one model is trained, and what changes from step to step: the learning rate and the weight decay.

The learning rate rises linearly from 0 to its highest value and falls linearly to a share of it. Weight decay is one
number, or three phases of it: 0 to converge fast, then much against over-fitting, then the usual value (PTWD, which
SlimPajama-DC made for large batches; the lengths of its phases were not published, so they are settings here).
"""

from __future__ import annotations

from dataclasses import dataclass

from slimpajama.errors import ConfigError

__all__ = ["PTWD_DECAYS", "TrainingSettings"]

PTWD_DECAYS = (0.0, 0.5, 0.1)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How one model is trained.

    ``tokens``: to train on; ``batch_tokens`` in a step, in windows of ``window`` tokens. ``learning_rate``: the highest
    one, of parameters that do not follow the width. ``warm_up``, ``final_rate``: as shares of the steps and of
    ``learning_rate``. ``phases``: the shares of the steps that the three phases of PTWD take, or none, for
    ``weight_decay`` throughout. ``documents``: whether tokens look at their own document only. ``checkpoint_steps``:
    how often the state is saved. ``compile``: ``None`` for ``torch.compile`` on a GPU only.
    """

    tokens: int
    batch_tokens: int = 4096
    window: int = 256
    learning_rate: float = 0.012
    warm_up: float = 0.05
    final_rate: float = 0.1
    weight_decay: float = 0.1
    phases: tuple[float, float, float] | None = None
    clip: float = 1.0
    seed: int = 1
    documents: bool = False
    checkpoint_steps: int = 200
    compile: bool | None = None

    def __post_init__(self) -> None:
        if self.batch_tokens % self.window or self.batch_tokens < self.window:
            raise ConfigError(
                f"a batch of {self.batch_tokens:,} tokens is not whole windows of {self.window:,}; "
                f"give a multiple of {self.window:,} as batch_tokens"
            )
        if self.tokens < self.batch_tokens:
            raise ConfigError(
                f"{self.tokens:,} tokens are less than one batch of {self.batch_tokens:,}; train on more, or make "
                "batch_tokens smaller"
            )
        if self.phases is not None and not (min(self.phases) >= 0 and abs(sum(self.phases) - 1) <= 1e-6):
            raise ConfigError(
                f"the phases of weight decay are {', '.join(map(str, self.phases))}; give three shares that sum to 1"
            )

    @property
    def steps(self) -> int:
        """Whole batches of ``tokens``."""
        return self.tokens // self.batch_tokens

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(1, round(self.warm_up * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        left = (self.steps - step) / max(1, self.steps - warm)
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * left)

    def decay(self, step: int) -> float:
        """The weight decay of a step."""
        if self.phases is None:
            return self.weight_decay
        first, second, _ = self.phases
        done = step / self.steps
        return PTWD_DECAYS[(done >= first) + (done >= first + second)]
