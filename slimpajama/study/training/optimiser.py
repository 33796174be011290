"""AdamW (0.9, 0.95) with the learning rates of muP: matrices inside the blocks learn at the rate that their width asks.

Embeddings, biases and the parameters of LayerNorm learn at the full rate. Biases and LayerNorm are not decayed. Decay
is the usual one of AdamW, multiplied by the rate of its parameters; the published runs do not say which they took.
"""

from __future__ import annotations

import torch
from torch import nn

from slimpajama.study.model.decoder import Decoder
from slimpajama.study.training.settings import TrainingSettings

__all__ = ["made_optimiser", "set_step"]

BETAS = (0.9, 0.95)
EPSILON = 1e-8


def made_optimiser(model: Decoder) -> torch.optim.AdamW:
    """The optimiser of all parameters of ``model``; :func:`set_step` must be called before each step."""
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            vectors.append(weight)
        elif not name.startswith("embedding."):
            matrices.append(weight)
    groups = [
        {"params": matrices, "rate": model.configuration.matrix_rate, "decayed": True},
        {"params": [model.embedding.weight], "rate": 1.0, "decayed": True},
        {"params": vectors, "rate": 1.0, "decayed": False},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=0.0, fused=True)


def set_step(optimiser: torch.optim.Optimizer, settings: TrainingSettings, step: int) -> None:
    """Give all groups the learning rate and the weight decay of ``step``."""
    for group in optimiser.param_groups:
        group["lr"] = settings.rate(step) * group["rate"]
        group["weight_decay"] = settings.decay(step) if group["decayed"] else 0.0
