"""Files of a store as files of this machine, since what is to be mapped into memory has to lie on a disk.

Copies lie in one scratch folder, which all processes of a user share: a file is fetched once per machine, and named by
what was fetched, so that a replaced file is fetched anew. They take at most half of what the disk has left; the least
recently used make room, but none used within the last minute, which another process may be about to open or is still
writing. Costs one request for the file's status at each use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from pathlib import Path

from slimpajama.storage.own_folders import own_folder
from slimpajama.storage.paths import RANGE_BYTES, TEMPORARY_SUFFIX, is_remote, opened, status_of

__all__ = ["local_copy"]

_IN_USE_SECONDS = 60.0


def local_copy(path: Path) -> Path:
    """``path`` itself on a disk; of a file in a store, a copy on this machine, fetched if it is not there.

    Raises :class:`OSError`, and :class:`~slimpajama.errors.OutputError` where the scratch folder is another user's.
    """
    if not is_remote(path):
        return path
    status = status_of(path)
    name = hashlib.blake2b(f"{path} {status}".encode(), digest_size=16).hexdigest()
    folder = own_folder()
    copy = folder / name
    try:
        os.utime(copy)
    except FileNotFoundError:
        make_room(folder, status.size)
        temporary = folder / f"{name}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
        try:
            with opened(path) as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, RANGE_BYTES)
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)
    return copy


def make_room(folder: Path, size: int) -> None:
    """Remove the least recently used copies until ``size`` bytes more are at most half of what the disk has left."""
    copies = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # other processes rename and remove meanwhile
            status = path.stat()
            copies.append((status.st_mtime, status.st_size, path))
    total = sum(own for _, own, _ in copies)
    allowed = (shutil.disk_usage(folder).free + total) // 2
    latest = time.time() - _IN_USE_SECONDS
    for used, own, path in sorted(copies):
        if total + size <= allowed or used > latest:
            return
        path.unlink(missing_ok=True)
        total -= own
