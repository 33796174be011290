"""Cross entropy of a tied output matrix, without ever holding the logits of a whole batch.

The logits of some tokens at a time are made, turned into losses and then, in place, into their own gradients, which are
multiplied out at once. So a step of 2,048 tokens and 4,096 entries holds 4 MB of logits instead of three times 33, and
they stay in the cache of the CPU. Losses are summed in single precision whatever the model computes in. Rejected:
losses over a sample of the vocabulary, which are other losses.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["CHUNK_LOGITS", "mean_loss", "token_losses"]

CHUNK_LOGITS = 1 << 20
"""Logits that are held at a time on a CPU, about; a GPU takes 2^8 times as many."""


def _chunk(hidden: Tensor, vocabulary: int) -> int:
    held = CHUNK_LOGITS if hidden.device.type == "cpu" else CHUNK_LOGITS << 8
    return max(1, held // vocabulary)


def mean_loss(hidden: Tensor, weight: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Mean cross entropy, in nats, of ``labels`` ``[n]`` under the logits ``scale * hidden @ weight.T``.

    ``hidden`` ``[n, width]``. Negative labels are left out; the mean of none is 0.
    """
    loss: Tensor = _MeanLoss.apply(hidden, weight.to(hidden.dtype), labels, scale)  # type: ignore[no-untyped-call, unused-ignore]
    return loss


def token_losses(hidden: Tensor, weight: Tensor, labels: Tensor, scale: float) -> Tensor:
    """The cross entropy of each label ``float32[n]``, 0 for negative ones; without gradients."""
    with torch.no_grad():
        size = _chunk(hidden, weight.shape[0])
        parts = []
        for rows, found in zip(hidden.split(size), labels.split(size), strict=True):
            logits = (rows @ weight.t()).float().mul_(scale)
            right = logits.gather(1, found.clamp(min=0)[:, None])[:, 0]
            parts.append(torch.where(found >= 0, torch.logsumexp(logits, 1) - right, 0))
        return torch.cat(parts)


class _MeanLoss(torch.autograd.Function):
    """The gradients are made with the loss, so that logits are needed once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, scale: float) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            counted = labels >= 0
            share = 1 / max(1, int(counted.sum()))
            losses = torch.zeros((), dtype=torch.float32, device=hidden.device)
            hidden_gradient = torch.empty_like(hidden)
            weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
            size = _chunk(hidden, weight.shape[0])
            for begin in range(0, len(hidden), size):
                part = slice(begin, begin + size)
                rows, counts, place = hidden[part], counted[part], labels[part].clamp(min=0)[:, None]
                logits = (rows @ weight.t()).float().mul_(scale)
                right = logits.gather(1, place)
                total = torch.logsumexp(logits, 1, keepdim=True)
                losses += torch.where(counts, (total - right)[:, 0], 0).sum()
                logits.sub_(total).exp_()
                logits.scatter_add_(1, place, logits.new_full((1, 1), -1).expand_as(place))
                gradient = logits.mul_((counts * (share * scale))[:, None]).to(weight.dtype)
                torch.mm(gradient, weight, out=hidden_gradient[part])
                if weight.dtype == torch.float32:
                    weight_gradient.addmm_(gradient.t(), rows)
                else:
                    weight_gradient.add_(gradient.t() @ rows)
            ctx.save_for_backward(hidden_gradient, weight_gradient.to(weight.dtype))
            return losses * share

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradients[0], weight_gradient * gradients[0], None, None
