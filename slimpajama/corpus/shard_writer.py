"""Records out: the kept records of a piece, in input order, as ``{"text", "meta"}`` lines.

What a line of the output is, :mod:`slimpajama.corpus.rebuilt_line` says; here is what a format is asked for in the
second pass over a piece, and the files that lines go to. Lines that are not kept are never parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.content import PartsCheck
from slimpajama.corpus.discovery import Piece
from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.line_batch import LineBatch
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.shard_formats import ShardEncoder
from slimpajama.errors import InputChanged
from slimpajama.storage.atomic import OutputFile, atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of, status_of

__all__ = [
    "DuplicateCounts",
    "PartEnds",
    "Replacements",
    "SecondPass",
    "ShardWriter",
    "changed",
    "kept_batches",
    "kept_lines",
]

FLUSH_BYTES = 1 << 20
NEVER = 1 << 62


@dataclass(slots=True)
class Replacements:
    """How many values beside the text had to be replaced, by source order, and where the first record of them is."""

    values: dict[int, int] = field(default_factory=dict)
    first: str = ""

    def add(self, source: int, count: int, where: str) -> None:
        """Count ``count`` values of a record."""
        if count:
            self.values[source] = self.values.get(source, 0) + count
            self.first = self.first or where


@dataclass(frozen=True, slots=True)
class DuplicateCounts:
    """What each of n records stands for: the place ``numbers`` ``uint32[n]`` in a ``table`` of JSON objects, of which
    there are few, as most documents have no duplicates."""

    table: Sequence[bytes]
    numbers: NDArray[np.uint32]

    def among(self, records: slice) -> DuplicateCounts:
        """Those of some of the records, and of the table only what they need: a bundle's may be longer than a shard."""
        needed, numbers = np.unique(self.numbers[records], return_inverse=True)
        return DuplicateCounts([self.table[place] for place in needed.tolist()], numbers.astype(np.uint32))


@dataclass(frozen=True, slots=True)
class SecondPass:
    """What a format is asked for in the second pass over a piece; the fields are the arguments of :func:`kept_lines`.

    ``set_names``: the name that records of a source get, by its number.
    """

    positions: NDArray[np.int64]
    sources: NDArray[np.int64]
    rewritten: NDArray[np.bool_]
    normalise: Callable[[str], str]
    start: int
    fields: Fields
    replaced: Replacements
    check: PartsCheck | None
    set_names: Mapping[int, str]
    counts: DuplicateCounts | None

    def duplicates(self, first: int, last: int) -> list[bytes | None]:
        """What ``meta.duplicates`` of the records from place ``first`` to ``last`` is to hold, as JSON."""
        if self.counts is None:
            return [None] * (last - first)
        return [self.counts.table[number] for number in self.counts.numbers[first:last].tolist()]


def kept_lines(
    piece: Piece,
    reader: LineReader,
    positions: NDArray[np.int64],
    sources: NDArray[np.int64],
    rewritten: NDArray[np.bool_],
    normalise: Callable[[str], str],
    start: int = 0,
    fields: Fields = TEXT_ALONE,
    replaced: Replacements | None = None,
    check: PartsCheck | None = None,
    counts: DuplicateCounts | None = None,
) -> Iterator[bytes]:
    """The output lines of the records at ``positions`` ``int64[n]`` (ascending), in order.

    ``start``: where a record begins, at or before the first of them. ``sources`` ``int64[n]``: source of each.
    ``rewritten`` ``bool[n]``: whether ``normalise`` changes its text, or the line is not strict JSON. ``replaced``
    counts the values that JSON cannot hold. ``counts``: what ``meta.duplicates`` is to hold, if it is wanted. Raises
    :class:`InputChanged` where the shard is another than was found at first, or one of them is no longer at its place;
    ends early where the shard does.
    With a ``check``, each part is followed by an empty line, once its content has proved to be what was read first.
    """
    asked = _asked(piece, positions, sources, rewritten, normalise, start, fields, replaced, check, counts)
    return piece.file.format.kept_lines(piece, reader, asked)


def kept_batches(
    piece: Piece,
    reader: LineReader,
    positions: NDArray[np.int64],
    sources: NDArray[np.int64],
    rewritten: NDArray[np.bool_],
    normalise: Callable[[str], str],
    start: int = 0,
    fields: Fields = TEXT_ALONE,
    replaced: Replacements | None = None,
    check: PartsCheck | None = None,
    counts: DuplicateCounts | None = None,
) -> Iterator[LineBatch]:
    """The same lines as :func:`kept_lines`, many at a time, and much faster where a ``check`` follows.

    Before the end of its part, a batch may hold anything where the shard has changed.
    """
    asked = _asked(piece, positions, sources, rewritten, normalise, start, fields, replaced, check, counts)
    return piece.file.format.kept_batches(piece, reader, asked)


def _asked(
    piece: Piece,
    positions: NDArray[np.int64],
    sources: NDArray[np.int64],
    rewritten: NDArray[np.bool_],
    normalise: Callable[[str], str],
    start: int,
    fields: Fields,
    replaced: Replacements | None,
    check: PartsCheck | None,
    counts: DuplicateCounts | None,
) -> SecondPass:
    with suppress(FileNotFoundError):  # which is explained where the shard is opened
        status = status_of(path_of(piece.file.path))
        found = piece.file
        if (status.size, status.modified_ns, status.version) != (found.size, found.modified_ns, found.version):
            raise InputChanged(
                f"{piece.file.path} changed during the run; run the same command again, it starts this shard anew"
            )
    return SecondPass(
        positions,
        sources,
        rewritten,
        normalise,
        start,
        fields,
        Replacements() if replaced is None else replaced,
        check,
        dict(zip((shard.source for shard in piece.shards), piece.set_names, strict=True)),
        counts,
    )


class PartEnds:
    """The ends of the parts that a second pass checks, in order; each becomes an empty line in its output."""

    def __init__(self, check: PartsCheck | None) -> None:
        self._check = check
        self._ends = iter(check.inner_bounds if check else ())
        self.next = next(self._ends, NEVER)
        """The position at which the current part ends."""

    def before(self, position: int) -> Iterator[bytes]:
        """The empty lines that precede the record at ``position``."""
        while position >= self.next:
            yield b""
            self.next = next(self._ends, NEVER)

    def closing(self) -> Iterator[bytes]:
        """The empty lines after the last record."""
        if self._check is None:
            return
        self._check.end()
        yield from self.before(NEVER - 1)
        yield b""


class ShardWriter:
    """One encoded stream that goes to one file, or to two that hold the same."""

    def __init__(self, stack: ExitStack, paths: Sequence[Path], encoder: ShardEncoder) -> None:
        self._files: list[OutputFile] = [stack.enter_context(atomic_file(path)) for path in paths]
        self._encoder = encoder
        self._lines: list[bytes] = []
        self._waiting = 0

    def write(self, line: bytes) -> None:
        """Append one line, with its newline."""
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting >= FLUSH_BYTES:
            self._send(self._encoder.compress(b"".join(self._lines)))
            self._lines.clear()
            self._waiting = 0

    def finish(self) -> None:
        """End the stream. A writer that is not finished leaves one that breaks off."""
        self._send(self._encoder.compress(b"".join(self._lines)) + self._encoder.flush())

    @property
    def records(self) -> list[FileRecord]:
        """Of each file; final once the writer is finished."""
        return [file.record for file in self._files]

    def _send(self, compressed: bytes) -> None:
        for file in self._files:
            file.write(compressed)


def changed(piece: Piece, position: int) -> InputChanged:
    """The error for a shard whose record at ``position`` is no longer what an earlier stage read."""
    return InputChanged(
        f"{piece.file.path} changed during the run: the record at {piece.file.format.unit} {position:,} is not there "
        "any more; run the same command again, it starts this shard anew"
    )
