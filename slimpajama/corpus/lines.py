"""Lines of a JSONL shard with their byte offsets, in blocks, whatever the size of the shard or of a line.

A block of decompressed bytes is read into one buffer that is used again for the next; the lines are slices of it and
nothing is copied. A line that does not fit grows the buffer up to the largest record allowed; a longer one is
skipped without being held. Memory is that buffer (8 MiB, or the largest line) plus the decompressor's window, which
Arrow limits to 128 MiB. Decompression is Arrow's, because it notices a stream that breaks off; ``zstandard``'s reader
is as fast but ends such a stream without a word. Rejected: one ``bytes`` per line (a third slower), and reading a
shard whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.discovery import Piece, ShardFile
from slimpajama.errors import InputChanged, ShardUnreadable
from slimpajama.storage import is_remote, opened, place

__all__ = ["BLOCK_BYTES", "LineBlock", "LineReader"]

BLOCK_BYTES = 8 << 20
FIRST_BYTES = 256
"""How much of a record that is too large is kept for the quarantine."""

REQUEST_BYTES = {"stop": 1 << 20, "keep": 1 << 14}
"""Bytes decompressed per call. A call that fails gives nothing, so who keeps what precedes a fault asks for less."""

_NEWLINE = 10


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
        with _open(piece.file) as stream:
            source = _Faulty(stream, piece.file, self.truncated)
            if start and piece.file.compression != "none":
                source.skip(start)
            elif start or piece.start:
                stream.seek(start or piece.start - 1)
            yield from self._split(source, piece, start)

    def _split(self, source: _Faulty, piece: Piece, start: int) -> Iterator[LineBlock]:
        buffer = bytearray(self.block_bytes)
        filled = 0
        # A line belongs to the piece it begins in, so what is before the first newline of a later piece is skipped;
        # reading begins one byte early, for that newline may be the last byte of the piece before.
        offset = start or max(0, piece.start - 1)
        skipping = piece.start > 0 and not start
        large: tuple[int, int, bytes] | None = None  # offset, bytes so far and beginning of a line that is too large
        while True:
            read = source.read_into(memoryview(buffer)[filled:])
            ended = read == 0
            searched, filled = filled, filled + read
            ends = np.flatnonzero(np.frombuffer(buffer, dtype=np.uint8)[searched:filled] == _NEWLINE) + searched
            if ended and filled and not source.broke_off:
                ends = np.array([filled], dtype=np.int64)  # the last line needs no newline
            if skipping:
                stop = int(ends[0]) if ends.size else filled
                if large is not None:
                    large = (large[0], large[1] + stop, large[2])
                if ends.size or ended:
                    skipping = False
                    if large is not None:
                        yield _only_line(large[2], large[0], large[1])
                        large = None
                    stop = min(stop + 1, filled)
                    ends = ends[1:]
                _move_to_front(buffer, stop, filled)
                ends, offset, filled = ends - stop, offset + stop, filled - stop
            if piece.stop is not None and offset >= piece.stop and large is None:
                return
            if ends.size:
                starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1] + 1))
                consumed = min(int(ends[-1]) + 1, filled)
                owned = starts.size if piece.stop is None else int(np.searchsorted(starts, piece.stop - offset))
                yield from self._whole_lines(buffer, starts[:owned], ends[:owned], offset)
                _move_to_front(buffer, consumed, filled)
                offset, filled = offset + consumed, filled - consumed
            elif filled == len(buffer):
                if filled <= self.max_line_bytes:
                    grown = bytearray(min(2 * filled, self.max_line_bytes + 1))
                    grown[:filled] = buffer  # a new one: slices of the old may still be held
                    buffer = grown
                else:
                    large = (offset, filled, bytes(buffer[:FIRST_BYTES]))
                    offset, filled, skipping = offset + filled, 0, True
                    buffer = bytearray(self.block_bytes)
            if ended:
                return

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


def _only_line(first: bytes, offset: int, size: int) -> LineBlock:
    span = np.array([0, len(first)], dtype=np.int64)
    return LineBlock(memoryview(first), span[:1], span[1:], offset, too_large=size)


def _move_to_front(buffer: bytearray, start: int, stop: int) -> None:
    if start:
        buffer[: stop - start] = memoryview(buffer)[start:stop].tobytes()


def _open(file: ShardFile) -> Any:
    path = place(file.path)
    try:
        raw = pa.PythonFile(opened(path), mode="r") if is_remote(path) else pa.OSFile(file.path)
    except FileNotFoundError as fault:
        raise InputChanged(f"{file.path} has gone since the run began; put it back, or run again without it") from fault
    except OSError as fault:
        raise ShardUnreadable(f"cannot open {file.path}: {fault}; mend its permissions or remove it") from fault
    codec = {"zst": "zstd", "gz": "gzip"}.get(file.compression)
    return pa.CompressedInputStream(raw, codec) if codec else raw


class _Faulty:
    """A decompressed stream whose faults name the shard and the remedy."""

    def __init__(self, stream: Any, file: ShardFile, truncated: Literal["stop", "keep"]) -> None:
        self._stream = stream
        self._file = file
        self._truncated = truncated
        self._request = REQUEST_BYTES[truncated]
        self.broke_off = False

    def read_into(self, target: memoryview) -> int:
        """Fill ``target`` as far as the stream goes; 0 at its end, or at a fault that is to be overlooked."""
        filled = 0
        try:
            while filled < len(target) and not self.broke_off:
                read = self._stream.readinto(target[filled : filled + self._request])
                if not read:
                    break
                filled += read
        except OSError as fault:
            self._explain(fault)
        return filled

    def skip(self, count: int) -> None:
        """Throw away ``count`` bytes."""
        scratch = memoryview(bytearray(min(count, BLOCK_BYTES)))
        while count:
            read = self.read_into(scratch[:count])
            if not read:
                raise InputChanged(
                    f"{self._file.path} is shorter than it was; run the same command again, it starts this shard anew"
                )
            count -= read

    def _explain(self, fault: OSError) -> None:
        reason = " ".join(str(fault).split())
        if "too much memory" in reason:
            raise ShardUnreadable(
                f"{self._file.path} needs a zstd window of more than 128 MiB ({reason}); "
                "compress it again without --long or --ultra"
            ) from fault
        if self._truncated == "keep":
            self.broke_off = True
            return
        raise ShardUnreadable(
            f"{self._file.path} is corrupt or breaks off ({reason}); replace it, remove it, or set truncated=keep "
            "to use the whole records before the fault"
        ) from fault
