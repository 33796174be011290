"""Sequences of one length out of a source's stream: documents joined, cut where they must be, nothing padded.

The stream of a source is its epochs one after the other, each another order of the same documents with the end-of-text
token after each; sequence n is tokens n·L to (n + 1)·L of it. So nothing is lost but the last part sequence of what is
used, and a document is used floor(epochs) or ceil(epochs) times. Rejected: best-fit packing (crops a third of the
tokens), and padding (trains on nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sequences", "Stream", "pack"]


class Stream(Protocol):
    """One source, split and scope of a token store; see :class:`slimpajama.tokens.store.TokenStream`."""

    @property
    def tokens(self) -> int:
        """Of one epoch."""
        ...

    def read(self, start: int, stop: int, epoch: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Tokens of an epoch, and where documents begin among them."""
        ...


@dataclass(frozen=True, slots=True)
class Sequences:
    """n sequences. ``tokens`` ``uint32[n, L]``. ``starts`` ``int64[m]`` ascending: places in ``tokens.ravel()`` at
    which a document begins."""

    tokens: NDArray[np.uint32]
    starts: NDArray[np.int64]


def pack(stream: Stream, first: int, last: int, length: int) -> Sequences:
    """Sequences ``first`` to ``last`` (exclusive) of the stream's epochs in a row, each of ``length`` tokens."""
    begin, end = first * length, last * length
    tokens = np.empty(end - begin, dtype=np.uint32)
    starts = [np.empty(0, dtype=np.int64)]
    place = begin
    while place < end:
        epoch, inside = divmod(place, stream.tokens)
        stop = min(stream.tokens, inside + end - place)
        part, heads = stream.read(inside, stop, epoch)
        tokens[place - begin : place - begin + part.size] = part
        starts.append(heads + (place - begin))
        place += part.size
    return Sequences(tokens.reshape(-1, length), np.concatenate(starts))
