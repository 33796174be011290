"""The record of a written file: all that is remembered of it, wherever files are listed, checked or moved."""

from __future__ import annotations

import msgspec

__all__ = ["FileRecord"]


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file as it was written: where, its size, and the blake2b of its content (128 bits, hexadecimal)."""

    path: str
    bytes: int
    blake2b: str
