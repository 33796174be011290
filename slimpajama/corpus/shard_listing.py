"""Which shards lie below a folder, on a disk or in a store; or the one shard that the input is.

Hidden files (``.name``, ``_name``) and unfinished ones (``.tmp``) are passed over. Links are followed, and each folder
is visited once. A pipe or a device among the shards is refused before anything is opened. Costs one ``stat`` per file,
or one listing of a store.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from slimpajama.corpus.file_formats import endings_in_words, suffix_of
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import InputNotFound, ShardUnreadable
from slimpajama.storage.paths import is_remote, status_of, statuses_below

__all__ = ["Listing", "list_shards"]


@dataclass(frozen=True, slots=True)
class Listing:
    """``shards`` by path; ``others``: files whose ending is none of a shard's; ``repeated``: folders that a link led to
    a second time, which are read where they were met first."""

    shards: list[ShardFile]
    others: list[str]
    repeated: list[str]


def list_shards(root: Path) -> Listing:
    """All shards below ``root``, or ``root`` itself where it is a file.

    Raises :class:`InputNotFound` where there is none, and :class:`ShardUnreadable` for one that cannot be read.
    """
    if is_remote(root):
        found = _one_file(root) if suffix_of(root.name) and root.is_file() else _listed(root)
    elif root.is_dir():
        found = _walked(root)
    else:
        try:
            status = os.stat(root)
        except OSError as fault:
            raise InputNotFound(
                f"cannot read the input {root}: {fault.strerror}; give a shard, or a folder that holds shards"
            ) from fault
        _refuse_special(str(root), status)
        found = _one_file(root)
    if not found.shards:
        raise InputNotFound(f"no shard below {root}: looked for files ending in {endings_in_words()}")
    return found


def _listed(root: Path) -> Listing:
    try:
        found = statuses_below(root)
    except OSError as fault:
        raise InputNotFound(f"cannot list {root}: {fault}; check the address and the permissions") from fault
    shards: list[ShardFile] = []
    others: list[str] = []
    for relative, status in sorted(found.items()):
        name = relative.rsplit("/", 1)[-1]
        suffix = suffix_of(name)
        if any(part.startswith((".", "_")) for part in relative.split("/")) or name.endswith(".tmp"):
            continue
        if suffix is None:
            others.append(relative)
            continue
        path = str(root / relative)
        shards.append(ShardFile(path, relative, suffix, status.size, status.modified_ns, status.version))
    return Listing(shards, others, [])


def _walked(root: Path) -> Listing:
    shards: list[ShardFile] = []
    others: list[str] = []
    repeated: list[str] = []
    visited = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        real = os.path.realpath(folder)
        if real in visited:
            repeated.append(_printable(os.path.relpath(folder, root)))
            subfolders.clear()
            continue
        visited.add(real)
        below = os.path.relpath(folder, root).replace(os.sep, "/") + "/" if folder != str(root) else ""
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "_")))
        for name in sorted(names):
            path = os.path.join(folder, name)
            relative = below + name
            suffix = suffix_of(name)
            if name.startswith((".", "_")) or name.endswith(".tmp"):
                continue
            if suffix is None:
                others.append(_printable(relative))
                continue
            if relative != _printable(relative):
                raise ShardUnreadable(f"the name of {_printable(path)} is not UTF-8; rename the file or its folder")
            try:
                status = os.stat(path)
            except OSError as fault:
                _refuse_unreadable(fault)
            _refuse_special(path, status)
            shards.append(ShardFile(path, relative, suffix, status.st_size, status.st_mtime_ns))
    shards.sort(key=lambda file: file.relative)
    return Listing(shards, others, repeated)


def _one_file(path: Path) -> Listing:
    suffix = suffix_of(path.name)
    if suffix is None:
        raise InputNotFound(f"the input {path} is no shard: shards end in {endings_in_words()}")
    status = status_of(path)
    return Listing([ShardFile(str(path), path.name, suffix, status.size, status.modified_ns, status.version)], [], [])


def _refuse_unreadable(fault: OSError) -> NoReturn:
    raise InputNotFound(f"cannot read {fault.filename}: {fault.strerror}; mend or remove it") from fault


def _refuse_special(path: str, status: os.stat_result) -> None:
    """Opening it could wait for ever."""
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "of an unknown kind")
    raise ShardUnreadable(
        f"{path} is {kind}, not a file: it can be read only once or not at all; write its content to a file, or remove "
        "or rename it"
    )


def _printable(path: str) -> str:
    """The path, with bytes that are not UTF-8 written as ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")
