"""Where documents lie in sequences: position ids, document numbers and cumulative lengths, from where they begin.

A stretch is what one sequence holds of one document; the first stretch of a sequence begins at its place 0, whether a
document begins there or goes on. Padding is a stretch of its own. Each function is a few operations on arrays as large
as the tokens. Rejected: finding documents by the end-of-text token, which does not see that a piece of a long document
follows a piece of another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cumulative_lengths", "document_numbers", "position_ids", "stretch_begins"]


def stretch_begins(
    starts: NDArray[np.int64], filled: NDArray[np.int64] | None, sequences: int, length: int
) -> NDArray[np.int64]:
    """``int64[m]`` ascending: the places in all n sequences, one after the other, at which a stretch begins.

    ``starts``: the places at which documents begin; ``filled`` ``int64[n]``: tokens of a sequence before its padding,
    or ``None`` where nothing is padded.
    """
    edges = np.arange(sequences, dtype=np.int64) * length
    paddings = edges[:0] if filled is None else (edges + filled)[filled < length]
    return np.unique(np.concatenate((edges, starts, paddings)))


def position_ids(begins: NDArray[np.int64], sequences: int, length: int) -> NDArray[np.int64]:
    """``int64[n, length]``: how far each token is from the beginning of its stretch."""
    lengths = np.diff(begins, append=sequences * length)
    return (np.arange(sequences * length, dtype=np.int64) - np.repeat(begins, lengths)).reshape(sequences, length)


def document_numbers(begins: NDArray[np.int64], sequences: int, length: int) -> NDArray[np.int64]:
    """``int64[n, length]``: the number, from 0, of each token's stretch in its sequence."""
    lengths = np.diff(begins, append=sequences * length)
    numbers = np.arange(begins.size, dtype=np.int64)
    firsts = np.searchsorted(begins, np.arange(sequences, dtype=np.int64) * length)
    return np.repeat(numbers - firsts[begins // length], lengths).reshape(sequences, length)


def cumulative_lengths(begins: NDArray[np.int64], sequences: int, length: int) -> NDArray[np.int32]:
    """``int32[m + 1]``: where stretches begin, and the end of the last, as attention over variable lengths takes it."""
    return np.append(begins, sequences * length).astype(np.int32)
