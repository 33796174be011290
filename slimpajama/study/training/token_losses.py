"""Cross entropy of a tied output matrix, without ever holding the logits of a whole batch.

The logits of some tokens at a time are made, turned into losses and then, in place, into their own gradients, which are
multiplied out at once. So a step of 2,048 tokens and 4,096 entries holds 4 MB of logits instead of three times 33, and
they stay in the cache of the CPU. Losses are summed in single precision whatever the model computes in. Rejected:
losses over a sample of the vocabulary, which are other losses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["CHUNK_LOGITS", "LogitChunk", "in_place", "mean_loss", "to_be_fused", "token_losses"]

CHUNK_LOGITS = 1 << 20
"""Logits that are held at a time on a CPU, about; a GPU takes 2^9 times as many."""

ROW_MULTIPLE = 128
"""What a GPU has the rows of the output matrix filled up to: products with an odd number of them take twice as long."""


def _chunk(hidden: Tensor, vocabulary: int) -> int:
    """A power of two on a GPU, so that all chunks of a batch are alike."""
    if hidden.device.type == "cpu":
        return max(1, CHUNK_LOGITS // vocabulary)
    return 1 << max(0, ((CHUNK_LOGITS << 9) // vocabulary).bit_length() - 1)


def mean_loss(hidden: Tensor, weight: Tensor, labels: Tensor, scale: float, *, compiled: bool = False) -> Tensor:
    """Mean cross entropy, in nats, of ``labels`` ``[n]`` under the logits ``scale * hidden @ weight.T``.

    ``hidden`` ``[n, width]``. Negative labels are left out; the mean of none is 0. ``compiled``: whether logits are
    turned into gradients by compiled code, and by rows that a GPU multiplies fast.
    """
    loss: Tensor = _MeanLoss.apply(hidden, weight.to(hidden.dtype), labels, scale, compiled)  # type: ignore[no-untyped-call, unused-ignore]
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


class LogitChunk(NamedTuple):
    """Losses ``float32[n]`` and the gradient of the logits ``[n, vocabulary]``."""

    losses: Tensor
    gradient: Tensor


def in_place(logits: Tensor, labels: Tensor, share: Tensor) -> LogitChunk:
    """The fewest passes over logits, and one exponential of each. ``share``: what their gradient is multiplied by."""
    kind = logits.dtype
    counts, place = labels >= 0, labels.clamp(min=0)[:, None]
    logits = logits.float()
    highest = logits.amax(1, keepdim=True)
    right = logits.gather(1, place)
    total = logits.sub_(highest).exp_().sum(1, keepdim=True)
    losses = torch.where(counts, (total.log() + highest - right)[:, 0], 0)
    logits.scatter_add_(1, place, -total)
    return LogitChunk(losses, logits.mul_((counts * share)[:, None] / total).to(kind))


def to_be_fused(logits: Tensor, labels: Tensor, share: Tensor, scale: float, entries: int) -> LogitChunk:
    """The same, written so that a compiler makes two passes of it. ``entries``: of the vocabulary; columns after them
    are fill."""
    kind = logits.dtype
    counts, place = labels >= 0, labels.clamp(min=0)[:, None]
    column = torch.arange(logits.shape[1], device=logits.device)
    scaled = torch.where(column < entries, logits.float() * scale, -torch.inf)
    total = torch.logsumexp(scaled, 1, keepdim=True)
    right = logits.gather(1, place).float() * scale
    losses = torch.where(counts, (total - right)[:, 0], 0)
    gradient = (torch.exp(scaled - total) - (column == place).float()) * (counts * (share * scale))[:, None]
    return LogitChunk(losses, gradient.to(kind))


@functools.cache
def _compiled() -> Callable[[Tensor, Tensor, Tensor, float, int], LogitChunk]:
    made: Callable[[Tensor, Tensor, Tensor, float, int], LogitChunk] = torch.compile(to_be_fused, dynamic=False)
    return made


class _MeanLoss(torch.autograd.Function):
    """The gradients are made with the loss, so that logits are needed once."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, labels: Tensor, scale: float, compiled: bool) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            entries = len(weight)
            if compiled:
                weight = functional.pad(weight, (0, 0, 0, -entries % ROW_MULTIPLE))
            share = 1 / (labels >= 0).sum().clamp(min=1)
            losses = torch.zeros((), dtype=torch.float32, device=hidden.device)
            hidden_gradient = torch.empty_like(hidden)
            weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
            size = _chunk(hidden, len(weight))
            for begin in range(0, len(hidden), size):
                part = slice(begin, begin + size)
                rows = hidden[part]
                if compiled:
                    chunk = _compiled()(rows @ weight.t(), labels[part], share, scale, entries)
                else:
                    chunk = in_place((rows * scale) @ weight.t(), labels[part], share * scale)
                losses += chunk.losses.sum()
                torch.mm(chunk.gradient, weight, out=hidden_gradient[part])
                if weight.dtype == torch.float32:
                    weight_gradient.addmm_(chunk.gradient.t(), rows)
                else:
                    weight_gradient.add_(chunk.gradient.t() @ rows)
            ctx.save_for_backward(hidden_gradient, weight_gradient[:entries].to(weight.dtype))
            return losses * share

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * gradients[0], weight_gradient * gradients[0], None, None, None
