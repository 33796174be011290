"""Refuse an output that overlaps with what a command reads, before anything is written.

A run that writes where it reads would replace its own input. Paths are compared as they really are: absolute, with
symbolic links followed, and by the identity of their folders, so a bind mount or another spelling of a name is noticed
too. In a store the keys are compared. Costs one ``stat`` per parent folder. Rejected: allowing an output beside files
that happen not to be written (which folders those are changes with settings and versions).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from slimpajama.corpus.discovery import ShardFile
from slimpajama.errors import ConfigError
from slimpajama.storage.paths import is_remote

__all__ = ["lies_inside", "refuse_overlap", "refuse_shards_in_output"]


def refuse_overlap(read: Path, written: Path, *, read_as: str = "input", subfolders: Sequence[str] = ()) -> None:
    """Raise :class:`ConfigError` where one of the two paths is, or lies inside, the other.

    ``read_as``: what the message calls the path that is read. ``subfolders``: names below ``written`` that may be links
    to other places, and are written too.
    """
    if lies_inside(written, read):
        raise ConfigError(f"the output {written} lies inside the {read_as} {read}; choose another place")
    if lies_inside(read, written):
        raise ConfigError(
            f"the {read_as} {read} lies inside the output {written}, which would overwrite it; choose another output"
        )
    for folder in (written / name for name in subfolders if not is_remote(written)):
        if folder.is_symlink() and (lies_inside(folder, read) or lies_inside(read, folder)):
            raise ConfigError(
                f"{folder}, which this run writes, leads to the {read_as} {read}; choose another output, or remove "
                "that link"
            )


def refuse_shards_in_output(files: Sequence[ShardFile], written: Path) -> None:
    """Raise :class:`ConfigError` for a shard that a symbolic link below the input takes from the output."""
    if is_remote(written):
        return
    folders: dict[str, bool] = {}
    for file in files:
        if "://" in file.path:
            return
        real = os.path.realpath(file.path) if os.path.islink(file.path) else file.path
        folder = os.path.dirname(real)
        if folder not in folders:
            folders[folder] = lies_inside(Path(folder), written)
        if folders[folder]:
            raise ConfigError(
                f"the shard {file.path} leads into the output {written}, which would overwrite it; choose another "
                "output, or remove that link"
            )


def lies_inside(inner: Path, outer: Path) -> bool:
    """Whether ``inner`` is ``outer`` or lies below it."""
    if is_remote(inner) or is_remote(outer):
        if not (is_remote(inner) and is_remote(outer)):
            return False
        return _key(inner)[: len(_key(outer))] == _key(outer)
    inner, outer = inner.resolve(), outer.resolve()
    if inner.is_relative_to(outer):
        return True
    try:
        wanted = outer.stat()
    except OSError:
        return False  # what does not exist holds nothing
    return any(_is_same(folder, wanted) for folder in (inner, *inner.parents))


def _is_same(folder: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(folder.stat(), wanted)
    except OSError:
        return False


def _key(path: Path) -> tuple[str, ...]:
    """The store and the parts of the key, without empty parts and with ``.`` and ``..`` applied."""
    store, name = cast(Any, path).fs, cast(Any, path).path
    protocol = store.protocol if isinstance(store.protocol, str) else store.protocol[0]
    normal = posixpath.normpath("/" + store._strip_protocol(name).strip("/"))
    return (protocol, *(part for part in normal.split("/") if part))
