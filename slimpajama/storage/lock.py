"""One run at a time in a folder: the second is told who holds it.

On a disk the lock is the kernel's (``flock``) on a file ``.lock`` in the folder, so it ends with the process that holds
it, however that ends, and nothing stale has to be recognised by its age. The file names the holder. Those who only read
may share it; to read the file is enough for that, so the lock of another user is noticed too. In a store the lock is an
object, see :mod:`slimpajama.storage.store_lock`. Rejected, on a disk: a file whose existence is the lock (stays when
its process is killed), and process numbers to tell whether a holder lives (they are given again, and mean nothing
elsewhere).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from slimpajama.errors import OutputError
from slimpajama.storage.atomic import cannot_write
from slimpajama.storage.lock_holder import Holder, held_by_other
from slimpajama.storage.paths import is_remote, opened
from slimpajama.storage.store_lock import is_stale, locked_in_store

__all__ = ["LOCK_FILE", "locked", "locked_for_reading"]

LOCK_FILE = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made, for this process alone.

    Raises :class:`~slimpajama.errors.WorkspaceLocked` naming the holder, and
    :class:`~slimpajama.errors.OutputError` where the folder cannot be written.
    """
    if is_remote(folder):
        with locked_in_store(folder / LOCK_FILE):
            yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked_file(folder / LOCK_FILE, fcntl.LOCK_EX)
    except OSError as fault:
        raise cannot_write(folder / LOCK_FILE if folder.is_dir() else folder, fault) from fault
    try:
        try:
            file.write(Holder.this_process().encode())
            file.flush()
        except OSError as fault:
            raise cannot_write(folder / LOCK_FILE, fault) from fault
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK_FILE).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # closed all the same, and with it unlocked
            file.close()


@contextlib.contextmanager
def locked_for_reading(folder: Path) -> Iterator[None]:
    """Keep others from writing into ``folder`` meanwhile; nothing where it cannot be locked, as on a read-only disk.

    In a store, it is only made sure that nobody writes there at the beginning.
    """
    if is_remote(folder):
        with contextlib.suppress(FileNotFoundError), opened(folder / LOCK_FILE) as lock:
            other = Holder.parse(lock.read())
            if not is_stale(other, time.time()):
                raise held_by_other(folder, other)
        yield
        return
    try:
        file = _locked_file(folder / LOCK_FILE, fcntl.LOCK_SH)
    except OSError as fault:
        if fault.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            raise cannot_write(folder / LOCK_FILE, fault) from fault
        if os.path.lexists(folder / LOCK_FILE):
            raise OutputError(
                f"cannot tell whether a run is writing into {folder}: {folder / LOCK_FILE} cannot be read "
                f"({fault.strerror}); have it removed if none is"
            ) from fault
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _locked_file(path: Path, kind: int) -> BinaryIO:
    while True:
        file, is_ours = _opened(path)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            content = file.read()
            file.close()
            raise held_by_other(path.parent, Holder.parse(content)) from None
        except OSError as fault:
            file.close()
            if fault.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                raise OutputError(
                    f"cannot lock {path}: {fault.strerror}; mount its file system with locks (flock), or choose another"
                ) from fault
            raise
        # Who held it before may have removed the file between our opening and locking it.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                if kind == fcntl.LOCK_SH:
                    return file
                if is_ours:
                    file.truncate(0)
                    return file
                _remove_left_behind(path, file)
        file.close()


def _opened(path: Path) -> tuple[BinaryIO, bool]:
    """The file, made if need be, and whether it can be written; to read another user's is enough to lock it."""
    try:
        return path.open("a+b"), True
    except OSError as fault:
        if fault.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        try:
            return path.open("rb"), False
        except FileNotFoundError:
            raise fault from None


def _remove_left_behind(path: Path, file: BinaryIO) -> None:
    """Remove the file of another user who does not hold it any more."""
    try:
        path.unlink(missing_ok=True)
    except OSError as fault:
        owner = os.fstat(file.fileno()).st_uid
        file.close()
        raise OutputError(
            f"{path} was left behind by the user with number {owner} and cannot be removed: {fault.strerror}; "
            "have it removed, or choose another output"
        ) from fault
