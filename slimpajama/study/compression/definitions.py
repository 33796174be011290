"""The measures as they are published, in NumPy and float64: the reference for :mod:`.torch_measures`.

All begin with the same step (arXiv 2410.10672, algorithm 1; arXiv 2401.17139): subtract the mean state of the text from
each token's state, then divide each by its length. That gives Z, of which every row has length 1.

* Matrix Nuclear-Norm: the D largest Euclidean lengths of the columns of Z, added up and divided by the tokens. D is the
  smaller of tokens and width, as in the released code. It depends on the basis: a rotation of the hidden space changes
  it. The others do not.
* Matrix entropy: of the eigenvalues of Z'Z / tokens, which add up to 1; in nats, divided by the logarithm of the width.
* Effective rank: e to that entropy, not divided. Diff-eRank: that of the untrained model less that of the trained one,
  each from the mean entropy of all texts.
* Nuclear norm: the singular values of Z added up; what the Matrix Nuclear-Norm approximates, before the division.

Entropy and rank take the eigenvalues of the smaller of Z'Z and ZZ', which are the same but for zeros: O(n m²) for
m = min(tokens, width). The published code takes the SVD of the width × width matrix. Rejected: ``svdvals`` for the
entropy too (several times slower, and in float64 more accurate than is needed).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import InputError
from slimpajama.study.compression.batches import (
    ROUNDING,
    checked_columns,
    checked_lengths,
    refuse_rows,
    refuse_values,
)

__all__ = ["effective_rank", "entropy_nats", "matrix_entropy", "matrix_nuclear_norm", "normalised", "nuclear_norm"]

Floats = NDArray[np.float64]


def normalised(states: NDArray[Any], lengths: Sequence[int] | None = None) -> Floats:
    """``float64[texts, tokens, width]``: Z of each text; rows of padding are zero, which no measure notices."""
    checked = checked_lengths(states.shape, lengths)
    batch = np.asarray(states, dtype=np.float64).reshape(len(checked), *states.shape[-2:])
    real = np.arange(batch.shape[1]) < np.array(checked)[:, None]
    batch = np.where(real[:, :, None], batch, 0.0)
    bad = ~np.isfinite(batch).all(axis=(1, 2))
    if bad.any():
        raise refuse_values(int(bad.argmax()))
    counts = np.array(checked, dtype=np.float64)[:, None]
    longest = np.linalg.norm(batch, axis=2).max(axis=1)
    batch = np.where(real[:, :, None], batch - (batch.sum(axis=1) / counts)[:, None], 0.0)
    norms = np.linalg.norm(batch, axis=2)
    flat = real & (norms <= ROUNDING * np.finfo(np.float64).eps * longest[:, None])
    if flat.any():
        text, token = np.argwhere(flat)[0].tolist()
        raise refuse_rows(text, token)
    return batch / np.where(real, norms, 1.0)[:, :, None]


def matrix_nuclear_norm(
    states: NDArray[Any], lengths: Sequence[int] | None = None, columns: int | None = None
) -> Floats:
    """For each text, the ``columns`` largest column lengths of Z, added up, over its tokens."""
    checked = checked_lengths(states.shape, lengths)
    chosen = checked_columns(columns, checked, states.shape[-1])
    norms = np.linalg.norm(normalised(states, checked), axis=1)
    sums = np.cumsum(np.sort(norms, axis=1)[:, ::-1], axis=1)
    return _shaped(sums[np.arange(len(checked)), np.array(chosen) - 1] / checked, states)


def nuclear_norm(states: NDArray[Any], lengths: Sequence[int] | None = None) -> Floats:
    """For each text, the singular values of Z, added up."""
    return _shaped(np.linalg.svd(normalised(states, lengths), compute_uv=False).sum(axis=1), states)


def entropy_nats(states: NDArray[Any], lengths: Sequence[int] | None = None) -> Floats:
    """For each text, the entropy of the eigenvalues of Z'Z / tokens, in nats."""
    z = normalised(states, lengths)
    turned = z.transpose(0, 2, 1)
    gram = z @ turned if z.shape[1] < z.shape[2] else turned @ z
    shares = np.maximum(np.linalg.eigvalsh(gram), 0.0)
    shares /= shares.sum(axis=1, keepdims=True)
    terms = shares * np.log(np.where(shares > 0, shares, 1.0))
    return _shaped(0.0 - terms.sum(axis=1), states)


def matrix_entropy(states: NDArray[Any], lengths: Sequence[int] | None = None) -> Floats:
    """For each text, the entropy divided by the logarithm of the width."""
    return np.asarray(entropy_nats(states, lengths) / log_width(states.shape))


def effective_rank(states: NDArray[Any], lengths: Sequence[int] | None = None) -> Floats:
    """For each text, e to the entropy in nats: 1 to the smaller of tokens and width."""
    return np.asarray(np.exp(entropy_nats(states, lengths)))


def log_width(shape: Sequence[int]) -> float:
    """The logarithm of the width. Raises :class:`InputError` where it is zero."""
    if shape[-1] == 1:
        raise InputError("the hidden states have a width of 1, whose entropy has no scale; give wider ones")
    return math.log(shape[-1])


def _shaped(found: Floats, states: NDArray[Any]) -> Floats:
    """One number for one text, an array of them for a batch."""
    return found.reshape(states.shape[:-2])
