"""Kept JSON lines become lines of the output: one by one, or spliced many at a time with the rare ones put between.

Lines are spliced where the record's text is a member of the record itself, and where what was read is compared with the
first pass afterwards: the kernel takes the first pass's word that a line is sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from slimpajama.corpus.fields import value_at
from slimpajama.corpus.line_batch import LineBatch
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.pieces import Piece
from slimpajama.corpus.rebuilt_line import rebuilt_line
from slimpajama.corpus.shard_writer import SecondPass, changed
from slimpajama.corpus.spliced_lines import ByteTable, room_for, splice_lines, splice_scratch
from slimpajama.corpus.strict_json import strict

__all__ = ["KeptLines", "OutputLines", "kept_in_blocks", "load_kernels"]


@dataclass(frozen=True, slots=True)
class KeptLines:
    """n kept lines of a block: ``block.data[starts[i]:stops[i]]``. ``first``: the number of the first of them among all
    that are asked for."""

    block: LineBlock
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    first: int

    def __len__(self) -> int:
        return self.starts.size

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where they begin in the shard."""
        return self.block.offset + self.starts

    def chunk(self, begin: int, size: int, before: int) -> KeptLines:
        """From number ``begin`` on so many that they hold about ``size`` bytes, those at positions below ``before``."""
        lengths = np.cumsum(self.stops[begin:] - self.starts[begin:])
        end = begin + int(np.searchsorted(lengths, size)) + 1
        end = min(end, int(np.searchsorted(self.starts, before - self.block.offset)))
        return KeptLines(self.block, self.starts[begin:end], self.stops[begin:end], self.first + begin)


def kept_in_blocks(piece: Piece, reader: LineReader, asked: SecondPass) -> Iterator[KeptLines]:
    """The lines at the positions that are asked for, block by block.

    Raises :class:`InputChanged` where no line begins at one of them.
    """
    positions = asked.positions
    for block in reader.blocks(piece, asked.start):
        if asked.check is not None:
            asked.check.add_lines(block)
        if block.starts.size and not block.too_large:
            first, last = np.searchsorted(positions, block.offset + block.starts[[0, -1]] + (0, 1))
            starts = positions[first:last] - block.offset
            at = np.minimum(np.searchsorted(block.starts, starts), block.starts.size - 1)
            moved = np.flatnonzero(block.starts[at] != starts)
            if moved.size:
                raise changed(piece, block.offset + int(starts[moved[0]]))
            yield KeptLines(block, starts, block.stops[at], int(first))


class OutputLines:
    """Makes the output of kept lines of a piece."""

    def __init__(self, piece: Piece, asked: SecondPass) -> None:
        self._piece = piece
        self._asked = asked
        numbers = {source: number for number, source in enumerate(asked.set_names)}
        self._names = ByteTable.of([orjson.dumps(name) for name in asked.set_names.values()])
        self._name_of = np.zeros(max(numbers, default=0) + 1, dtype=np.int64)
        self._name_of[list(numbers)] = list(numbers.values())
        self._counts = ByteTable.of(asked.counts.table if asked.counts else [])
        proven = asked.check is not None and asked.check.compares_all
        self._splices = proven and len(asked.fields.text) == 1
        self._text_name = np.frombuffer(asked.fields.text[0].encode(), dtype=np.uint8)
        self._scratch = splice_scratch()
        self._target = np.empty(0, dtype=np.uint8)

    def line(self, kept: KeptLines, number: int) -> bytes:
        """The output of one line, rebuilt. Raises :class:`InputChanged` where it holds no sound record any more."""
        asked, fields, block = self._asked, self._asked.fields, kept.block
        start, record = int(kept.starts[number]), kept.first + number
        line: bytes | memoryview = block.data[start : int(kept.stops[number])]
        source = int(asked.sources[record])
        (duplicates,) = asked.duplicates(record, record + 1)
        renewed = None
        try:
            if asked.rewritten[record]:
                line, found, count = strict(line, fields.paths)
                renewed = orjson.dumps(asked.normalise(value_at(found, fields.text)))
                asked.replaced.add(source, count, f"{self._piece.file.path}, byte {block.offset + start:,}")
            return rebuilt_line(line, asked.set_names[source], renewed, fields, self._piece.keeps_labels, duplicates)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError) as fault:
            raise changed(self._piece, block.offset + start) from fault

    def batch(self, kept: KeptLines) -> LineBatch:
        """The output of all of them, spliced where that can be, else rebuilt."""
        spliced, ends = self._spliced(kept)
        target = self._target.data
        slow = np.flatnonzero(~spliced).tolist()
        if not slow:
            return LineBatch(bytes(target[: int(ends[-1])]), ends)
        sizes = np.diff(ends, prepend=0)
        pieces: list[bytes | memoryview] = []
        begin = 0
        for number in slow:
            end = int(ends[number])
            line = self.line(kept, number)
            pieces += (target[begin:end], line)
            sizes[number] = len(line)
            begin = end
        pieces.append(target[begin : int(ends[-1])])
        return LineBatch(b"".join(pieces), np.cumsum(sizes))

    def _spliced(self, kept: KeptLines) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which of the lines were spliced into the target, and where each ends there."""
        asked, counts = self._asked, self._asked.counts
        records = slice(kept.first, kept.first + len(kept))
        ends = np.zeros(len(kept), dtype=np.int64)
        if not self._splices:
            return ends.astype(np.bool_), ends
        spliced = ~asked.rewritten[records]
        room = room_for(len(kept), int((kept.stops - kept.starts).sum()), self._names, self._counts)
        if room > self._target.size:
            self._target = np.empty(room, dtype=np.uint8)
        splice_lines(
            np.frombuffer(kept.block.data, dtype=np.uint8),
            kept.starts,
            kept.stops,
            self._text_name,
            self._piece.keeps_labels,
            self._names.joined,
            self._names.bounds,
            self._name_of[asked.sources[records]],
            self._counts.joined,
            self._counts.bounds,
            counts.numbers[records].astype(np.int64) if counts else np.full(len(kept), -1, dtype=np.int64),
            self._scratch,
            spliced,
            self._target,
            ends,
        )
        return spliced, ends


def load_kernels() -> None:
    """Compile the kernel, or load it."""
    line = bytearray(b'{"text":""}')
    names, counts = ByteTable.of([b'""']), ByteTable.of([b"{}"])
    zero, one = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.bool_)
    splice_lines(
        np.frombuffer(line, dtype=np.uint8),
        zero,
        zero + len(line),
        np.frombuffer(b"text", dtype=np.uint8),
        False,
        names.joined,
        names.bounds,
        zero,
        counts.joined,
        counts.bounds,
        zero,
        splice_scratch(),
        one,
        np.empty(room_for(1, len(line), names, counts), dtype=np.uint8),
        zero.copy(),
    )
