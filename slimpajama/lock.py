"""One run at a time in a folder: the second is told who holds it.

On a disk the lock is the kernel's (``flock``) on a file ``.lock`` in the folder, so it ends with the process that
holds it, however that ends, and nothing stale has to be recognised by its age. The file says who the holder is. Those
who only read may share it. In a store the file is the lock: it is created only if it is not there, says every 20
seconds that its holder lives, and may be taken over when it has not for two minutes (clocks of machines that share a
bucket must agree to about that). Rejected, on a disk: a file whose existence is the lock (stays when its process is
killed), and process numbers to tell whether a holder lives (they are given again, and mean nothing elsewhere).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from slimpajama.errors import WorkspaceLocked
from slimpajama.storage import is_remote, opened, remove_file
from slimpajama.workspace import cannot_write

__all__ = ["LOCK_FILE", "locked", "locked_for_reading"]

LOCK_FILE = ".lock"

_BEAT_SECONDS = 20
_STALE_SECONDS = 120


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made, for this process alone.

    Raises :class:`WorkspaceLocked` naming the holder, and :class:`~slimpajama.errors.OutputError` where the folder
    cannot be written.
    """
    if is_remote(folder):
        with _locked_in_store(folder):
            yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked_file(folder / LOCK_FILE, fcntl.LOCK_EX)
    except OSError as fault:
        raise cannot_write(folder, fault) from fault
    try:
        try:
            file.write(orjson.dumps(_holder()))
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
        said = _said(folder / LOCK_FILE)
        if said and not _is_stale(said):
            raise WorkspaceLocked(_refusal(folder, said))
        yield
        return
    try:
        file = _locked_file(folder / LOCK_FILE, fcntl.LOCK_SH)
    except OSError as fault:
        if fault.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
            raise cannot_write(folder / LOCK_FILE, fault) from fault
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.close()


@contextlib.contextmanager
def _locked_in_store(folder: Path) -> Iterator[None]:
    path = folder / LOCK_FILE
    store, name = cast(Any, path).fs, cast(Any, path).path
    mine = _holder()
    try:
        store.pipe_file(name, orjson.dumps(mine), mode="create")
    except FileExistsError:
        said = _said(path)
        if said and not _is_stale(said):
            raise WorkspaceLocked(_refusal(folder, said)) from None
        store.pipe_file(name, orjson.dumps(mine))
    except OSError as fault:
        raise cannot_write(folder, fault) from fault
    over = threading.Event()

    def live() -> None:
        while not over.wait(_BEAT_SECONDS):
            with contextlib.suppress(Exception):  # the next beat may get through
                store.pipe_file(name, orjson.dumps(mine | {"beat": time.time()}))

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        remove_file(path)


def _said(path: Path) -> bytes:
    try:
        with opened(path) as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _is_stale(said: bytes) -> bool:
    try:
        return bool(time.time() - orjson.loads(said)["beat"] > _STALE_SECONDS)
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return True


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
        "beat": time.time(),
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
