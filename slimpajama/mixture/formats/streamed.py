"""Formats whose files are written from front to back: token ids, and beside them what tells the documents apart.

A format names a :class:`Part` for each of its files; a part turns groups of sequences into bytes. Writing appends those
bytes, and checking makes them anew and compares. Costs one copy of the tokens in the width of the file. Rejected: a
writer and a checker in each format, which said the same things twice.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, ClassVar, cast

import numpy as np

from slimpajama.mixture.formats.base import MixtureFormat, SequenceGroup, SequenceShape, SequenceWriter
from slimpajama.storage.paths import opened

__all__ = ["Part", "StreamedFormat", "Tokens", "token_width"]


def token_width(vocabulary: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Two bytes where every id fits into them, else four."""
    return np.dtype("<u2") if vocabulary <= 1 << 16 else np.dtype("<u4")


class Part:
    """One file in the making. ``gzipped``: whether its bytes are compressed on the way to the file."""

    gzipped: ClassVar[bool] = False

    @abstractmethod
    def add(self, group: SequenceGroup) -> bytes:
        """What the next group appends to the file."""

    def end(self) -> bytes:
        """What follows the last group."""
        return b""


class Tokens(Part):
    """The token ids in ``width``, one sequence after the other."""

    def __init__(self, width: np.dtype[np.unsignedinteger[Any]]) -> None:
        self._width = width

    def add(self, group: SequenceGroup) -> bytes:
        """See :meth:`Part.add`."""
        return group.tokens.astype(self._width).tobytes()


class _Writer:
    def __init__(self, files: Sequence[BinaryIO], parts: Sequence[Part]) -> None:
        self._files = list(zip(files, parts, [_packer(part) for part in parts], strict=True))

    def write(self, group: SequenceGroup) -> None:
        for file, part, packer in self._files:
            data = part.add(group)
            file.write(packer.compress(data) if packer is not None else data)

    def end(self) -> None:
        for file, part, packer in self._files:
            data = part.end()
            file.write(packer.compress(data) + packer.flush() if packer is not None else data)


def _packer(part: Part) -> zlib._Compress | None:
    return zlib.compressobj(6, zlib.DEFLATED, 31) if part.gzipped else None  # 31: a gzip file, without a date


class StreamedFormat(MixtureFormat):
    """A format of files that are written from front to back; ``parts`` has one for each of ``endings``."""

    @abstractmethod
    def parts(self, shape: SequenceShape) -> Sequence[Part]:
        """What makes the files of one part of a split."""

    @contextlib.contextmanager
    def writer(self, files: Sequence[BinaryIO], shape: SequenceShape) -> Iterator[SequenceWriter]:
        """See :meth:`MixtureFormat.writer`."""
        writer = _Writer(files, self.parts(shape))
        yield writer
        writer.end()

    def differences(self, path: Path, shape: SequenceShape, groups: Iterator[SequenceGroup]) -> Iterator[str]:
        """See :meth:`MixtureFormat.differences`; stops at the first group that differs."""
        # The longest ending that fits: one may end as another does.
        ending = max((one for one in self.endings if path.name.endswith(one)), key=len)
        part = self.parts(shape)[self.endings.index(ending)]
        row = 0
        with opened(path) as raw, contextlib.ExitStack() as stack:
            file = cast(IO[bytes], stack.enter_context(gzip.open(raw)) if part.gzipped else raw)
            for group in groups:
                expected = part.add(group)
                if file.read(len(expected)) != expected:
                    yield f"differs from plan and store after sequence {row:,}"
                    return
                row += group.tokens.shape[0]
            expected = part.end()
            if file.read(len(expected) + 1) != expected:
                yield f"does not end as a file of the {row:,} planned sequences ends"
