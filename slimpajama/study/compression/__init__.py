"""How far a model compresses a text, from its hidden states: Matrix Nuclear-Norm, entropy, ranks, nuclear norm.

Each function takes the states of one text ``(tokens, width)`` and gives one number, or those of a batch
``(texts, tokens, width)``, padded at the end, with the ``lengths`` of the texts, and gives one for each. NumPy arrays
give NumPy arrays in float64; tensors give tensors on their device. :mod:`.definitions` has the formulas. Raises
:class:`~slimpajama.InputError` for states that have no measure, :class:`~slimpajama.ConfigError` for a wrong shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from slimpajama.study.compression import definitions

__all__ = [
    "diff_effective_rank",
    "effective_rank",
    "matrix_entropy",
    "matrix_nuclear_norm",
    "nuclear_norm",
]

States = TypeVar("States")
"""A NumPy array, or a tensor of PyTorch."""


def matrix_nuclear_norm(states: States, lengths: Sequence[int] | None = None, *, columns: int | None = None) -> States:
    """The ``columns`` largest column lengths of the normalised states, added up and divided by the tokens.

    ``columns``: the paper's D; by default the smaller of tokens and width. Lower is more compressed. It depends on the
    basis of the hidden space, and grows with the length of the text. O(tokens × width).
    """
    found: States = _measures(states).matrix_nuclear_norm(states, lengths, columns)
    return found


def matrix_entropy(states: States, lengths: Sequence[int] | None = None) -> States:
    """The entropy of the covariance's eigenvalues over the logarithm of the width: 0 to 1."""
    found: States = _measures(states).matrix_entropy(states, lengths)
    return found


def effective_rank(states: States, lengths: Sequence[int] | None = None) -> States:
    """e to that entropy in nats: how many directions the states use, 1 to the smaller of tokens and width."""
    found: States = _measures(states).effective_rank(states, lengths)
    return found


def diff_effective_rank(untrained: States, trained: States, lengths: Sequence[int] | None = None) -> float:
    """Diff-eRank: the effective rank of the untrained model less that of the trained one, on the same texts.

    Of a batch, each model's rank is e to the mean entropy of its texts, as published.
    """
    before, after = (_measures(states).entropy_nats(states, lengths).mean().item() for states in (untrained, trained))
    return float(np.exp(before) - np.exp(after))


def nuclear_norm(states: States, lengths: Sequence[int] | None = None) -> States:
    """The singular values of the normalised states, added up, not divided by the tokens."""
    found: States = _measures(states).nuclear_norm(states, lengths)
    return found


def _measures(states: object) -> Any:
    if isinstance(states, np.ndarray):
        return definitions
    from slimpajama.study.compression import torch_measures

    return torch_measures
