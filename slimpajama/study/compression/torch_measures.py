"""The measures of :mod:`.definitions` in PyTorch, on the device where the states are.

The Matrix Nuclear-Norm is computed in float32, or float64 where that is given; what rests on a spectrum always in
float64, since the square of Z, rounded to float32, hides the small eigenvalues that make up much of an entropy. Half
precision is widened first. One question to the device for each call: whether the states can be measured at all.
:func:`all_measures` takes all from one eigenvalue decomposition; its nuclear norm adds the roots of eigenvalues, which
is good to about seven digits, where :func:`nuclear_norm` takes singular values and is good to fifteen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slimpajama.study.compression.batches import (
    ROUNDING,
    checked_columns,
    checked_lengths,
    refuse_rows,
    refuse_values,
)
from slimpajama.study.compression.definitions import log_width

__all__ = [
    "TextMeasures",
    "all_measures",
    "effective_rank",
    "entropy_nats",
    "matrix_entropy",
    "matrix_nuclear_norm",
    "normalised",
    "nuclear_norm",
]


@dataclass(frozen=True, slots=True)
class TextMeasures:
    """All measures of n texts, each ``float64[n]`` on the CPU.

    ``nuclear_norm``: divided by the tokens here, so that it stands beside ``matrix_nuclear_norm``. ``entropy_nats``:
    ``matrix_entropy`` times the logarithm of the width.
    """

    matrix_nuclear_norm: torch.Tensor
    nuclear_norm: torch.Tensor
    matrix_entropy: torch.Tensor
    entropy_nats: torch.Tensor


def normalised(states: torch.Tensor, lengths: Sequence[int] | None = None) -> torch.Tensor:
    """``[texts, tokens, width]``: Z of each text; rows of padding are zero. float64 for that, float32 for the rest."""
    checked = checked_lengths(states.shape, lengths)
    batch = states.reshape(len(checked), *states.shape[-2:])
    batch = batch if batch.dtype == torch.float64 else batch.float()
    counts = torch.tensor(checked, device=states.device)
    padded = min(checked) < batch.shape[1]
    real = torch.arange(batch.shape[1], device=states.device) < counts[:, None]
    if padded:
        batch = batch.masked_fill(~real[:, :, None], 0.0)
    longest = torch.linalg.vector_norm(batch, dim=2).amax(dim=1)
    batch = batch - (batch.sum(dim=1) / counts[:, None])[:, None]
    norms = torch.linalg.vector_norm(batch, dim=2)
    flat = real & ~(norms > ROUNDING * torch.finfo(batch.dtype).eps * longest[:, None])
    if bool((flat.any() | ~torch.isfinite(longest).all()).item()):
        _refuse(longest, flat)
    scale = norms.masked_fill(~real, torch.inf) if padded else norms
    return batch / scale[:, :, None]


def _refuse(longest: torch.Tensor, flat: torch.Tensor) -> None:
    bad = ~torch.isfinite(longest)
    if bool(bad.any()):
        raise refuse_values(int(bad.int().argmax()))
    text, token = flat.nonzero()[0].tolist()
    raise refuse_rows(text, token)


def matrix_nuclear_norm(
    states: torch.Tensor, lengths: Sequence[int] | None = None, columns: int | None = None
) -> torch.Tensor:
    """For each text, the ``columns`` largest column lengths of Z, added up, over its tokens."""
    checked = checked_lengths(states.shape, lengths)
    chosen = checked_columns(columns, checked, states.shape[-1])
    return _shaped(_column_sums(normalised(states, checked), checked, chosen), states)


def _column_sums(z: torch.Tensor, lengths: list[int], columns: list[int]) -> torch.Tensor:
    norms = torch.linalg.vector_norm(z, dim=1)
    counts = torch.tensor(lengths, device=z.device)
    if min(columns) == norms.shape[1]:  # all of them, so their order does not matter
        return norms.sum(dim=1) / counts
    sums = norms.sort(dim=1, descending=True).values.cumsum(dim=1)
    last = torch.tensor(columns, device=z.device)[:, None] - 1
    return sums.gather(1, last)[:, 0] / counts


def nuclear_norm(states: torch.Tensor, lengths: Sequence[int] | None = None) -> torch.Tensor:
    """For each text, the singular values of Z, added up; float64."""
    return _shaped(torch.linalg.svdvals(normalised(states.double(), lengths)).sum(dim=1), states)


def entropy_nats(states: torch.Tensor, lengths: Sequence[int] | None = None) -> torch.Tensor:
    """For each text, the entropy of the eigenvalues of Z'Z / tokens, in nats; float64."""
    return _shaped(_entropy(_eigenvalues(normalised(states.double(), lengths))), states)


def matrix_entropy(states: torch.Tensor, lengths: Sequence[int] | None = None) -> torch.Tensor:
    """For each text, the entropy divided by the logarithm of the width; float64."""
    return entropy_nats(states, lengths) / log_width(states.shape)


def effective_rank(states: torch.Tensor, lengths: Sequence[int] | None = None) -> torch.Tensor:
    """For each text, e to the entropy in nats; float64."""
    return entropy_nats(states, lengths).exp()


def all_measures(states: torch.Tensor, lengths: Sequence[int] | None = None) -> TextMeasures:
    """All measures of each text, from one normalisation and one eigenvalue decomposition."""
    checked = checked_lengths(states.shape, lengths)
    scale = log_width(states.shape)
    z = normalised(states.double(), checked)
    mnn = _column_sums(z, checked, checked_columns(None, checked, states.shape[-1]))
    values = _eigenvalues(z)
    # A zero eigenvalue comes out as rounding, whose root would count.
    smallest = values.shape[1] * math.ulp(1.0) * values.amax(dim=1, keepdim=True)
    roots = torch.where(values > smallest, values, 0.0).sqrt().sum(dim=1)
    nats = _entropy(values)
    counts = torch.tensor(checked, device=states.device)
    return TextMeasures(mnn.cpu(), (roots / counts).cpu(), (nats / scale).cpu(), nats.cpu())


def _eigenvalues(z: torch.Tensor) -> torch.Tensor:
    """Of the smaller of Z'Z and ZZ', which have the same but for zeros."""
    turned = z.transpose(1, 2)
    gram = z @ turned if z.shape[1] < z.shape[2] else turned @ z
    return torch.linalg.eigvalsh(gram).clamp(min=0.0)


def _entropy(values: torch.Tensor) -> torch.Tensor:
    shares = values / values.sum(dim=1, keepdim=True)
    return 0.0 - torch.special.xlogy(shares, shares).sum(dim=1)


def _shaped(found: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """One number for one text, a tensor of them for a batch."""
    return found.reshape(states.shape[:-2])
