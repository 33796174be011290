"""The coordinate check of muP: how much a few steps of training change activations, width by width.

Under muP the change is about the same for all widths, so a learning rate found on a narrow model serves a wide one.
Without it, the change grows with the width. The check trains each width for some steps on the same tokens and compares
activations before and after: the output of each block, and the logits. It costs seconds on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.training.optimiser import made_optimiser, set_step
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.token_losses import mean_loss

__all__ = ["CoordinateChange", "coordinate_check", "growth"]


@dataclass(frozen=True, slots=True)
class CoordinateChange:
    """The mean absolute change of one number: in the output of the last block, and in the logits."""

    width: int
    hidden: float
    logits: float


def coordinate_check(
    shape: DecoderConfiguration, widths: Sequence[int], tokens: Tensor, *, steps: int = 4, rate: float = 0.01
) -> tuple[CoordinateChange, ...]:
    """Train a model of each width ``steps`` times on ``tokens`` ``[batch, length]`` and measure the change.

    ``shape`` gives all but the width: heads keep their width, and the feed-forward part its ratio to the width.
    """
    settings = TrainingSettings(
        tokens=steps * tokens.numel(),
        batch_tokens=tokens.numel(),
        window=tokens.shape[1],
        learning_rate=rate,
        warm_up=0,
        final_rate=1,
    )
    found = []
    for width in widths:
        model = Decoder(
            replace(
                shape,
                width=width,
                heads=width // shape.head_width,
                feed_forward=shape.feed_forward * width // shape.width,
            ),
            seed=1,
        )
        optimiser = made_optimiser(model)
        hidden, logits = _activations(model, tokens)
        for step in range(steps):
            set_step(optimiser, settings, step)
            optimiser.zero_grad(set_to_none=True)
            out = model.hidden(tokens)[:, :-1].flatten(0, 1)
            labels = tokens[:, 1:].flatten()
            mean_loss(out, model.embedding.weight, labels, model.configuration.output_scale).backward()
            optimiser.step()
        after, logits_after = _activations(model, tokens)
        found.append(CoordinateChange(width, _change(hidden, after), _change(logits, logits_after)))
    return tuple(found)


def growth(widths: Sequence[int], changes: Sequence[float]) -> float:
    """The power of the width that the change follows, by least squares on logarithms: 0 where it is flat."""
    x = [math.log(width) for width in widths]
    y = [math.log(change) for change in changes]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - middle_x) ** 2 for a in x)


def _activations(model: Decoder, tokens: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        hidden = model.embedded(tokens)
        bias = model.bias(tokens)
        for block in model.blocks:
            hidden = block(hidden, bias)
        return hidden, model.logits(model.norm(hidden))


def _change(before: Tensor, after: Tensor) -> float:
    return float((after - before).abs().mean())
