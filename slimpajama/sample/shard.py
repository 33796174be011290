"""One shard of the sample: its documents written, and where each line begins.

Documents are made and written one at a time into one zstd frame of level 3, so memory does not grow with the
shard (beyond 8 bytes a document). About 30 MB of JSONL a second. A copy's original is made again from its own
key here, wherever it lies, and their similarity is measured on the two texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import zstandard
from numpy.typing import NDArray

from slimpajama.sample.broken import broken_lines
from slimpajama.sample.jaccard import cleaned
from slimpajama.sample.layout import SampleShard
from slimpajama.sample.lexicon import lexicon
from slimpajama.sample.metadata import record_line
from slimpajama.sample.roles import SampleSpec, roles
from slimpajama.sample.texts import copy_of, document_key, text_of
from slimpajama.storage.atomic import atomic_file

__all__ = ["PAIR", "SHORT_CHARACTERS", "ShardItem", "ShardResult", "shard_name", "write_shard"]

PAIR = np.dtype(
    [("copy", "u8"), ("kind", "u1"), ("original", "u8"), ("exact", "?"), ("jaccard", "f8"), ("target", "f8")]
)
"""A planted pair: index of the copy, kind and index of the original, whether the texts are equal,
similarity."""

SHORT_CHARACTERS = 200
_LEVEL = 3
_FLUSH = 1 << 20


@dataclass(frozen=True, slots=True)
class ShardItem:
    """What a worker needs to write one shard."""

    out: str
    recipe: SampleSpec
    shard: SampleShard


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What a shard holds. ``positions``: ``int64[documents]``, byte offsets of the lines in the decompressed
    stream; ``pairs``: records of ``PAIR``; ``short``: documents below the length filter."""

    bytes: int
    positions: NDArray[np.int64]
    pairs: NDArray[np.void]
    short: int
    odd: int
    broken: int
    blank: int


def shard_name(item: ShardItem) -> str:
    """What to call the item in a message."""
    return item.shard.path


def write_shard(item: ShardItem) -> ShardResult:
    """Write one shard. The same item gives the same bytes. Raises :class:`OutputError` if the disk
    refuses."""
    recipe, shard = item.recipe, item.shard
    words = lexicon(recipe.seed)
    extra = broken_lines(recipe.seed, shard.number, shard.stop - shard.start)
    positions = np.empty(shard.stop - shard.start, dtype=np.int64)
    pairs: list[tuple[int, int, int, bool, float, float]] = []
    waiting: list[bytes] = []
    size = flushed = short = odd = broken = blank = 0
    with (
        atomic_file(Path(item.out) / shard.path) as file,
        zstandard.ZstdCompressor(level=_LEVEL).stream_writer(cast(BinaryIO, file), closefd=False) as frame,
    ):
        for place, role in enumerate(roles(recipe, shard.kind, shard.start, shard.stop)):
            document, original = role.document, role.original
            if original is None:
                text = text_of(recipe, document)
                odd += document.odd
            else:
                source_text = text_of(recipe, original)
                text, similarity = copy_of(recipe, role, source_text)
                exact = text == source_text
                pairs.append((document.index, original.kind, original.index, exact, similarity, min(role.target, 1.0)))
                odd += original.odd
            if len(text) < 2 * SHORT_CHARACTERS:
                short += len(cleaned(text)) < SHORT_CHARACTERS
            for line in extra.get(place, ()):
                broken += line != b"\n"
                blank += line == b"\n"
                waiting.append(line)
                size += len(line)
            positions[place] = size
            line = record_line(shard.kind, document_key(recipe, document), text, words)
            waiting.append(line)
            size += len(line)
            if size - flushed > _FLUSH:
                frame.write(b"".join(waiting))
                waiting.clear()
                flushed = size
        frame.write(b"".join(waiting))
    return ShardResult(size, positions, np.array(pairs, dtype=PAIR), short, odd, broken, blank)
