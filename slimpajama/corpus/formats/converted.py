"""Formats whose records are turned into JSON lines while they are read: one method each.

The lines that :meth:`ConvertedFormat.json_lines` makes are read exactly as a ``.jsonl`` file is; positions are bytes in
the stream of lines. Nothing is written to disk. To go on from a position the file is converted from its beginning once
more. Costs the conversion, in both passes.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from slimpajama.corpus.decoding import ShardBytes
from slimpajama.corpus.formats.base import InputFormat
from slimpajama.corpus.formats.jsonl import JsonLinesFormat
from slimpajama.corpus.lines import LineSource
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import InputChanged, ShardUnreadable

__all__ = ["ConvertedFormat"]


class ConvertedFormat(JsonLinesFormat):
    """Subclass this, set ``name`` and ``endings``, and write :meth:`json_lines`."""

    divisible = False

    @abstractmethod
    def json_lines(self, file: BinaryIO) -> Iterator[bytes]:
        """A JSON object for each record of ``file``, which is decompressed already: one line, without its newline.

        The same file must give the same lines each time. Raise :class:`ValueError` where it is not of this format; the
        message continues the sentence "FILE cannot be read as FORMAT: …".
        """

    def open_lines(
        self, file: ShardFile, truncated: Literal["stop", "keep"], position: int, raw: BinaryIO | None = None
    ) -> LineSource:
        """See :meth:`JsonLinesFormat.open_lines`."""
        source = _Converted(self, file, ShardBytes(file, truncated, raw))
        try:
            source.skip(position)
        except BaseException:
            source.close()
            raise
        return source

    def remedy(self, file: ShardFile, reason: str, text_field: str) -> str:
        """See :meth:`InputFormat.remedy`."""
        return ""

    def copy_beginning(self, file: ShardFile, most: int, target: Path) -> int:
        """See :meth:`InputFormat.copy_beginning`."""
        return InputFormat.copy_beginning(self, file, most, target)


class _Decoded(io.RawIOBase):
    """The decoded bytes of a shard as a file of Python."""

    def __init__(self, content: ShardBytes) -> None:
        self._content = content

    def readinto(self, target: Any) -> int:
        return self._content.read_into(memoryview(target).cast("B"))

    def readable(self) -> bool:
        return True


class _Converted:
    """The lines that a format makes of a shard, as bytes."""

    def __init__(self, format: ConvertedFormat, file: ShardFile, content: ShardBytes) -> None:
        self._format = format
        self._file = file
        self._content = content
        self._lines = format.json_lines(cast(BinaryIO, io.BufferedReader(_Decoded(content))))
        self._rest = memoryview(b"")

    @property
    def broke_off(self) -> bool:
        return self._content.broke_off

    def read_into(self, target: memoryview) -> int:
        filled = 0
        while filled < len(target):
            if not self._rest:
                try:
                    line = next(self._lines, None)
                except ValueError as fault:
                    raise ShardUnreadable(
                        f"{self._file.path} cannot be read as {self._format.name}: {fault}; replace or remove it"
                    ) from fault
                if line is None:
                    break
                self._rest = memoryview(line + b"\n")
            taken = self._rest[: len(target) - filled]
            target[filled : filled + len(taken)] = taken
            self._rest = self._rest[len(taken) :]
            filled += len(taken)
        return filled

    def skip(self, count: int) -> None:
        scratch = memoryview(bytearray(min(count, 1 << 20)))
        while count:
            read = self.read_into(scratch[:count])
            if not read:
                raise InputChanged(
                    f"{self._file.path} is shorter than it was; run the same command again, it starts this shard anew"
                )
            count -= read

    def close(self) -> None:
        self._content.close()
