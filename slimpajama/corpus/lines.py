"""Lines of a JSONL shard with their byte offsets, in blocks, whatever the size of the shard or of a line.

A block of decoded bytes is read into one buffer that is used again for the next; the lines are slices of it and nothing
is copied. A line that does not fit grows the buffer up to the largest record allowed; a longer one is skipped without
being held. Memory is that buffer (8 MiB, or the largest line), and at most 32,768 lines are given at a time, so that a
block of nothing but line ends costs no more than another. The elements of a JSON array are lines too (``json_array``).

Bytes that frame records are no part of them: a byte order mark or the RS of RFC 7464 before a record is replaced by
spaces, so that offsets stay, and NULs behind the last line, as files that were allocated ahead have, are left out.
What is kept of a line that is too large is as it was found.
Rejected: one ``bytes`` per line (a third slower), and reading a shard whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.newlines import newlines_between
from slimpajama.corpus.pieces import Piece, ShardFile

__all__ = ["BLOCK_BYTES", "LineBlock", "LineReader", "LineSource", "OpensLines"]

BLOCK_BYTES = 8 << 20
FEWEST_BYTES = 1 << 14
"""The first buffer for a small shard; clearing a whole block takes longer than reading a few documents."""

FIRST_BYTES = 256
"""How much of a record that is too large is kept for the quarantine."""

MOST_LINES = 1 << 15
"""Lines in a block; far more than there are in 8 MiB of documents."""

_NEWLINE = 10
_RECORD_SEPARATOR = 0x1E
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Lines ``data[starts[i]:stops[i]]``, without their newlines; valid until the next block is asked for.

    ``starts``, ``stops``: ``int64[n]`` offsets into ``data``. ``offset``: of ``data[0]`` in the decompressed stream.
    ``too_large``: 0, or the size in bytes of the block's only line, of which ``data`` holds just the beginning.
    """

    data: memoryview
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    offset: int
    too_large: int = 0


class LineSource(Protocol):
    """JSON lines as bytes."""

    @property
    def broke_off(self) -> bool:
        """Whether the stream ended at a fault that is to be overlooked."""
        ...

    def read_into(self, target: memoryview) -> int:
        """Fill ``target`` as far as the stream goes; returns the bytes read, 0 at its end."""
        ...

    def close(self) -> None:
        """Close the file."""


class OpensLines(Protocol):
    """An input format that is read as JSON lines; see ``corpus/formats/jsonl.py``."""

    def open_lines(
        self, file: ShardFile, truncated: Literal["stop", "keep"], position: int, raw: BinaryIO | None = None
    ) -> LineSource:
        """The lines of ``file`` from byte ``position`` on. ``raw``: the file, opened."""
        ...


@dataclass(slots=True)
class _LargeLine:
    """A line above the limit while it is skipped: where it begins, its size so far, its first bytes, and whether it
    is made of NULs."""

    offset: int
    size: int
    first: bytes
    only_nuls: bool

    def add(self, more: bytearray, size: int) -> None:
        """Count ``more[:size]`` as well."""
        self.size += size
        self.only_nuls = self.only_nuls and _only_nuls(more, size)


@dataclass(frozen=True, slots=True)
class LineReader:
    """How shards are read: the largest line kept, and what becomes of a shard that breaks off."""

    max_line_bytes: int = 64 << 20
    truncated: Literal["stop", "keep"] = "stop"
    block_bytes: int = BLOCK_BYTES

    def blocks(self, piece: Piece, start: int = 0) -> Iterator[LineBlock]:
        """The lines that begin inside the piece, in order; from ``start`` on, where a line is known to begin.

        A compressed stream is decompressed up to there and thrown away. Raises :class:`InputChanged` where it ends
        before, and :class:`ShardUnreadable` for a shard that is corrupt, breaks off (unless ``truncated`` is ``keep``:
        then what was decoded is used up to the last whole line) or needs a window above 128 MiB.
        """
        lines = cast(OpensLines, piece.file.format)
        with closing(lines.open_lines(piece.file, self.truncated, start or max(0, piece.start - 1))) as source:
            yield from self.split(source, piece, start)

    def split(self, source: LineSource, piece: Piece, start: int = 0) -> Iterator[LineBlock]:
        """As :meth:`blocks`, of a ``source`` that is open; the caller closes it."""
        expected = 2 * piece.file.format.text_bytes(piece.file)
        buffer = bytearray(min(self.block_bytes, max(FEWEST_BYTES, expected)))
        filled = 0
        # A line belongs to the piece it begins in, so what is before the first newline of a later piece is skipped;
        # reading begins one byte early, for that newline may be the last byte of the piece before.
        offset = start or max(0, piece.start - 1)
        skipping = piece.start > 0 and not start
        large: _LargeLine | None = None
        while True:
            read = source.read_into(memoryview(buffer)[filled:])
            if read and filled + read == len(buffer) < self.block_bytes:  # there is more than was expected
                whole = bytearray(self.block_bytes)
                whole[: len(buffer)] = buffer
                buffer = whole
                read += source.read_into(memoryview(buffer)[filled + read :])
            searched, filled = filled, filled + read
            begin = 0  # of the first line in the buffer that was not given yet
            last = [] if read or source.broke_off else _end_of_last_line(buffer, filled, self.max_line_bytes)
            for ends in _line_ends(buffer, searched, filled) if read else last:
                if skipping:
                    skipping = False
                    if large is not None:
                        large.add(buffer, int(ends[0]))
                        yield _only_line(large.first, large.offset, large.size)
                        large = None
                    begin, ends = int(ends[0]) + 1, ends[1:]
                if piece.stop is not None and offset + begin >= piece.stop:
                    return
                if ends.size:
                    starts = np.concatenate((np.full(1, begin, dtype=np.int64), ends[:-1] + 1))
                    owned = starts.size if piece.stop is None else int(np.searchsorted(starts, piece.stop - offset))
                    _blank_framing(buffer, starts[ends - starts <= self.max_line_bytes], filled)
                    yield from self._whole_lines(buffer, starts[:owned], ends[:owned], offset)
                    begin = int(ends[-1]) + 1
            if not read:
                if large is not None and not large.only_nuls:
                    yield _only_line(large.first, large.offset, large.size)
                return
            if skipping:
                if large is not None:
                    large.add(buffer, filled)
                begin = filled
            _move_to_front(buffer, begin, filled)
            offset, filled = offset + begin, filled - begin
            if piece.stop is not None and offset >= piece.stop and large is None:
                return
            if filled == len(buffer):
                if filled <= self.max_line_bytes:
                    grown = bytearray(min(2 * filled, self.max_line_bytes + 1))
                    grown[:filled] = buffer  # a new one: slices of the old may still be held
                    buffer = grown
                else:
                    large = _LargeLine(offset, filled, bytes(buffer[:FIRST_BYTES]), _only_nuls(buffer, filled))
                    offset, filled, skipping = offset + filled, 0, True
                    buffer = bytearray(self.block_bytes)

    def _whole_lines(
        self, buffer: bytearray, starts: NDArray[np.int64], stops: NDArray[np.int64], offset: int
    ) -> Iterator[LineBlock]:
        with memoryview(buffer) as view:
            begin = 0
            for index in np.flatnonzero(stops - starts > self.max_line_bytes).tolist():
                yield LineBlock(view, starts[begin:index], stops[begin:index], offset)
                line = view[int(starts[index]) : int(stops[index])]
                yield _only_line(bytes(line[:FIRST_BYTES]), offset + int(starts[index]), len(line))
                begin = index + 1
            yield LineBlock(view, starts[begin:], stops[begin:], offset)


def _line_ends(buffer: bytearray, searched: int, filled: int) -> Iterator[NDArray[np.int64]]:
    """Where the newlines from ``searched`` on are, at most ``MOST_LINES`` at a time."""
    found = newlines_between(buffer, searched, filled, MOST_LINES)
    if found is not None:
        if found.size:
            yield found
        return
    newlines = np.frombuffer(buffer, dtype=np.uint8)[searched:filled] == _NEWLINE
    parts = [newlines[low : low + MOST_LINES] for low in range(0, newlines.size, MOST_LINES)]
    waiting = np.empty(0, dtype=np.int64)
    for part in parts:
        ends = np.flatnonzero(part) + searched
        searched += part.size
        if waiting.size + ends.size > MOST_LINES:
            yield waiting
            waiting = ends
        else:
            waiting = np.concatenate((waiting, ends))
    if waiting.size:
        yield waiting


def _end_of_last_line(buffer: bytearray, filled: int, most: int) -> list[NDArray[np.int64]]:
    """Where the last line ends, which needs no newline: before the NULs that a file may be padded with."""
    if filled and not buffer[filled - 1]:
        kept = len(bytes(memoryview(buffer)[:filled]).rstrip(b"\0"))
        filled = kept if filled <= most or not kept else filled  # a line that is too large is so whatever the blocks
    return [np.array([filled], dtype=np.int64)] if filled else []


def _blank_framing(buffer: bytearray, starts: NDArray[np.int64], filled: int) -> None:
    first = np.frombuffer(buffer, dtype=np.uint8)[starts]
    for start in starts[(first == _BYTE_ORDER_MARK[0]) | (first == _RECORD_SEPARATOR)].tolist():
        while start < filled:
            size = 3 if buffer.startswith(_BYTE_ORDER_MARK, start) else int(buffer[start] == _RECORD_SEPARATOR)
            if not size:
                break
            buffer[start : start + size] = b" " * size
            start += size


def _only_line(first: bytes, offset: int, size: int) -> LineBlock:
    span = np.array([0, len(first)], dtype=np.int64)
    return LineBlock(memoryview(first), span[:1], span[1:], offset, too_large=size)


def _only_nuls(buffer: bytearray, size: int) -> bool:
    return not np.frombuffer(buffer, dtype=np.uint8, count=size).any()


def _move_to_front(buffer: bytearray, start: int, stop: int) -> None:
    if start:
        buffer[: stop - start] = memoryview(buffer)[start:stop].tobytes()
