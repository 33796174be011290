"""Folders outside the output that a run needs: for compiled kernels, copies of remote files, and workers' sockets.

Containers have a read-only package, a HOME that is missing, a user without a name, or a long ``TMPDIR``. So each kind
of folder has a list of candidates, of which the first that can be written is used. Folders below the shared temporary
folder are named by the user's number, and one that belongs to another user is refused: compiled kernels are code.
Costs one temporary file per candidate and process.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from slimpajama.errors import ConfigError, OutputError
from slimpajama.logging import LOGGER

__all__ = ["first_writable", "kernel_folder", "own_folder", "prepare_socket_folder", "short_folder"]

SOCKET_FOLDER_BYTES = 70
"""Longest folder for sockets: their path has 107 bytes at most, and multiprocessing adds up to 36."""


def own_folder(name: str = "slimpajama") -> Path:
    """The folder ``name-<user's number>`` below the temporary one, made if need be.

    Raises :class:`OutputError` where another user has made it, or where it cannot be made.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as fault:
        raise OutputError(
            f"no temporary folder can be written: {fault}; set TMPDIR to a folder that can be written"
        ) from fault
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode):
        raise OutputError(f"{folder} is not a folder of this user: set TMPDIR to another folder")
    return folder


def first_writable(folders: Iterable[Path]) -> Path | None:
    """The first of ``folders`` in which a file can be made; it is made if need be."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
    return None


def kernel_folder(given: str, package: Path) -> Path | None:
    """Where compiled kernels are kept: below ``given`` (``NUMBA_CACHE_DIR``), in the ``__pycache__`` of the package, in
    the user's cache, or below ``TMPDIR``; ``None`` where none of them can be written. The user is told of either."""
    found = first_writable(_kernel_folders(given, package))
    if found is None:
        LOGGER.warning(
            "no folder for compiled kernels can be written, so each start compiles them anew, in some 20 seconds; "
            "set NUMBA_CACHE_DIR to a folder that can be written"
        )
    elif given and not found.is_relative_to(given):
        LOGGER.warning("NUMBA_CACHE_DIR=%s cannot be written; compiled kernels are kept in %s", given, found)
    return found


def _kernel_folders(given: str, package: Path) -> Iterator[Path]:
    if given:
        yield Path(given, "slimpajama-kernels")
    yield package / "__pycache__" / "kernels"
    with contextlib.suppress(RuntimeError):  # no HOME, and a user whom the system does not know
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "slimpajama", "kernels")
    with contextlib.suppress(OutputError):
        yield own_folder("slimpajama-kernels")


def prepare_socket_folder() -> None:
    """Have multiprocessing make its sockets where their paths are short enough, whatever ``TMPDIR`` is.

    Raises :class:`ConfigError` where there is no such folder.
    """
    before = tempfile.tempdir
    try:
        tempfile.tempdir = str(short_folder(_temporary_folders()))
        multiprocessing.util.get_temp_dir()  # it is made now, and kept
    finally:
        tempfile.tempdir = before


def _temporary_folders() -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):  # there is none that can be written
        yield Path(tempfile.gettempdir())
    yield from map(Path, ("/tmp", "/var/tmp", "/dev/shm", f"/run/user/{os.getuid()}"))  # noqa: S108 - asked for safely


def short_folder(folders: Iterable[Path]) -> Path:
    """The first of ``folders`` that can be written and leaves room for a socket's name."""
    found = first_writable(folder for folder in folders if len(os.fsencode(folder)) <= SOCKET_FOLDER_BYTES)
    if found is None:
        raise ConfigError(
            "no folder for the sockets of worker processes can be written; set TMPDIR to a folder whose path "
            f"has at most {SOCKET_FOLDER_BYTES} bytes, or use one worker"
        )
    return found
