"""What all measures ask of their input: one text's states, or a batch of them padded at the end, and what is refused.

A measure of one token, of a token that equals the mean of its text, or of numbers that are not finite is 0/0 by the
published formulas. The released code turns these into NaN, which it leaves out, and an empty text into -1, which it
averages. Here each is an error that names the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.errors import ConfigError, InputError

__all__ = ["ROUNDING", "NoDirection", "checked_columns", "checked_lengths", "refuse_rows", "refuse_values"]

ROUNDING = 16
"""Units in the last place of a text's longest row that are taken for rounding: a centred row below is a zero row."""


class NoDirection(InputError):
    """A token's state is the mean of its text, so that the text has no measure."""


def checked_lengths(shape: Sequence[int], lengths: Sequence[int] | None) -> list[int]:
    """The tokens of each text in states of ``shape``. Raises :class:`ConfigError` or :class:`InputError`."""
    if len(shape) not in (2, 3):
        raise ConfigError(
            f"hidden states of shape {tuple(shape)} were given; give (tokens, width), or (texts, tokens, width)"
        )
    texts = shape[0] if len(shape) == 3 else 1
    tokens, width = shape[-2:]
    if not texts or not width:
        raise InputError(f"there is nothing to measure in hidden states of shape {tuple(shape)}; give some")
    found = [tokens] * texts if lengths is None else [int(length) for length in lengths]
    if len(found) != texts:
        raise ConfigError(f"{len(found)} lengths were given for {texts} texts; give one for each")
    for number, length in enumerate(found):
        if length > tokens:
            raise ConfigError(f"text {number} is said to have {length} tokens and has {tokens}; give its own length")
        if length < 2:
            raise InputError(f"text {number} has {length} token(s), and a measure needs 2 or more; leave it out")
    return found


def checked_columns(columns: int | None, lengths: Sequence[int], width: int) -> list[int]:
    """For each text, how many columns the Matrix Nuclear-Norm adds up: ``columns``, or as many as its rank can be."""
    most = [min(length, width) for length in lengths]
    if columns is None:
        return most
    if not 1 <= columns <= min(most):
        raise ConfigError(
            f"columns is {columns}, and the smaller of tokens and width is {min(most)}; give 1 to {min(most)}, or none"
        )
    return [columns] * len(most)


def refuse_values(text: int) -> InputError:
    """The error of a text that has states which are not finite."""
    return InputError(
        f"text {text} has hidden states that are infinite or not a number; run the model in float32 or bfloat16"
    )


def refuse_rows(text: int, token: int) -> NoDirection:
    """The error of a text in which a token's state is the mean of all."""
    return NoDirection(
        f"token {token} of text {text} has the mean state of its text, so that it has no direction; leave the text out"
    )
