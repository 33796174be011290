"""Codecs: how a compressed shard is decoded. One class each.

To add one, write a subclass of :class:`Codec` in a module that workers can import and register an instance with
``CODECS.register``. Files of every compressible input format may then end in one of its ``endings``.

lz4 is decoded by Arrow, whose stream notices a frame that breaks off; zstd in :mod:`~slimpajama.corpus.zstd_frames`;
gzip, bzip2 and xz by Python's own modules, which tell where a member ends, so that zeros behind it count as padding
(``tar``, block devices and object stores leave them). Python's ``zlib`` is as fast as Arrow's.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Protocol, cast

__all__ = [
    "CHUNK_BYTES",
    "ByteStream",
    "Bz2Codec",
    "Codec",
    "Entry",
    "GzCodec",
    "Lz4Codec",
    "MemberStream",
    "PlainCodec",
    "WindowTooLarge",
    "XzCodec",
]

WINDOW_BYTES = 128 << 20
CHUNK_BYTES = 1 << 18
"""Bytes of the file that a codec takes at a time, at most; Arrow takes 64 KiB."""


class ByteStream(Protocol):
    """What decoded bytes are read from; ``readinto`` raises :class:`OSError`, without ``errno`` for corrupt data."""

    def readinto(self, target: memoryview, /) -> int:
        """Fill the beginning of ``target``; 0 at the end of the stream."""
        ...


class WindowTooLarge(OSError):
    """The stream asks for more memory than is allowed."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A place where decoding can begin: the byte ``stored`` of a file, and the ``position`` in the text."""

    stored: int
    position: int


class Codec(ABC):
    """A way to compress shards.

    ``name``: unique among codecs. ``endings``: what follows the ending of the format, as ``.gz`` in ``a.jsonl.gz``.
    ``expansion``: about how much text one byte of a file holds. ``reads_arrow_files``: whether :meth:`decoded` may be
    given a file of Arrow. ``method``, ``smaller_window``: words for the error about a window above 128 MiB.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    expansion: ClassVar[int] = 4
    plain: ClassVar[bool] = False
    reads_arrow_files: ClassVar[bool] = False
    method: ClassVar[str] = "a"
    smaller_window: ClassVar[str] = "without --long or --ultra"

    @abstractmethod
    def decoded(self, raw: Any) -> ByteStream:
        """The decoded bytes of the file ``raw``, which is read from its beginning.

        ``readinto`` of the result must raise an :class:`OSError` without ``errno`` where the data is corrupt or breaks
        off, and :class:`WindowTooLarge` instead of using more than 128 MiB. It returns 0 at a proper end only. The
        setting ``truncated`` then works for the codec.
        """

    def entries(self, raw: BinaryIO, size: int, apart: int) -> tuple[Entry, ...]:
        """Places in a file of ``size`` bytes where decoding can begin, besides its beginning, found without decoding.

        What lies between two, behind the last, and before the first is about ``apart`` bytes of text, or less. None
        where there are none, or where to look for them costs too much.
        """
        return ()

    @abstractmethod
    def compressed(self, content: bytes) -> bytes:
        """``content`` as one member or frame; ``slimpajama plan`` writes its samples with it."""


class PlainCodec(Codec):
    """No compression."""

    name = "none"
    endings = ("",)
    expansion = 1
    plain = True
    reads_arrow_files = True

    def decoded(self, raw: Any) -> ByteStream:
        """See :meth:`Codec.decoded`."""
        return cast(ByteStream, raw)

    def compressed(self, content: bytes) -> bytes:
        """See :meth:`Codec.compressed`."""
        return content


class GzCodec(Codec):
    """Gzip."""

    name = "gz"
    endings = (".gz",)
    expansion = 3

    def decoded(self, raw: Any) -> ByteStream:
        """See :meth:`Codec.decoded`."""
        return MemberStream(raw, _GzipMember)

    def compressed(self, content: bytes) -> bytes:
        """See :meth:`Codec.compressed`."""
        return gzip.compress(content, mtime=0)


class Bz2Codec(Codec):
    """Bzip2."""

    name = "bz2"
    endings = (".bz2",)

    def decoded(self, raw: Any) -> ByteStream:
        """See :meth:`Codec.decoded`."""
        return MemberStream(raw, bz2.BZ2Decompressor)

    def compressed(self, content: bytes) -> bytes:
        """See :meth:`Codec.compressed`."""
        return bz2.compress(content)


class XzCodec(Codec):
    """LZMA in the container of xz."""

    name = "xz"
    endings = (".xz",)
    expansion = 5
    method = "an xz"
    smaller_window = "with -9 or less"

    def decoded(self, raw: Any) -> ByteStream:
        """See :meth:`Codec.decoded`."""
        return MemberStream(raw, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW_BYTES + (1 << 20)))

    def compressed(self, content: bytes) -> bytes:
        """See :meth:`Codec.compressed`."""
        return lzma.compress(content)


class Lz4Codec(Codec):
    """LZ4 frames."""

    name = "lz4"
    endings = (".lz4",)
    expansion = 2
    reads_arrow_files = True
    method = "an lz4"

    def decoded(self, raw: Any) -> ByteStream:
        """See :meth:`Codec.decoded`."""
        import pyarrow as pa

        if not isinstance(raw, pa.NativeFile):
            raw = pa.PythonFile(raw, mode="r")
        return cast(ByteStream, pa.CompressedInputStream(raw, "lz4"))

    def compressed(self, content: bytes) -> bytes:
        """See :meth:`Codec.compressed`."""
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "lz4") as stream:
            stream.write(content)
        return bytes(sink.getvalue())


class Member(Protocol):
    """One gzip member, bzip2 stream or xz stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /, max_length: int) -> bytes: ...


class _GzipMember:
    """Python's ``zlib`` with the interface of its ``bz2`` and ``lzma``."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max_length)


class MemberStream:
    """Decodes members that follow each other in a file, and zeros between and after them."""

    def __init__(self, raw: BinaryIO, new_member: Callable[[], Member]) -> None:
        self._raw = raw
        self._new_member = new_member
        self._member = new_member()
        self._members = 0
        self._begun = False
        self._data = b""  # read from the file, not yet decoded
        self._text = memoryview(b"")  # decoded, not yet given

    def readinto(self, target: memoryview) -> int:
        """See :class:`ByteStream`."""
        if not self._text:
            self._text = memoryview(self._decoded(max(len(target), CHUNK_BYTES)))
        read = min(len(target), len(self._text))
        target[:read] = self._text[:read]
        self._text = self._text[read:]
        return read

    def _decoded(self, most: int) -> bytes:
        while True:
            if not self._data and self._member.needs_input:
                self._data = self._raw.read(CHUNK_BYTES)
                ended = not self._data
            else:
                ended = False
            if not self._begun:
                if self._members:
                    self._data = self._data.lstrip(b"\0")
                if not self._data:
                    if ended:
                        return b""
                    continue
                self._begun = True
            data, self._data = self._data, b""
            try:
                text = self._member.decompress(data, most)
            except (zlib.error, lzma.LZMAError, OSError) as fault:
                kind = WindowTooLarge if "memory usage limit" in str(fault).lower() else OSError
                raise kind(str(fault)) from fault
            if self._member.eof:
                self._data = self._member.unused_data
                self._member = self._new_member()
                self._members += 1
                self._begun = False
            elif ended and not text:
                raise OSError("the compressed stream ends too early")
            if text:
                return text
