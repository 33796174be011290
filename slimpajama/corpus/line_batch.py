"""Output lines in batches of about a megabyte: Python handles one object for hundreds of records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BATCH_BYTES", "END_OF_PART", "LineBatch", "in_batches"]

BATCH_BYTES = 1 << 20
"""About the size of a batch, unless one line is longer."""


@dataclass(frozen=True, slots=True)
class LineBatch:
    """n output lines, each with its newline: number i ends at ``data[stops[i]]``, where the next one begins.

    ``stops``: ``int64[n]``. A batch of no lines says that a part ends there, and is what was read first.
    """

    data: bytes
    stops: NDArray[np.int64]

    def __len__(self) -> int:
        return self.stops.size

    def lines(self) -> Iterator[bytes]:
        """One by one; an empty one for the end of a part."""
        if not self:
            yield b""
        begin = 0
        for stop in self.stops.tolist():
            yield self.data[begin:stop]
            begin = stop

    def chosen(self, which: NDArray[np.bool_]) -> bytes:
        """The lines for which ``which`` ``bool[n]`` is true."""
        if which.all():
            return self.data
        edges = np.flatnonzero(np.diff(which, prepend=False, append=False))
        bounds = np.concatenate((np.zeros(1, dtype=np.int64), self.stops))[edges].tolist()
        view = memoryview(self.data)
        return b"".join([view[begin:stop] for begin, stop in zip(bounds[::2], bounds[1::2], strict=True)])


END_OF_PART = LineBatch(b"", np.zeros(0, dtype=np.int64))


def in_batches(lines: Iterator[bytes]) -> Iterator[LineBatch]:
    """Single lines in batches; an empty line is the end of a part."""
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        if line:
            waiting.append(line)
            size += len(line)
        if waiting and (not line or size >= BATCH_BYTES):
            yield _joined(waiting)
            waiting, size = [], 0
        if not line:
            yield END_OF_PART
    if waiting:
        yield _joined(waiting)


def _joined(lines: list[bytes]) -> LineBatch:
    return LineBatch(b"".join(lines), np.cumsum([len(line) for line in lines], dtype=np.int64))
