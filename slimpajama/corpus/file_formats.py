"""The names of shards: which endings are read, and what each says of a file's format and compression.

JSON lines come as ``.jsonl``, ``.ndjson`` or ``.json``, plain or compressed; tables as ``.parquet``. Endings in upper
case count as well. Only ``.json`` may also hold one array of records, so only the others may be cut before they are
read. Archives (``.tar``, ``.zip``) are not shards. Rejected: looking into every file, which costs a request each.
"""

from __future__ import annotations

from typing import Literal

__all__ = ["ENDINGS", "SUFFIXES", "Compression", "Format", "format_and_compression", "suffix_of"]

Format = Literal["jsonl", "json", "parquet"]
Compression = Literal["none", "gz", "zst", "bz2", "xz", "lz4"]

_JSON_ENDINGS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json"}
_COMPRESSION_ENDINGS: dict[str, Compression] = {
    "": "none",
    ".zst": "zst",
    ".zstd": "zst",
    ".gz": "gz",
    ".bz2": "bz2",
    ".xz": "xz",
    ".lz4": "lz4",
}

SUFFIXES: dict[str, tuple[Format, Compression]] = {
    json + packed: (kind, compression)
    for json, kind in _JSON_ENDINGS.items()
    for packed, compression in _COMPRESSION_ENDINGS.items()
} | {".parquet": ("parquet", "none")}

_PACKED = ", ".join(filter(None, _COMPRESSION_ENDINGS))
ENDINGS = f"{', '.join(_JSON_ENDINGS)}, each alone or followed by {_PACKED}, and .parquet"
"""``SUFFIXES`` in words."""


def suffix_of(name: str) -> str | None:
    """The end of ``name`` that makes it a shard, as it is written there; ``None`` for other files."""
    lowered = name.lower()
    for suffix in SUFFIXES:
        if lowered.endswith(suffix) and len(name) > len(suffix):
            return name[-len(suffix) :]
    return None


def format_and_compression(suffix: str) -> tuple[Format, Compression]:
    """What ``suffix``, in upper or lower case, stands for."""
    return SUFFIXES[suffix.lower()]
