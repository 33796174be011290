"""Checking, before a file is used, that it still holds what its writer wrote.

Sizes tell that a file was cut off, not that it was changed. So before a stage runs, each file its items read is hashed
and compared with the digest in its writer's record, once per run and through the engine. Files that this same run wrote
are left out: they were hashed on their way to the disk. Costs one read of the file at 0.5 to 1 GB/s a core, where the
readers themselves take ten times that and more; a run that finds everything done reads nothing. Rejected: hashing
inside every reader (a memory map is read column by column, by many work items, and no item sees the whole file).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import OutputError
from slimpajama.storage.atomic import fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import opened, path_of

__all__ = ["DamagedFile", "WrittenFile", "damage_of", "written_files"]

_BLOCK_BYTES = 8 << 20


class DamagedFile(OutputError):
    """A file of this run is not what was written; it was removed, so that a rerun makes it anew. ``what``: which."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; run the same command again: it is made anew")
        self.what = what


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that an earlier stage or run wrote.

    ``digest``: its blake2b, or the fingerprint of its size and blake2b. ``remedy``: what the user can do if it is
    damaged; empty where the run can make it anew by itself.
    """

    path: Path
    digest: str
    remedy: str = ""


def written_files(records: Iterable[FileRecord], remedy: str = "") -> tuple[WrittenFile, ...]:
    """The files of ``records`` as stage results hold them."""
    return tuple(WrittenFile(path_of(record.path), record.blake2b, remedy) for record in records)


def damage_of(file: WrittenFile) -> str:
    """What is wrong with the file, or nothing. Raises :class:`OSError` where it cannot be read."""
    digest, size = hashlib.blake2b(digest_size=16), 0
    try:
        with opened(file.path) as content:
            while block := content.read(_BLOCK_BYTES):
                beat()
                digest.update(block)
                size += len(block)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    found = digest.hexdigest()
    return "" if file.digest in (found, fingerprint([[size, found]])) else "is not what was written"
