"""A sample of a corpus as a small corpus of its own: the beginnings of shards drawn by a seed, in the same folders.

Of a shard that is larger than its part, whole lines from the beginning are taken (or whole row groups of Parquet), and
what part of the file they stand for is measured: so it is known how much text a byte of a file holds, and how many
documents. Half of the sample goes to sources by their size, half to all alike, so that a small source is known, too.
Costs reading, decompressing and writing the sample. Rejected: documents drawn from everywhere (the whole corpus would
have to be read).
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from slimpajama.corpus.decoding import ShardBytes, compressed
from slimpajama.corpus.discovery import Corpus, ShardFile
from slimpajama.corpus.json_array import ArrayLines, holds_array
from slimpajama.errors import ShardUnreadable
from slimpajama.storage.paths import is_remote, opened, place

__all__ = ["SampledFile", "draw_sample", "strata_of"]

FEWEST_FILES = 4
"""Of each stratum, where it has so many: one alone would say nothing of how they differ."""

FEWEST_BYTES = 1 << 20
"""Of each of these files: less is mostly the edge, where a block of the compression or a line is cut."""

LOOK = 8
"""Times the part that is taken, within which it is measured what part of the file that is."""

LONGEST_LINE = 256 << 20
"""Where no line ends before, a file is counted as empty."""

_BLOCK = 1 << 14
_SIP = 1 << 12


@dataclass(frozen=True, slots=True)
class SampledFile:
    """What was taken stands for ``taken`` bytes of a file of ``size`` bytes of the ``stratum``."""

    relative: str
    stratum: int
    size: int
    taken: int


def strata_of(corpus: Corpus) -> dict[int, list[ShardFile]]:
    """The files of each source, by its number, or by -1 where each file holds several sources."""
    strata: dict[int, list[ShardFile]] = {}
    for piece in {piece.file.relative: piece for piece in corpus.pieces}.values():
        strata.setdefault(-1 if piece.mixed else piece.shards[0].source, []).append(piece.file)
    return strata


def draw_sample(corpus: Corpus, wanted: int, target: Path, seed: int) -> list[SampledFile]:
    """Write about ``wanted`` bytes of the corpus' files below ``target``; returns what was taken.

    Raises :class:`ShardUnreadable` for a file that is not what its name says.
    """
    strata = strata_of(corpus)
    whole = sum(file.size for file in corpus.files)
    sampled = []
    for stratum, members in sorted(strata.items()):
        own = sum(file.size for file in members)
        budget = math.ceil(wanted * (own / max(whole, 1) + 1 / len(strata)) / 2)
        sampled += _from_stratum(stratum, members, budget, target, random.Random(f"{seed} {stratum}"))  # noqa: S311 - nothing secret
    return sampled


def _from_stratum(
    stratum: int, members: Sequence[ShardFile], budget: int, target: Path, rng: random.Random
) -> list[SampledFile]:
    fewest = min(FEWEST_FILES, len(members))
    share = max(FEWEST_BYTES, budget // fewest)
    found: list[SampledFile] = []
    for file in rng.sample(list(members), len(members)):
        if len(found) >= fewest and sum(one.taken for one in found) >= budget:
            break
        path = target / file.relative
        path.parent.mkdir(parents=True, exist_ok=True)
        copied = _copied_groups if file.format == "parquet" else _copied_lines
        found.append(SampledFile(file.relative, stratum, file.size, copied(file, share, path)))
    return found


class _Sips(io.RawIOBase):
    """A file that gives little at a time, so that a decompressor is never far ahead of what it has given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(min(size, _SIP) if size >= 0 else _SIP)
        self.given += len(block)
        return block

    def readinto(self, target: Any) -> int:
        block = self.read(len(target))
        target[: len(block)] = block
        return len(block)

    def readable(self) -> bool:
        return True


def _copied_lines(file: ShardFile, most: int, target: Path) -> int:
    """Write whole lines of the first ``most`` bytes of a file, one line at least; returns what they stand for.

    How much text a byte is, is measured over more of the file, which is decompressed and thrown away: the beginning
    of a stream is compressed less well than what follows.
    """
    content = bytearray()
    whole = size = 0
    used = 0, 0  # bytes of the file, and of its content, the last time that one was all there was in the other
    try:
        with opened(place(file.path)) as source:
            sips = _Sips(source)
            content_bytes = ShardBytes(file, raw=cast(BinaryIO, sips))
            stream = ArrayLines(content_bytes, inside=False) if holds_array(file) else content_bytes
            scratch = memoryview(bytearray(_BLOCK))
            while sips.given < LOOK * most or (not whole and len(content) < LONGEST_LINE):
                before = sips.given, size
                block = scratch[: stream.read_into(scratch)]
                used = before if sips.given > before[0] else used
                if not block:
                    used = file.size, size
                    break
                size += len(block)
                if before[0] < most or not whole:
                    begin = len(content)
                    content += block
                    whole = max(whole, content.rfind(b"\n", begin) + 1)
    except OSError as fault:
        raise ShardUnreadable(
            f"{file.path} cannot be read ({' '.join(str(fault).split())}); replace it or leave it out"
        ) from fault
    if used == (file.size, len(content)):
        whole = len(content)  # the last line may have no newline
    target.write_bytes(compressed(bytes(content[:whole]), file.compression))
    return round(used[0] * whole / used[1]) if used[1] else file.size


def _copied_groups(file: ShardFile, most: int, target: Path) -> int:
    """Write row groups until they stand for ``most`` bytes of a file; returns what they stand for: their rows."""
    path = place(file.path)
    try:
        with pq.ParquetFile(opened(path) if is_remote(path) else path) as table:
            rows, taken = table.metadata.num_rows, 0
            with pq.ParquetWriter(target, table.schema_arrow) as writer:
                for group in range(table.metadata.num_row_groups):
                    if file.size * taken >= most * rows and taken:
                        break
                    content = table.read_row_group(group)
                    writer.write_table(content)
                    taken += content.num_rows
    except pa.ArrowException as fault:
        raise ShardUnreadable(f"{file.path} is not Parquet: {fault}; fetch it again, or leave it out") from fault
    return file.size if taken == rows else round(file.size * taken / rows)
