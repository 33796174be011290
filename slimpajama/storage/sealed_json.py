"""JSON files that carry a digest of their own content, so that a reader notices any change to them.

A sealed file is one JSON object with the member ``seal``, a digest of all its other members, and it lies there byte for
byte as it was written. A changed byte, white space included, makes it unreadable: :func:`read_sealed` gives ``None``,
as for a file that is not there, and the work it stands for is done again. Costs one more encoding of a small object.
Rejected: a second file with the digest (two files that can disagree after a crash).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from slimpajama.storage.atomic import atomic_file, cannot_read, fingerprint
from slimpajama.storage.paths import opened

__all__ = ["read_sealed", "sealed", "write_sealed"]

_SEAL = "seal"
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE


def sealed(value: Mapping[str, Any]) -> bytes:
    """The bytes of the sealed file that holds ``value``."""
    return orjson.dumps({**value, _SEAL: fingerprint(value)}, option=_OPTIONS)


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` with its seal, atomically."""
    with atomic_file(path) as file:
        file.write(sealed(value))


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What :func:`write_sealed` wrote, or ``None`` where there is no file or it is not as it was written.

    Raises :class:`OutputError` where the file cannot be read.
    """
    try:
        with opened(path) as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise cannot_read(path, fault) from fault
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or _SEAL not in value:
        return None
    del value[_SEAL]
    return value if sealed(value) == content else None
