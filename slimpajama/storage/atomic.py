"""How a file of an output is written so that it is whole or absent, and how its content is told from another's.

Every file is written beside its target under a ``.tmp`` name of its own, flushed to the device and renamed; a reader
that ignores ``*.tmp`` never sees half a file. Its bytes are hashed on the way, so that whoever reads it later can tell
whether it is still what was written. Costs two ``fsync`` (about a millisecond each) per output and the hash, 1 GB/s of
compressed output.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from slimpajama.errors import OutputError
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import (
    TEMPORARY_SUFFIX,
    is_remote,
    opened,
    remove_tree,
    upload,
)

__all__ = [
    "MOST_NAME_BYTES",
    "OutputFile",
    "atomic_file",
    "cannot_read",
    "cannot_write",
    "content_digest",
    "file_record",
    "fingerprint",
    "read_json",
    "remove_stale_temporaries",
    "write_json",
]

SCRATCH_PREFIX = "scratch-"
"""Of folders that a work item keeps beside its output while it runs."""

MOST_NAME_BYTES = 255
"""Of a file or folder, on every usual file system."""

_TEMPORARY = re.compile(rf"\.[0-9a-f]{{8}}{re.escape(TEMPORARY_SUFFIX)}$")
"""Names that :func:`atomic_file` gives."""


class OutputFile:
    """A file that is being written: bytes go in at the end only, and are counted and hashed as they do."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self.closed = False

    def write(self, data: Any) -> int:
        """Append any bytes-like object; returns its size in bytes."""
        view = memoryview(data).cast("B")
        try:
            self._file.write(view)
        except OSError as fault:
            raise cannot_write(self._path, fault) from fault
        self._digest.update(view)
        self._size += view.nbytes
        return view.nbytes

    @property
    def record(self) -> FileRecord:
        """Of what was written so far."""
        return FileRecord(str(self._path), self._size, self._digest.hexdigest())

    def tell(self) -> int:
        """Bytes written."""
        return self._size

    def flush(self) -> None:
        """Nothing: the file is flushed, once, when it is whole."""

    def close(self) -> None:
        """Nothing: the file is closed by who opened it."""

    def readable(self) -> bool:
        """As a file; so are the next two."""
        return False

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """No."""
        return False


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[OutputFile]:
    """A binary file that appears at ``path`` whole when the block ends, and not at all when it raises.

    Parent folders are made. Raises :class:`OutputError` naming the path when the file system refuses.
    """
    if is_remote(path):
        with tempfile.NamedTemporaryFile(prefix="slimpajama-", suffix=TEMPORARY_SUFFIX) as scratch:
            yield OutputFile(path, cast(BinaryIO, scratch))
            try:
                scratch.flush()
                upload(scratch.name, path)
            except OSError as fault:
                raise cannot_write(path, fault) from fault
        return
    temporary = path.with_name(_temporary_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("wb")
    except OSError as fault:
        raise cannot_write(path, fault) from fault
    try:
        try:
            yield OutputFile(path, file)
        except BaseException:
            with contextlib.suppress(OSError):  # what could not be flushed is of no interest any more
                file.close()
            raise
        try:
            with file:
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _flush_folder(path.parent)
        except OSError as fault:
            raise cannot_write(path, fault) from fault
    except BaseException:
        with contextlib.suppress(
            OSError
        ):  # the fault that led here is the one to report; the next run removes the rest
            temporary.unlink(missing_ok=True)
        raise


def _temporary_name(name: str) -> str:
    """``name`` with a random ending; the end of a long name is left out, as a name has at most 255 bytes."""
    ending = f".{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    encoded = os.fsencode(name)
    if len(encoded) + len(ending) > MOST_NAME_BYTES:
        name = encoded[: MOST_NAME_BYTES - len(ending)].decode("utf-8", "ignore")
    return name + ending


def _flush_folder(folder: Path) -> None:
    """Make a rename last: until its folder is flushed, a loss of power can undo it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, fault: OSError) -> OutputError:
    """The error for a file system that refuses to write at ``path``."""
    if fault.errno in (errno.EEXIST, errno.ENOTDIR):
        remedy = "a file or a link to nothing is in the way: remove it"
    elif fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "mend the permissions"
    else:
        remedy = "free some space"
    return OutputError(
        f"cannot write {path}: {fault.strerror or fault}; {remedy} or choose another output, "
        "then run the same command again: finished work is kept"
    )


def cannot_read(path: Path, fault: OSError) -> OutputError:
    """The error for a file of the output that is there but cannot be read."""
    return OutputError(
        f"cannot read {path}: {fault.strerror or fault}; look after the disk, then run the same command again"
    )


def write_json(path: Path, value: object) -> FileRecord:
    """Write ``value`` as indented JSON with sorted keys, atomically; returns the file's record."""
    with atomic_file(path) as file:
        file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    return file.record


def read_json(path: Path) -> Any:
    """The value of a JSON file, or ``None`` where there is none or it does not parse.

    Raises :class:`OutputError` where it cannot be read.
    """
    try:
        with opened(path) as file:
            return orjson.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError):
        return None
    except OSError as fault:
        raise cannot_read(path, fault) from fault


def fingerprint(*parts: object) -> str:
    """128-bit hexadecimal digest of any JSON-able values: equal values, equal digest, on any machine."""
    encoded = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def file_record(path: Path) -> FileRecord:
    """The record of a file as it lies there, read in blocks of 8 MiB."""
    digest, size = hashlib.blake2b(digest_size=16), 0
    with opened(path) as file:
        while block := file.read(8 << 20):
            digest.update(block)
            size += len(block)
    return FileRecord(str(path), size, digest.hexdigest())


def content_digest(records: Iterable[FileRecord]) -> str:
    """A digest of what files hold, whatever they are called."""
    return fingerprint([[file.bytes, file.blake2b] for file in records])


def remove_stale_temporaries(folders: Iterable[Path]) -> int:
    """Delete files and scratch folders that interrupted writers left in ``folders``, which hold nothing but ours;
    returns how many.

    Below them are folders named as the input's are, which may end like temporaries. In a store there is none: a file
    appears when it is whole.
    """
    local = [folder for folder in folders if not is_remote(folder) and folder.is_dir()]
    scratch = [path for folder in local for path in folder.glob(f"{SCRATCH_PREFIX}*{TEMPORARY_SUFFIX}")]
    for path in scratch:
        remove_tree(path)
    found = (path for folder in local for path in folder.rglob(f"*{TEMPORARY_SUFFIX}"))
    files = [path for path in found if _TEMPORARY.search(path.name) and path.is_file()]
    for path in files:
        path.unlink(missing_ok=True)
    return len(scratch) + len(files)
