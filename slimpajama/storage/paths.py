"""Local paths and URLs of object stores alike: where a text says, what lies there, reading, and replacing as a whole.

A place without ``://``, or with ``file://``, is a ``pathlib.Path``; any other is a ``UPath`` of ``universal_pathlib``,
which has the same methods over whatever ``fsspec`` knows (``s3://``, ``gs://``, ``hf://`` …). What those methods lack
is here, twice: for the local disk, which has ``rename``, and for stores, which have not: there a file appears when its
upload is complete. Streams are read in ranges of 8 MiB. Rejected: a mount (``s3fs-fuse`` and the like rename by copying
and hide faults).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from slimpajama.errors import ConfigError
from slimpajama.storage import fence

__all__ = [
    "TEMPORARY_SUFFIX",
    "FileStatus",
    "is_remote",
    "opened",
    "path_of",
    "relative_name",
    "remove_file",
    "remove_tree",
    "requests_at_once",
    "status_of",
    "statuses_below",
    "upload",
]

TEMPORARY_SUFFIX = ".tmp"

DISK_SCHEMES = ("file", "local")

RANGE_BYTES = 8 << 20
"""Read from a store at a time."""

REQUESTS = 32
"""Small requests to a store that are under way at once."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class FileStatus:
    """``size`` in bytes; ``modified_ns``: when, if that is known; ``version``: a tag of the content, if any."""

    size: int
    modified_ns: int
    version: str


def path_of(text: str | Path) -> Path:
    """The path or URL ``text``; a place is one already.

    Raises :class:`ConfigError` for a kind of store that cannot be reached.
    """
    if not isinstance(text, str):
        # A UPath of the local disk is no pathlib.Path.
        return Path(cast(Any, text).path) if getattr(text, "protocol", None) in DISK_SCHEMES else text
    scheme, separator, path = text.partition("://")
    if not separator:
        return Path(text)
    if scheme in DISK_SCHEMES:
        return Path(path)  # it has links, locks and `rename`, as any path of a disk
    from upath import UPath

    try:
        found = UPath(text)
        _ = found.fs
    except (ImportError, ValueError) as fault:
        extra = "; pip install 'slimpajama[s3]'" if text.startswith("s3") else ""
        raise ConfigError(f"cannot reach {text}: {fault}{extra}") from fault
    return cast(Path, found)


def is_remote(path: Path) -> bool:
    """Whether it lies in a store, not on a disk of this machine."""
    return not isinstance(path, Path)


def relative_name(path: Path | str, root: Path) -> str:
    """``path`` below ``root``, with forward slashes."""
    return str(path).removeprefix(str(root)).lstrip("/") if is_remote(root) else Path(path).relative_to(root).as_posix()


def status_of(path: Path) -> FileStatus:
    """Raises :class:`FileNotFoundError` where there is no file."""
    if is_remote(path):
        store, name = cast(Any, path).fs, cast(Any, path).path
        store.invalidate_cache()  # listings of before are not what lies there now
        return _status(_answer(lambda: store.info(name)))
    status = os.stat(path)
    return FileStatus(status.st_size, status.st_mtime_ns, "")


def statuses_below(root: Path) -> dict[str, FileStatus]:
    """All files below a folder of a store, by their path below it; one listing."""
    store, path = cast(Any, root).fs, cast(Any, root).path
    store.invalidate_cache()
    found = _answer(lambda: store.find(path, detail=True))
    prefix = store._strip_protocol(path).rstrip("/") + "/"
    return {name.removeprefix(prefix): _status(info) for name, info in found.items() if info["type"] == "file"}


def _status(info: dict[str, Any]) -> FileStatus:
    moment = next((info[key] for key in ("LastModified", "mtime", "last_modified", "created") if info.get(key)), 0)
    seconds = moment.timestamp() if hasattr(moment, "timestamp") else float(moment)
    tag = next((str(info[key]) for key in ("ETag", "etag", "blob_id", "md5Hash") if info.get(key)), "")
    return FileStatus(int(info["size"] or 0), int(seconds * 1e9), tag)


def opened(path: Path, range_bytes: int = RANGE_BYTES) -> BinaryIO:
    """A file to read, from front to back or at any place; a context manager. Raises :class:`OSError`.

    ``range_bytes``: fetched from a store at a time.
    """
    return cast(BinaryIO, _RangeReader(path, range_bytes) if is_remote(path) else io.BufferedReader(_DiskFile(path)))


def _answer(request: Callable[[], Answer]) -> Answer:
    """What a store answers, asked again where it fails: five times, over some three seconds."""
    for pause in (0.1, 0.2, 0.4, 0.8, 1.6):
        try:
            return request()
        except (FileNotFoundError, PermissionError, IsADirectoryError, FileExistsError):
            raise
        except Exception:  # each store's client has kinds of its own for what may pass
            time.sleep(pause)
    try:
        return request()
    except OSError:
        raise
    except Exception as fault:
        raise OSError(errno.EIO, f"the store does not answer: {type(fault).__name__}: {fault}") from fault


class _DiskFile(io.FileIO):
    """A file of a disk, whose errors say which file it is."""

    def readinto(self, target: Any) -> int | None:
        try:
            return super().readinto(target)
        except OSError as fault:
            self._add_name(fault)
            raise

    def readall(self) -> bytes:
        try:
            return super().readall()
        except OSError as fault:
            self._add_name(fault)
            raise

    def _add_name(self, fault: OSError) -> None:
        fault.filename = fault.filename or str(self.name)


class _RangeReader(io.RawIOBase):
    """A file of a store, fetched in ranges of ``range_bytes``, of which the last is held."""

    def __init__(self, path: Path, range_bytes: int) -> None:
        self._range_bytes = range_bytes
        self._store, self._path = cast(Any, path).fs, cast(Any, path).path
        self._size = status_of(path).size
        self._place = 0
        self._start = 0
        self._range = b""

    def readinto(self, target: Any) -> int:
        """As a file; so are the others."""
        view = memoryview(target).cast("B")
        if self._place >= self._size or not view.nbytes:
            return 0
        inside = self._place - self._start
        if not 0 <= inside < len(self._range):
            stop = min(self._place + self._range_bytes, self._size)
            self._range = _answer(lambda: self._store.cat_file(self._path, start=self._place, end=stop))
            if len(self._range) != stop - self._place:
                raise OSError(errno.EIO, f"the store gave {len(self._range):,} bytes of {stop - self._place:,}")
            self._start, inside = self._place, 0
        part = self._range[inside : inside + view.nbytes]
        view[: len(part)] = part
        self._place += len(part)
        return len(part)

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._size - self._place if size is None or size < 0 else min(size, self._size - self._place)
        out = bytearray(max(0, wanted))
        filled = 0
        while filled < len(out):
            filled += self.readinto(memoryview(out)[filled:])
        return bytes(out)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def upload(file: str, path: Path) -> None:
    """Put a local file into a store: in one request, or in parts that the store joins, so it appears as a whole.

    Raises :class:`OSError`, and :class:`~slimpajama.errors.WorkspaceLocked` if the lock on that folder was lost.
    """
    store, target = cast(Any, path).fs, cast(Any, path).path
    fence.check(path)
    _answer(lambda: store.put_file(file, target))
    fence.check(path)  # the process may have been paused meanwhile


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    store, name = cast(Any, path).fs, cast(Any, path).path
    fence.check(path)
    with contextlib.suppress(FileNotFoundError):
        _answer(lambda: store.rm_file(name))


def remove_tree(folder: Path) -> None:
    """Remove a folder and all below it, if it is there."""
    if not is_remote(folder):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
        return
    fence.check(folder)
    with contextlib.suppress(FileNotFoundError):
        cast(Any, folder).fs.rm(cast(Any, folder).path, recursive=True)


def requests_at_once(root: Path) -> ThreadPoolExecutor:
    """Threads for many small requests: one after the other on a disk, many at once to a store."""
    return ThreadPoolExecutor(REQUESTS if is_remote(root) else 1)
