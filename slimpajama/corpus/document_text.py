"""The stored texts of single documents, read from the shards of the input by their positions.

A plain shard is opened at the position; a compressed one is decoded up to there; a table is read from its row group on.
Texts of one shard are read in one pass, and those far apart in a plain shard each by itself. Texts come normalised, as
they are stored. Rejected: reading deduplicated shards (they do not hold what was removed), and an index of compressed
shards (half a decoding for each document is seconds).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from slimpajama.config.dedup import Config
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.file_formats import suffix_of
from slimpajama.corpus.lines import LineReader, OpensLines
from slimpajama.corpus.pieces import Piece, Shard, ShardFile
from slimpajama.corpus.shard_writer import Replacements, kept_lines
from slimpajama.errors import ConfigError, InputChanged, InputNotFound
from slimpajama.storage.paths import status_of
from slimpajama.text.normalisation import normaliser

__all__ = ["TextReader"]

BLOCK_BYTES = 1 << 18
"""Read at a time: a document is small, and the block grows where it is not."""

FAR = 4 << 20
"""Bytes between two documents of a plain shard that are not read through."""

_TEXT = len('{"text":')
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads texts of the input ``root`` as a deduplication with the settings ``config`` read them."""

    root: Path
    config: Config

    def shard(self, relative: str) -> ShardFile:
        """The shard at a path below the input. Raises :class:`InputNotFound` where there is none."""
        suffix = suffix_of(relative)
        if suffix is None:
            raise InputNotFound(f"{relative} is no shard: its ending is not one that is read")
        for path in (self.root / relative, self.root):  # the input itself may be a shard
            if path == self.root and path.name != relative:
                continue
            try:
                status = status_of(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as fault:
                raise InputNotFound(f"cannot read {path}: {fault.strerror or fault}; mend its permissions") from fault
            return ShardFile(str(path), relative, suffix, status.size, status.modified_ns, status.version)
        raise InputNotFound(
            f"{self.root / relative} is not there, so its texts cannot be read; bring the input back to where it was "
            "when it was deduplicated"
        )

    def text(self, relative: str, position: int) -> str:
        """The stored text at a position of a shard, as the decisions name both.

        Raises :class:`InputNotFound` where the shard has gone, and :class:`InputChanged` where no record begins there.
        """
        return self.texts(self.shard(relative), [position])[0]

    def texts(self, file: ShardFile, positions: Sequence[int]) -> list[str]:
        """The stored texts at ``positions`` of a shard, which ascend. Raises :class:`InputChanged`."""
        found: list[str] = []
        for group in _groups(positions, FAR if file.format.divisible and file.codec.plain else 1 << 62):
            found += self._pass(file, group)
        return found

    def _pass(self, file: ShardFile, positions: Sequence[int]) -> Iterator[str]:
        piece = Piece(file, 0, None, 0, 1, (Shard(0, 0, 0, ""),), ("",))
        count = len(positions)
        lines = kept_lines(
            piece,
            self._reader,
            np.array(positions, dtype=np.int64),
            np.zeros(count, dtype=np.int64),
            np.ones(count, dtype=np.bool_),
            normaliser(self.config.normalisation),
            positions[0],
            Fields.of(self.config.text_field, None),
            Replacements(),
        )
        fault: InputChanged | None = None
        try:
            for _, line in zip(positions, lines, strict=False):
                yield _decoder.raw_decode(line.decode(), _TEXT)[0]
                count -= 1
        except InputChanged as found:
            fault = found
        if count:
            raise InputChanged(
                f"{file.path} holds no such record at {file.format.unit} {positions[-count]:,} any more; it changed "
                "after it was deduplicated: bring it back, or deduplicate again"
            ) from fault

    @property
    def _reader(self) -> LineReader:
        return LineReader(self.config.max_document_bytes, self.config.truncated, BLOCK_BYTES)

    def position_of(self, relative: str, number: int) -> int:
        """The position of line or row ``number`` of a shard; the first is 1. Reads the shard up to there.

        Raises :class:`ConfigError` where the shard has fewer.
        """
        file = self.shard(relative)
        if number < 1:
            raise ConfigError(f"there is no line {number} in {relative}; lines are counted from 1")
        if file.format.unit == "row":
            return number - 1
        seen = offset = 0
        block = memoryview(bytearray(BLOCK_BYTES))
        with closing(cast(OpensLines, file.format).open_lines(file, self.config.truncated, 0)) as source:
            while seen < number - 1 and (read := source.read_into(block)):
                content = bytes(block[:read])
                ends = content.count(b"\n")
                if seen + ends < number - 1:
                    seen, offset = seen + ends, offset + read
                    continue
                place = 0
                for _ in range(number - 1 - seen):
                    place = content.index(b"\n", place) + 1
                return offset + place
        if seen < number - 1:
            raise ConfigError(f"{relative} has fewer than {number:,} lines; give a line that it has")
        return offset


def _groups(positions: Sequence[int], far: int) -> Iterator[Sequence[int]]:
    begin = 0
    for index in range(1, len(positions) + 1):
        if index == len(positions) or positions[index] - positions[index - 1] > far:
            yield positions[begin:index]
            begin = index
