"""What a finished run consists of: ``files.json`` names every file of it, with size and digest.

Written last, sealed (see :mod:`slimpajama.storage.sealed_json`), so ``slimpajama verify`` can tell a file that is
missing, changed or foreign, whatever the file is for. Files that are sealed themselves are listed by name alone. Costs
one small record per file; digests are those that writers reported, so no file is read again to list it. Rejected:
digests in each file (Parquet and JSON Lines have no room for one), and one list per stage (nobody could say what is
foreign).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import is_remote, relative_name, statuses_below
from slimpajama.storage.sealed_json import read_sealed, write_sealed

__all__ = ["FILE_LIST", "FileList", "files_in", "read_file_list", "write_file_list"]

FILE_LIST = "files.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileList:
    """Paths relative to the run's folder. ``files``: (bytes, blake2b) of each file; ``sealed``: those that carry their
    own digest."""

    files: Mapping[str, tuple[int, str]]
    sealed: frozenset[str]


def write_file_list(
    path: Path, root: Path, records: Iterable[FileRecord], sealed: Iterable[str], kept: FileList | None = None
) -> None:
    """List ``records`` and ``sealed`` files below ``root`` in the file ``path``, and those of ``kept`` beside them."""
    files = dict(kept.files) if kept else {}
    files |= {relative_name(record.path, root): (record.bytes, record.blake2b) for record in records}
    names = {*sealed, *(kept.sealed if kept else ())}
    content = {
        "version": _VERSION,
        "files": {name: list(facts) for name, facts in files.items() if name not in names},
        "sealed": sorted(names),
    }
    if read_sealed(path) != content:
        write_sealed(path, content)


def read_file_list(path: Path) -> FileList | None:
    """What :func:`write_file_list` wrote; ``None`` where it is missing, damaged or of another version."""
    content = read_sealed(path)
    if content is None or content.get("version") != _VERSION:
        return None
    files = {name: (size, digest) for name, (size, digest) in content["files"].items()}
    return FileList(files, frozenset(content["sealed"]))


def files_in(root: Path, folder: str) -> list[str]:
    """All files below ``root/folder``, as paths relative to ``root``, in order; temporary ones left out."""
    place = root / folder
    if is_remote(root):
        names = [f"{folder}/{name}" for name in statuses_below(place)] if folder else [*statuses_below(place)]
    else:
        names = [path.relative_to(root).as_posix() for path in place.rglob("*") if path.is_file() or path.is_symlink()]
    return sorted(name for name in names if not name.endswith(".tmp"))
