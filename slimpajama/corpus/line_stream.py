"""JSON lines that are made while they are read, as a source of lines: what is read of them needs no file.

Holds one of the chunks that the lines come in. Rejected: a temporary file, which would be written and read once.
"""

from __future__ import annotations

from collections.abc import Generator

__all__ = ["LineStream"]


class LineStream:
    """The bytes of successive ``chunks``; see :class:`~slimpajama.corpus.lines.LineSource`."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    @property
    def broke_off(self) -> bool:
        """Lines that are made do not break off."""
        return False

    def read_into(self, target: memoryview) -> int:
        """Fill ``target`` as far as the chunks go; returns the bytes read, 0 at their end."""
        filled = 0
        while filled < len(target):
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            taken = self._rest[: len(target) - filled]
            target[filled : filled + len(taken)] = taken
            self._rest = self._rest[len(taken) :]
            filled += len(taken)
        return filled

    def close(self) -> None:
        """Ask for no more chunks."""
        self._chunks.close()
