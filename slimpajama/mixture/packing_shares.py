"""What packing does to a source: documents that are cut, tokens of padding, and where a best-fit sequence lies.

Only the lengths of pieces are read, never tokens. For ``best-fit``, each window has to be packed to know how many
sequences it gives; what was found of an epoch is remembered. Costs about a microsecond a document.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slimpajama.mixture.best_fit import fit
from slimpajama.mixture.packing import Packing, Windows

__all__ = ["PackingShares", "Place", "WindowIndex", "measured_packing"]

MEASURED_TOKENS = 1 << 26
"""Of a source, where not all of it has to be looked at."""


@dataclass(frozen=True, slots=True)
class PackingShares:
    """``documents`` that begin in what was looked at, those of them that are ``cut``, tokens and ``padding``."""

    documents: int
    cut: int
    tokens: int
    padding: int

    def with_more(self, documents: int, cut: int, tokens: int, padding: int) -> PackingShares:
        """These and more."""
        return PackingShares(self.documents + documents, self.cut + cut, self.tokens + tokens, self.padding + padding)

    @property
    def cut_share(self) -> float:
        """Of the documents, those that are not whole in one sequence."""
        return self.cut / self.documents if self.documents else 0.0

    @property
    def padding_share(self) -> float:
        """Of the tokens of all sequences, padding among them."""
        return self.padding / (self.tokens + self.padding) if self.tokens else 0.0


class Place(NamedTuple):
    """Where sequences of a source lie: from number ``skip`` of window ``first`` on, to some of window ``last``."""

    first: int
    skip: int
    last: int


class WindowIndex:
    """Where the sequences of ``windows`` lie under best-fit packing."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._ends: list[NDArray[np.int64]] = []

    def sequences(self, epoch: int) -> int:
        """Of an epoch."""
        ends = self._of_epoch(epoch)
        return int(ends[-1]) if ends.size else 0

    def places(self, first: int, last: int) -> Place:
        """Of the sequences ``first`` to ``last``."""
        window, skip = self.place(first)
        return Place(window, skip, self.place(last - 1)[0] if last > first else window)

    def place(self, sequence: int) -> tuple[int, int]:
        """The window of a sequence of the epochs in a row, and how many of that window come before it."""
        epoch = 0
        while sequence >= (there := self.sequences(epoch)):
            if not there:
                return 0, 0
            sequence -= there
            epoch += 1
        ends = self._of_epoch(epoch)
        inside = bisect_right(ends.tolist(), sequence)
        return epoch * ends.size + inside, sequence - (int(ends[inside - 1]) if inside else 0)

    def _of_epoch(self, epoch: int) -> NDArray[np.int64]:
        """``int64[windows]``: the sequences of an epoch up to the end of each window."""
        while len(self._ends) <= epoch:
            count, length = self._windows.of_an_epoch, self._windows.length
            first = len(self._ends) * count
            counts = [_sequences(self._windows.pieces(first + number)[1].lengths, length) for number in range(count)]
            self._ends.append(np.cumsum(np.array(counts, dtype=np.int64)))
        return self._ends[epoch]


def _sequences(lengths: NDArray[np.int64], length: int) -> int:
    rests = lengths % length
    return int((lengths // length).sum()) + fit(rests[rests > 0], length)[1]


def measured_packing(windows: Windows, packing: Packing, most_tokens: int = MEASURED_TOKENS) -> PackingShares:
    """What packing does to the first windows of a source: all of it, or about ``most_tokens``."""
    count = min(windows.of_an_epoch, max(1, most_tokens // windows.size))
    found = PackingShares(0, 0, 0, 0)
    for number in range(count):
        _, pieces = windows.pieces(number)
        length, tokens, padding = windows.length, int(pieces.lengths.sum()), 0
        if packing == "concat":
            split = pieces.starts // length != (pieces.starts + pieces.lengths - 1) // length
        else:
            split = pieces.lengths > length
            padding = _sequences(pieces.lengths, length) * length - tokens
        cut = int((pieces.first & (split | ~pieces.ends)).sum())
        found = found.with_more(int(pieces.first.sum()), cut, tokens, padding)
    return found
