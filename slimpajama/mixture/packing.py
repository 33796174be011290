"""Sequences of one length out of a source's stream: ``concat`` joins documents and cuts, ``best-fit`` pads.

The stream of a source is its epochs one after the other, each another order of the same documents with the end-of-text
token after each. Under ``concat``, sequence n is tokens n·L to (n + 1)·L of it: nothing is padded, nothing is lost but
the last part sequence of what is used, and a document is used floor(epochs) or ceil(epochs) times; most sequences begin
in the middle of a document. Under ``best-fit`` (:mod:`slimpajama.mixture.best_fit`), sequences follow each other window
by window, and no document is cut that fits into a sequence.

A packer gives a source's sequences in order, as many at a time as are asked for. Rejected: one function that finds
sequence n of a stream, as under best-fit a sequence is known only with its whole window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from slimpajama.mixture.best_fit import Chunks, copy_chunks, fitted, window_tokens
from slimpajama.tokens.piece_spans import PieceSpans

__all__ = [
    "BestFit",
    "Concat",
    "Packer",
    "Packing",
    "Sequences",
    "Stream",
    "Windows",
    "pack",
]

Packing = Literal["concat", "best-fit"]


class Stream(Protocol):
    """One source, split and scope of a token store; see :class:`slimpajama.tokens.store.TokenStream`."""

    @property
    def tokens(self) -> int:
        """Of one epoch."""
        ...

    def read(self, start: int, stop: int, epoch: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Tokens of an epoch, and where documents begin among them."""
        ...

    def pieces(self, start: int, stop: int, epoch: int) -> PieceSpans:
        """The pieces of which these tokens are."""
        ...


@dataclass(frozen=True, slots=True)
class Sequences:
    """n sequences.

    ``tokens`` ``uint32[n, L]``. ``starts`` ``int64[m]`` ascending: places in ``tokens.ravel()`` at which a document, or
    a piece of one, begins. ``filled`` ``int64[n]``: tokens before the padding, or ``None`` where nothing is padded.
    ``ids`` ``uint64``: the document of each stretch, in order. ``documents``: that begin in them; ``cut``: those of
    them that are not whole in one sequence.
    """

    tokens: NDArray[np.uint32]
    starts: NDArray[np.int64]
    filled: NDArray[np.int64] | None
    ids: NDArray[np.uint64]
    documents: int
    cut: int


class Packer(Protocol):
    """Gives the sequences of a source one after the other."""

    def take(self, count: int) -> Sequences:
        """The next ``count``."""
        ...


def pack(stream: Stream, first: int, last: int, length: int) -> Sequences:
    """Sequences ``first`` to ``last`` (exclusive) of the stream's epochs in a row, each of ``length`` tokens."""
    begin, end = first * length, last * length
    tokens = np.empty(end - begin, dtype=np.uint32)
    starts = [np.empty(0, dtype=np.int64)]
    ids = [np.empty(0, dtype=np.uint64)]
    documents = cut = 0
    place = begin
    while place < end:
        epoch, inside = divmod(place, stream.tokens)
        stop = min(stream.tokens, inside + end - place)
        part, heads = stream.read(inside, stop, epoch)
        tokens[place - begin : place - begin + part.size] = part
        starts.append(heads + (place - begin))
        edges = np.arange(-place % length, part.size, length)
        begins = np.union1d(heads, edges)  # of stretches: with a piece, or with a sequence
        spans = stream.pieces(inside, stop, epoch)
        ids.append(spans.ids[np.searchsorted(spans.starts, begins + inside, side="right") - 1])
        begun = spans.since(inside)
        opens = begun.starts + (place - inside)
        split = ~begun.ends | (opens // length != (opens + begun.lengths - 1) // length)
        documents += int(begun.first.sum())
        cut += int((begun.first & split).sum())
        place += part.size
    return Sequences(tokens.reshape(-1, length), np.concatenate(starts), None, np.concatenate(ids), documents, cut)


class Concat:
    """The sequences of ``stream`` from ``first`` on, joined and cut."""

    def __init__(self, stream: Stream, first: int, length: int) -> None:
        self._stream = stream
        self._next = first
        self._length = length

    def take(self, count: int) -> Sequences:
        """See :class:`Packer`."""
        first = self._next
        self._next += count
        return pack(self._stream, first, self._next, self._length)


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of a stream's epochs in a row, each of about ``size`` tokens: the pieces that begin in it."""

    stream: Stream
    length: int
    size: int

    @classmethod
    def of(cls, stream: Stream, length: int) -> Windows:
        """Those for sequences of ``length`` tokens."""
        return cls(stream, length, window_tokens(length))

    @property
    def of_an_epoch(self) -> int:
        """How many an epoch has."""
        return -(-self.stream.tokens // self.size)

    def span(self, number: int) -> tuple[int, int]:
        """Tokens of the epochs in a row that the pieces of a window lie within; no piece is longer than a window."""
        epoch, inside = divmod(number, self.of_an_epoch)
        begin = inside * self.size
        end = min(self.stream.tokens, begin + 2 * self.size)
        return epoch * self.stream.tokens + begin, epoch * self.stream.tokens + end

    def pieces(self, number: int) -> tuple[int, PieceSpans]:
        """The epoch of a window, and its pieces."""
        epoch, inside = divmod(number, self.of_an_epoch)
        start = inside * self.size
        stop = min(self.stream.tokens, start + self.size)
        return epoch, self.stream.pieces(start, stop, epoch).since(start)


@dataclass(frozen=True, slots=True)
class _Window:
    """A window that is open: its tokens, its pieces, and how its sequences are filled."""

    tokens: NDArray[np.uint32]
    pieces: PieceSpans
    chunks: Chunks


class BestFit:
    """The sequences of ``windows``, from number ``skip`` of window ``first`` on, with as few cuts as there can be.

    ``padding``: the token that fills what stays empty. ``seed``: of the order of a window's sequences.
    """

    def __init__(self, windows: Windows, first: int, skip: int, padding: int, seed: int) -> None:
        self._windows = windows
        self._number = first
        self._at = skip
        self._length = windows.length
        self._padding = padding
        self._seed = seed
        self._open: _Window | None = None

    def take(self, count: int) -> Sequences:
        """See :class:`Packer`."""
        tokens = np.full((count, self._length), self._padding, dtype=np.uint32)
        starts, ids, filled = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.uint64)], np.empty(count, np.int64)
        documents = cut = done = 0
        while done < count:
            window = self._window()
            chunks, pieces = window.chunks, window.pieces
            last = min(chunks.sequences, self._at + count - done)
            edges = chunks.edges[self._at : last + 1]
            one = slice(int(edges[0]), int(edges[-1]))
            lengths, rows = chunks.lengths[one], np.repeat(np.arange(last - self._at), np.diff(edges))
            before = np.cumsum(lengths) - lengths
            sums = np.add.reduceat(lengths, edges[:-1] - edges[0]) if lengths.size else lengths
            places = before - np.repeat(np.cumsum(sums) - sums, np.diff(edges)) + (rows + done) * self._length
            copy_chunks(window.tokens, chunks.starts[one], lengths, places, tokens.reshape(-1))
            filled[done : done + sums.size] = sums
            piece = chunks.pieces[one]
            opens = (chunks.starts[one] == pieces.starts[piece]) & pieces.first[piece]
            documents += int(opens.sum())
            cut += int((opens & (~pieces.ends[piece] | (pieces.lengths[piece] > self._length))).sum())
            starts.append(places)
            ids.append(pieces.ids[piece])
            done += last - self._at
            self._at = last
        return Sequences(tokens, np.concatenate(starts), filled, np.concatenate(ids), documents, cut)

    def _window(self) -> _Window:
        """The window with the next sequence; opens it, and steps over those that have none left."""
        while self._open is None or self._at >= self._open.chunks.sequences:
            if self._open is not None:
                self._at -= self._open.chunks.sequences
                self._number += 1
            self._open = self._opened(self._number)
        return self._open

    def _opened(self, number: int) -> _Window:
        epoch, pieces = self._windows.pieces(number)
        if not pieces.starts.size:
            tokens, begin = np.empty(0, dtype=np.uint32), 0
        else:
            begin = int(pieces.starts[0])
            tokens, _ = self._windows.stream.read(begin, int(pieces.starts[-1] + pieces.lengths[-1]), epoch)
        pieces = PieceSpans(pieces.starts - begin, pieces.lengths, pieces.ids, pieces.first, pieces.ends)
        purpose = f"best-fit window {number}"
        return _Window(tokens, pieces, fitted(pieces.starts, pieces.lengths, self._length, self._seed, purpose))
