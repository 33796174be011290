"""Best-fit packing: a document is cut only where it is longer than a sequence (Ding et al. 2024, arXiv 2404.10830).

Documents longer than a sequence give whole sequences; what is left of them, and every other document, goes into the
sequence with the least room that still has enough, longest first. What stays empty becomes padding. That is done window
by window of the stream, so memory is one window, whatever the source, and a window is the same whoever packs it: it has
the pieces that begin in its tokens. A window of 2 Mi tokens leaves 0.1 % to 1 % padding, a larger one hardly less.

Costs about a microsecond a document, a tenth of what writing its tokens costs, and one copy of them. Rooms are found
in a tree over the sizes that a room may have; among sequences of equal room, the one that was filled last is taken.
Rejected: one packing of the whole source (memory grows with it, and nothing can be written before the end).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.tokens.seeded_order import seeded_hash

__all__ = ["WINDOW_TOKENS", "Chunks", "copy_chunks", "fit", "fitted", "window_tokens"]

WINDOW_TOKENS = 1 << 21
"""Of a window, 8 MiB; more for sequences so long that few of them would be in it."""

_LEAST_SEQUENCES = 16


def window_tokens(length: int) -> int:
    """Tokens of a window for sequences of ``length``: all that depends on it, so that windows are the same anywhere."""
    return max(WINDOW_TOKENS, _LEAST_SEQUENCES * length)


@dataclass(frozen=True, slots=True)
class Chunks:
    """What n sequences are filled with: chunk by chunk, in each sequence in the order of the stream.

    ``starts``, ``lengths``: of each of m chunks, in tokens of the window; ``pieces``: the piece it is of. ``edges``
    ``int64[n + 1]``: sequence i holds the chunks ``edges[i]`` to ``edges[i + 1]``.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    pieces: NDArray[np.int64]
    edges: NDArray[np.int64]

    @property
    def sequences(self) -> int:
        """n."""
        return self.edges.size - 1


def fit(lengths: NDArray[np.int64], length: int) -> tuple[NDArray[np.int64], int]:
    """The sequence of each of d documents of at most ``length`` tokens, and how many sequences there are."""
    order = np.argsort(-lengths, kind="stable")
    placed = np.empty(lengths.size, dtype=np.int64)
    # A kernel that makes arrays of its own cannot be kept as native code.
    filled = np.zeros(2 << length.bit_length(), dtype=np.bool_)
    last = np.full(length + 1, -1, dtype=np.int64)
    before = np.empty(lengths.size, dtype=np.int64)
    return placed, int(_place(lengths, order, length, placed, filled, last, before))


def fitted(starts: NDArray[np.int64], lengths: NDArray[np.int64], length: int, seed: int, purpose: str) -> Chunks:
    """Sequences of ``length`` tokens of a window's pieces, in an order that ``seed`` and ``purpose`` give."""
    whole = lengths // length
    rests = np.flatnonzero(lengths % length)
    placed, bins = fit(lengths[rests] % length, length)
    # Chunks: the whole sequences of each long piece, then the rests.
    repeated = np.repeat(np.arange(lengths.size), whole)
    ordinal = np.arange(repeated.size) - np.repeat(np.cumsum(whole) - whole, whole)
    pieces = np.concatenate((repeated, rests))
    begins = np.concatenate((starts[repeated] + ordinal * length, starts[rests] + whole[rests] * length))
    sizes = np.concatenate((np.full(repeated.size, length), lengths[rests] % length))
    bin_of = np.concatenate((bins + np.arange(repeated.size), placed))
    sequences = bins + repeated.size
    rank = np.empty(sequences, dtype=np.int64)
    rank[np.argsort(seeded_hash(np.arange(sequences, dtype=np.uint64), seed, purpose))] = np.arange(sequences)
    sequence = rank[bin_of]
    order = np.lexsort((begins, sequence))
    edges = np.searchsorted(sequence[order], np.arange(sequences + 1))
    return Chunks(begins[order], sizes[order], pieces[order], edges)


def copy_chunks(
    tokens: NDArray[np.uint32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    places: NDArray[np.int64],
    out: NDArray[np.uint32],
) -> None:
    """``tokens[start : start + length]`` of each of m chunks goes to ``out[place : place + length]``."""
    _copy_chunks(tokens, starts, lengths, places, out)


@kernel
def _copy_chunks(
    tokens: NDArray[np.uint32],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    places: NDArray[np.int64],
    out: NDArray[np.uint32],
) -> None:
    for index in range(starts.size):
        start, place = starts[index], places[index]
        for offset in range(lengths[index]):
            out[place + offset] = tokens[start + offset]


@kernel
def _place(
    lengths: NDArray[np.int64],
    order: NDArray[np.int64],
    length: int,
    placed: NDArray[np.int64],
    filled: NDArray[np.bool_],
    last: NDArray[np.int64],
    before: NDArray[np.int64],
) -> int:
    """Write the sequence of each document into ``placed``; returns how many sequences there are.

    ``filled[leaf]`` says whether some sequence has that much room; a node above says it of any leaf below it. The
    sequences of equal room are a chain from ``last[room]`` on through ``before``.
    """
    leaves = filled.size // 2
    count = 0
    for at in range(order.size):
        size = lengths[order[at]]
        node = leaves + size
        if not filled[node]:
            while node > 1 and (node % 2 == 1 or not filled[node + 1]):
                node //= 2
            if node > 1:
                node += 1
                while node < leaves:
                    node = 2 * node if filled[2 * node] else 2 * node + 1
        if node > 1:
            room = node - leaves
            chosen = last[room]
            last[room] = before[chosen]
            if last[room] < 0:
                filled[node] = False
                node //= 2
                while node >= 1 and not (filled[2 * node] or filled[2 * node + 1]):
                    filled[node] = False
                    node //= 2
        else:
            room = length
            chosen = count
            count += 1
        placed[order[at]] = chosen
        left = room - size
        if left > 0:
            before[chosen] = last[left]
            last[left] = chosen
            node = leaves + left
            while node >= 1 and not filled[node]:
                filled[node] = True
                node //= 2
    return count
