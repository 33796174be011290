"""The decoded bytes of a shard, and what happens where they break off.

zstd and lz4 are decoded by Arrow, whose stream notices a frame that breaks off; gzip, bzip2 and xz by Python's own
modules, which tell where a member ends, so that zeros behind it count as padding (``tar``, block devices and object
stores leave them). Python's ``zlib`` is as fast as Arrow's. Memory is one chunk, one request and the codec's window,
which is limited to 128 MiB. A codec that fails gives nothing of the call that failed: to keep all that precedes a
fault, the stream is read once more, byte by byte near the fault, which takes a few seconds and twice the decoding.
Rejected: ``zstandard``'s reader, which ends a broken stream without a word.
"""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import lzma
import zlib
from contextlib import closing
from typing import Any, BinaryIO, Literal, Protocol, cast

import pyarrow as pa

from slimpajama.corpus.diagnosis import HEAD_BYTES, not_compressed_so
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import InputChanged, InputError, ShardUnreadable
from slimpajama.storage.paths import is_remote, opened, place

__all__ = ["ShardBytes", "beginning_of", "compressed", "decoded_stream"]

WINDOW_BYTES = 128 << 20
CHUNK_BYTES = 1 << 18
"""Bytes of the file that a codec takes at a time, at most; Arrow takes 64 KiB."""

REQUEST_BYTES = {"stop": 1 << 20, "keep": 1 << 16}
"""Bytes decoded per call. What a failing call asked for is read again byte by byte, so ``keep`` asks for less."""

_ARROW = {"zst": "zstd", "lz4": "lz4"}


class ByteStream(Protocol):
    """What decoded bytes are read from; ``readinto`` raises :class:`OSError`, without ``errno`` for corrupt data."""

    def readinto(self, target: memoryview, /) -> int:
        """Fill the beginning of ``target``; 0 at the end of the stream."""
        ...


class WindowTooLarge(OSError):
    """The stream asks for more memory than is allowed."""


class ShardBytes:
    """The decoded bytes of a shard, whose faults name the shard and a remedy.

    With ``truncated="keep"`` a fault ends the stream instead, and sets ``broke_off``. ``raw``: the file, opened.
    """

    def __init__(
        self, file: ShardFile, truncated: Literal["stop", "keep"] = "stop", raw: BinaryIO | None = None
    ) -> None:
        self._file = file
        self._truncated = truncated
        self._request = REQUEST_BYTES[truncated]
        self._raw: Any = raw or _open(file)
        self._stream = decoded_stream(self._raw, file.compression)
        self._given = 0
        self._careful = False
        self.broke_off = False

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def read_into(self, target: memoryview) -> int:
        """Fill ``target`` as far as the stream goes; returns the bytes read, 0 at its end."""
        filled = 0
        while filled < len(target) and not self.broke_off:
            try:
                read = self._stream.readinto(target[filled : filled + self._request])
            except OSError as fault:
                self._recover(fault)
                continue
            if not read:
                break
            filled += read
            self._given += read
        return filled

    def skip(self, count: int) -> None:
        """Go ``count`` bytes on. Raises :class:`InputChanged` where a compressed stream ends before."""
        if self._file.compression == "none":
            self._raw.seek(self._given + count)
            self._given += count
            return
        scratch = memoryview(bytearray(min(count, 8 << 20)))
        while count:
            read = self.read_into(scratch[:count])
            if not read:
                raise InputChanged(
                    f"{self._file.path} is shorter than it was; run the same command again, it starts this shard anew"
                )
            count -= read

    def break_off(self, reason: str, cause: Exception | None = None) -> None:
        """End the stream here, because of ``reason``: an error, unless what precedes it is to be kept."""
        if self._truncated == "stop":
            raise ShardUnreadable(
                f"{self._file.path} is corrupt or breaks off ({reason}); replace it, remove it, or set truncated=keep "
                "to use the whole records before the fault"
            ) from cause
        logging.getLogger("slimpajama").warning(
            "%s is corrupt or breaks off (%s); only its whole records in the first %s bytes of text are used",
            self._file.path,
            reason,
            f"{self._given:,}",
        )
        self.broke_off = True

    def _recover(self, fault: OSError) -> None:
        reason = " ".join(str(fault).split())
        if isinstance(fault, WindowTooLarge) or "too much memory" in reason:
            method, remedy = ("an xz", "-9 or less") if self._file.compression == "xz" else ("a zstd", "")
            raise ShardUnreadable(
                f"{self._file.path} needs {method} window of more than 128 MiB ({reason}); "
                f"compress it again {f'with {remedy}' if remedy else 'without --long or --ultra'}"
            ) from fault
        if fault.errno is not None:
            raise ShardUnreadable(
                f"cannot read {self._file.path}: {reason}; run the same command again, or replace the file"
            ) from fault
        if self._truncated == "keep" and not self._careful:
            self._read_again()
            return
        self.break_off(self._other_kind() or reason, fault)

    def _other_kind(self) -> str:
        if self._given or self._file.compression == "none":
            return ""
        with opened(place(self._file.path)) as raw:
            return not_compressed_so(raw.read(HEAD_BYTES), self._file.compression)

    def _read_again(self) -> None:
        """Come back to the same byte in small steps, so that a fault costs nothing that precedes it."""
        read = self._raw.tell()
        self._raw.close()
        given, self._given = self._given, 0
        self._careful = True
        self._raw = _open(self._file, slow_from=max(0, read - 2 * CHUNK_BYTES))
        self._stream = decoded_stream(self._raw, self._file.compression)
        self.skip(given)
        self._request = 1


def beginning_of(file: ShardFile) -> bytes:
    """The first decoded bytes of a shard; none where it cannot be read."""
    head = memoryview(bytearray(HEAD_BYTES))
    try:
        with closing(ShardBytes(file)) as content:
            return bytes(head[: content.read_into(head)])
    except InputError:
        return b""


def decoded_stream(raw: Any, compression: str) -> ByteStream:
    """The decoded bytes of ``raw``, a file of Python or of Arrow."""
    if compression in _ARROW:
        if not isinstance(raw, pa.NativeFile):
            raw = pa.PythonFile(raw, mode="r")
        return cast(ByteStream, pa.CompressedInputStream(raw, _ARROW[compression]))
    return cast(ByteStream, raw) if compression == "none" else _MemberStream(raw, compression)


def compressed(content: bytes, compression: str) -> bytes:
    """``content`` as one member or frame."""
    if compression in _ARROW:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, _ARROW[compression]) as stream:
            stream.write(content)
        return bytes(sink.getvalue())
    if compression == "gz":
        return gzip.compress(content, mtime=0)
    if compression == "bz2":
        return bz2.compress(content)
    return lzma.compress(content) if compression == "xz" else content


def _open(file: ShardFile, slow_from: int | None = None) -> Any:
    """The file, of Python or of Arrow; from its byte ``slow_from`` on it gives one byte at a time."""
    path = place(file.path)
    try:
        if slow_from is not None:
            return _SlowFile(opened(path), slow_from)
        if is_remote(path) or file.compression not in ("none", *_ARROW):
            return opened(path)
        return pa.OSFile(file.path)
    except FileNotFoundError as fault:
        raise InputChanged(f"{file.path} has gone since the run began; put it back, or run again without it") from fault
    except OSError as fault:
        raise ShardUnreadable(f"cannot open {file.path}: {fault}; mend its permissions or remove it") from fault


class _SlowFile(io.RawIOBase):
    """A file that gives one byte at a time from ``slow_from`` on."""

    def __init__(self, file: BinaryIO, slow_from: int) -> None:
        self._file = file
        self._slow_from = slow_from
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        size = CHUNK_BYTES if size < 0 else size
        block = self._file.read(max(1, min(size, self._slow_from - self._position)))
        self._position += len(block)
        return block

    def readinto(self, target: Any) -> int:
        block = self.read(len(target))
        target[: len(block)] = block
        return len(block)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = self._file.seek(offset, whence)
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


class _Member(Protocol):
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


def _new_member(compression: str) -> _Member:
    if compression == "gz":
        return _GzipMember()
    if compression == "bz2":
        return bz2.BZ2Decompressor()
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW_BYTES + (1 << 20))


class _MemberStream:
    """Members that follow each other in a file, and zeros between and after them."""

    def __init__(self, raw: BinaryIO, compression: str) -> None:
        self._raw = raw
        self._compression = compression
        self._member = _new_member(compression)
        self._members = 0
        self._begun = False
        self._data = b""  # read from the file, not yet decoded
        self._text = memoryview(b"")  # decoded, not yet given

    def readinto(self, target: memoryview) -> int:
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
                self._member = _new_member(self._compression)
                self._members += 1
                self._begun = False
            elif ended and not text:
                raise OSError("the compressed stream ends too early")
            if text:
                return text
