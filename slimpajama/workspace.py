"""Where a run's files lie, how one is written so that it is whole or absent, and how finished work is remembered.

Every file is written beside its target under a ``.tmp`` name, flushed to the device and renamed; a reader that
ignores ``*.tmp`` never sees half a file. A finished work item leaves a small JSON marker holding the fingerprint
of all it depended on and the figures it returned, so the state of a run can be listed with ``ls``. Costs one
``fsync`` (about a millisecond) per output. Rejected: one database of finished items (a second thing that can be
corrupt, and it cannot live in a bucket), and "skip what exists" (it reuses what another setting made).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from slimpajama.errors import OutputError

__all__ = ["Markers", "atomic_file", "fingerprint", "read_json", "remove_stale_temporaries", "write_json"]

TEMPORARY_SUFFIX = ".tmp"


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that appears at ``path`` whole when the block ends, and not at all when it raises.

    Parent folders are made. Raises :class:`OutputError` naming the path when the file system refuses.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("wb")
    except OSError as fault:
        raise _cannot_write(path, fault) from fault
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        # An OSError of something read inside the block names another file: not ours to explain.
        if fault.filename is not None and os.fspath(fault.filename) not in (str(temporary), str(path)):
            raise
        raise _cannot_write(path, fault) from fault
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _cannot_write(path: Path, fault: OSError) -> OutputError:
    return OutputError(
        f"cannot write {path}: {fault.strerror or fault}; free some space or choose another output, "
        "then run the same command again: finished work is kept"
    )


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically."""
    with atomic_file(path) as file:
        file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))


def read_json(path: Path) -> Any:
    """The value of a JSON file, or ``None`` where there is none or it does not parse."""
    try:
        return orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError):
        return None


def fingerprint(*parts: object) -> str:
    """128-bit hexadecimal digest of any JSON-able values: equal values, equal digest, on any machine."""
    encoded = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Markers:
    """The finished items of one stage: ``folder/<item>.json`` holds ``{"fingerprint", "result"}``."""

    folder: Path

    def result(self, item: str, expected: str) -> dict[str, Any] | None:
        """What the item returned, if it was finished with exactly this fingerprint; else ``None``."""
        marker = read_json(self._path(item))
        if not isinstance(marker, dict) or marker.get("fingerprint") != expected:
            return None
        result = marker.get("result")
        return result if isinstance(result, dict) else None

    def finish(self, item: str, value: str, result: Mapping[str, Any]) -> None:
        """Record that the item's outputs lie complete on disk."""
        write_json(self._path(item), {"fingerprint": value, "result": dict(result)})

    def _path(self, item: str) -> Path:
        return self.folder / f"{item}.json"


def remove_stale_temporaries(folders: Iterable[Path]) -> int:
    """Delete what interrupted writers left in ``folders``, which hold nothing but ours; returns how many files."""
    stale = [path for folder in folders if folder.is_dir() for path in folder.rglob(f"*{TEMPORARY_SUFFIX}")]
    stale = [path for path in stale if path.is_file()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)
