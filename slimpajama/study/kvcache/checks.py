"""What callers of the caches hand in: whole numbers, and tokens that the decoder knows.

Each is checked once, before any work. A token outside of the vocabulary stops a GPU for good, so the tokens are read
for it: one wait for the device a call, none a step.
"""

from __future__ import annotations

from numbers import Integral, Real

import torch

from slimpajama.errors import ConfigError

__all__ = ["check_tokens", "is_number", "is_share", "is_whole"]


def is_whole(value: object, least: int = 1) -> bool:
    """Whether ``value`` is a whole number and not below ``least``; True and False are not numbers."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: object) -> bool:
    """Whether ``value`` is a number, whole or not; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_share(value: object) -> bool:
    """Whether ``value`` is a number from 0 to 1."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1


def check_tokens(tokens: torch.Tensor, vocabulary: int) -> None:
    """Raise an error for what is not ``[rows, tokens]`` of a ``vocabulary``, with one token at least."""
    if tokens.dim() != 2 or 0 in tokens.shape:
        raise ConfigError(
            f"tokens have the shape {tuple(tokens.shape)}; give [rows, tokens] with at least one row and one token"
        )
    if tokens.dtype not in (torch.int32, torch.int64):
        raise ConfigError(f"tokens are of type {tokens.dtype}; give whole numbers of type torch.int64")
    least, most = torch.stack(torch.aminmax(tokens)).tolist()
    if least < 0 or most >= vocabulary:
        wrong = least if least < 0 else most
        raise ConfigError(
            f"tokens have the id {wrong}, and the vocabulary of the decoder has {vocabulary}; "
            f"give ids from 0 to {vocabulary - 1}"
        )
