"""The beginning of a shard as a shard of its own, for a sample: whole lines, or whole row groups of Parquet.

What part of the file the copy stands for is measured: so it is known how much text a byte of a file holds.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from slimpajama.corpus.lines import OpensLines
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import ShardUnreadable
from slimpajama.storage.paths import is_remote, opened, path_of

__all__ = ["copied_groups", "copied_lines"]

LOOK = 8
"""Times the part that is taken, within which it is measured what part of the file that is."""

LONGEST_LINE = 256 << 20
"""Where no line ends before, a file is counted as empty."""

_BLOCK = 1 << 14
_SIP = 1 << 12


class _Sips(io.RawIOBase):
    """A file that gives little at a time, so that a decompressor is never far ahead of what it has given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(min(size, _SIP) if size >= 0 else _SIP)
        self.given += len(block)
        return block

    def readinto(self, target: Any) -> int:
        block = self.read(len(target))
        target[: len(block)] = block
        return len(block)

    def readable(self) -> bool:
        return True


def copied_lines(file: ShardFile, lines: OpensLines, most: int, target: Path, longest_line: int = LONGEST_LINE) -> int:
    """Write whole lines of the first ``most`` bytes of a file, one line at least; returns what they stand for.

    How much text a byte is, is measured over more of the file, which is decompressed and thrown away: the beginning
    of a stream is compressed less well than what follows.
    """
    content = bytearray()
    whole = size = 0
    used = 0, 0  # bytes of the file, and of its content, the last time that one was all there was in the other
    try:
        with opened(path_of(file.path)) as source:
            sips = _Sips(source)
            stream = lines.open_lines(file, "stop", 0, cast(BinaryIO, sips))
            scratch = memoryview(bytearray(_BLOCK))
            while sips.given < LOOK * most or (not whole and len(content) < longest_line):
                before = sips.given, size
                block = scratch[: stream.read_into(scratch)]
                used = before if sips.given > before[0] else used
                if not block:
                    used = file.size, size
                    break
                size += len(block)
                if before[0] < most or not whole:
                    begin = len(content)
                    content += block
                    whole = max(whole, content.rfind(b"\n", begin) + 1)
    except OSError as fault:
        raise ShardUnreadable(
            f"{file.path} cannot be read ({' '.join(str(fault).split())}); replace it or leave it out"
        ) from fault
    if used == (file.size, len(content)):
        whole = len(content)  # the last line may have no newline
    target.write_bytes(file.codec.compressed(bytes(content[:whole])))
    return round(used[0] * whole / used[1]) if used[1] else file.size


def copied_groups(file: ShardFile, most: int, target: Path) -> int:
    """Write row groups until they stand for ``most`` bytes of a file; returns what they stand for: their rows."""
    import pyarrow.parquet as pq

    path = path_of(file.path)
    try:
        with pq.ParquetFile(opened(path) if is_remote(path) else path) as table:
            rows, taken = table.metadata.num_rows, 0
            with pq.ParquetWriter(target, table.schema_arrow) as writer:
                for group in range(table.metadata.num_row_groups):
                    if file.size * taken >= most * rows and taken:
                        break
                    content = table.read_row_group(group)
                    writer.write_table(content)
                    taken += content.num_rows
    except pa.ArrowException as fault:
        raise ShardUnreadable(f"{file.path} is not Parquet: {fault}; fetch it again, or leave it out") from fault
    return file.size if taken == rows else round(file.size * taken / rows)
