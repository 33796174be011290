"""What is wrong with a file, in a sentence: damage that its digest tells, or that it cannot be read at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from slimpajama.errors import SlimpajamaError
from slimpajama.storage.atomic import file_record
from slimpajama.storage.paths import status_of

__all__ = ["REMEDY", "Checked", "damage", "found_reading", "missing", "size_of"]

REMEDY = "remove it and run the same command again: it is made anew"


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of one check. ``findings``: what is wrong, a sentence each."""

    findings: list[str]


def damage(path: Path, size: int | None, digest: str) -> list[str]:
    """Whether the file lies there as it was written; ``size`` in bytes where it is known."""
    try:
        record = file_record(path)
    except OSError as fault:
        return [_unreadable(path, fault)]
    if size is not None and record.bytes != size:
        return [f"{path} has {record.bytes:,} bytes instead of {size:,}; {REMEDY}"]
    if record.blake2b != digest:
        return [f"{path} is not what was written: its digest is {record.blake2b} instead of {digest}; {REMEDY}"]
    return []


def found_reading(path: Path, check: Callable[[], list[str]]) -> list[str]:
    """What ``check`` finds in ``path``, or that it cannot be read."""
    try:
        return check()
    except SlimpajamaError as fault:
        return [str(fault)]
    except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as fault:
        return [_unreadable(path, fault)]


def missing(path: Path) -> str:
    """The finding for a file that is not there."""
    return f"{path} is missing; run the same command again: it is made anew"


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return status_of(path).size
    except FileNotFoundError:
        return 0


def _unreadable(path: Path, fault: Exception) -> str:
    if isinstance(fault, FileNotFoundError):
        return missing(path)
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else " ".join(str(fault).split())
    return f"{path} cannot be read: {reason}; {REMEDY}"
