"""Small corpora that are made: pieces of one document each, and many documents of a few words.

A third of the many are near-duplicates of another. No document is in both a word with another's. Takes half a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
import zstandard

__all__ = ["write_documents", "write_pieces"]

SHARDS = 4
WORDS = 14


def write_pieces(folder: Path, pieces: int) -> None:
    """So many shards of one document each."""
    for number in range(pieces):
        _write(folder / "made" / f"{number:05d}.jsonl.zst", [3 * number])


def write_documents(folder: Path, documents: int) -> None:
    """So many documents of 240 characters, in four shards."""
    for shard in range(SHARDS):
        _write(folder / "made" / f"{shard}.jsonl.zst", range(shard, documents, SHARDS))


def _write(path: Path, numbers: Iterable[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (orjson.dumps({"text": _text(number), "meta": {"number": number}}) for number in numbers)
    path.write_bytes(zstandard.ZstdCompressor(level=1).compress(b"\n".join(lines)))


def _text(number: int) -> str:
    """Of every three, the last is the first but for its last word."""
    same = number - 2 if number % 3 == 2 else number
    words = (f"{(same * WORDS + place) * 0x9E3779B97F4A7C15 & (1 << 64) - 1:016x}" for place in range(WORDS))
    return f"{' '.join(words)} {number % 3}"
