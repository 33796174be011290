"""The decoded bytes of a shard, and what happens where they break off.

The codec of the file (:mod:`~slimpajama.corpus.codecs`) decodes. Memory is one chunk, one request and the codec's
window, which is limited to 128 MiB. A codec that fails gives nothing of the call that failed: to keep all that precedes
a fault, the stream is read once more, byte by byte near the fault, which takes a few seconds and twice the decoding.
"""

from __future__ import annotations

import io
import logging
from contextlib import closing
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from slimpajama.corpus.codecs import CHUNK_BYTES, WindowTooLarge
from slimpajama.corpus.diagnosis import HEAD_BYTES, not_compressed_so
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import InputChanged, InputError, ShardUnreadable
from slimpajama.storage.paths import is_remote, opened, path_of

__all__ = ["ShardBytes", "beginning_of"]

REQUEST_BYTES = {"stop": 1 << 20, "keep": 1 << 16}
"""Bytes decoded per call. What a failing call asked for is read again byte by byte, so ``keep`` asks for less."""


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
        self._stream = file.codec.decoded(self._raw)
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
        if self._file.codec.plain:
            self._raw.seek(self._given + count)
            self._given += count
            return
        nearest = max((entry for entry in self._file.entries if entry.position <= self._given + count), default=None)
        if nearest and nearest.position > self._given:
            self._raw.seek(nearest.stored)
            self._stream = self._file.codec.decoded(self._raw)
            count -= nearest.position - self._given
            self._given = nearest.position
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
        used = f"only its whole records in the first {self._given:,} bytes of text are used"
        if not self._given:
            used = "nothing of it is used"
        later = [entry.position for entry in self._file.entries if entry.position >= self._given]
        if later:
            used = f"its records from byte {self._given:,} of text to byte {later[0]:,} are not used"
        logging.getLogger("slimpajama").warning("%s is corrupt or breaks off (%s); %s", self._file.path, reason, used)
        self.broke_off = True

    def _recover(self, fault: OSError) -> None:
        reason = " ".join(str(fault).split())
        if isinstance(fault, WindowTooLarge) or "too much memory" in reason:
            codec = self._file.codec
            raise ShardUnreadable(
                f"{self._file.path} needs {codec.method} window of more than 128 MiB ({reason}); "
                f"compress it again {codec.smaller_window}"
            ) from fault
        if "Dictionary mismatch" in reason:
            raise ShardUnreadable(
                f"{self._file.path} is compressed with a dictionary, which is not in the file; compress it again "
                "without one"
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
        if self._given or self._file.codec.plain:
            return ""
        with opened(path_of(self._file.path)) as raw:
            return not_compressed_so(raw.read(HEAD_BYTES), self._file.codec.name)

    def _read_again(self) -> None:
        """Come back to the same byte in small steps, so that a fault costs nothing that precedes it."""
        read = self._raw.tell()
        self._raw.close()
        given, self._given = self._given, 0
        self._careful = True
        self._raw = _open(self._file, slow_from=max(0, read - 2 * CHUNK_BYTES))
        self._stream = self._file.codec.decoded(self._raw)
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


def _open(file: ShardFile, slow_from: int | None = None) -> Any:
    """The file, of Python or of Arrow; from its byte ``slow_from`` on it gives one byte at a time."""
    path = path_of(file.path)
    try:
        if slow_from is not None:
            return _SlowFile(opened(path), slow_from)
        if is_remote(path) or not file.codec.reads_arrow_files:
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
