"""One run at a time in a folder: the second is told who holds it.

The lock is the kernel's (``flock``) on a file ``.lock`` in the folder, so it ends with the process that holds it,
however that ends, and nothing stale has to be recognised by its age. The file says who the holder is. Those who only
read may share it. Rejected: a file whose existence is the lock (stays when its process is killed), and process numbers
to tell whether a holder lives (they are given again, and mean nothing on another machine).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import orjson

from slimpajama.errors import WorkspaceLocked
from slimpajama.workspace import cannot_write

__all__ = ["LOCK_FILE", "locked", "locked_for_reading"]

LOCK_FILE = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made, for this process alone.

    Raises :class:`WorkspaceLocked` naming the holder, and :class:`~slimpajama.errors.OutputError` where the folder
    cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked_file(folder / LOCK_FILE, fcntl.LOCK_EX)
    except OSError as fault:
        raise cannot_write(folder, fault) from fault
    try:
        file.write(orjson.dumps(_holder()))
        file.flush()
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK_FILE).unlink(missing_ok=True)
        file.close()


@contextlib.contextmanager
def locked_for_reading(folder: Path) -> Iterator[None]:
    """Keep others from writing into ``folder`` meanwhile; nothing where it cannot be locked, as on a read-only disk."""
    try:
        file = _locked_file(folder / LOCK_FILE, fcntl.LOCK_SH)
    except OSError as fault:
        if fault.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            raise
        yield
        return
    try:
        yield
    finally:
        file.close()


def _locked_file(path: Path, kind: int) -> BinaryIO:
    while True:
        file: BinaryIO = path.open("a+b")
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            said = file.read()
            file.close()
            raise WorkspaceLocked(_refusal(path.parent, said)) from None
        except BaseException:
            file.close()
            raise
        # Who held it before may have removed the file between our opening and locking it.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                if kind == fcntl.LOCK_EX:
                    file.truncate(0)
                return file
        file.close()


def _holder() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(Path(word).name if place == 0 else word for place, word in enumerate(sys.argv[:2])),
    }


def _refusal(folder: Path, said: bytes) -> str:
    try:
        holder = orjson.loads(said)
        who = f"process {holder['pid']} on {holder['host']} ({holder['command']}, since {holder['since']})"
    except (orjson.JSONDecodeError, TypeError, KeyError):
        who = "a process that reads it"
    return f"{folder} is in use by {who}; wait until it is done or stop it, or choose another output"
