"""What a run reads: files, the shards in them, the pieces that these are read in, and bundles of pieces.

Shards are numbered by (source order, path), and a document's id is ``shard << 40 | position``: it needs no counting
pass, does not depend on the number of workers, sorts documents by precedence, and finds the line again. A file whose
records name their sources is one shard *per source* of which it may hold records, so the order of ids is the order of
sources there too. Lines are cut into ranges where they are not compressed, or where decoding can begin in many places.
Rejected: numbering documents in a first pass, and ids of random digits (they name nothing).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.dedup import SourceConfig
from slimpajama.corpus.file_formats import kind_of
from slimpajama.storage.paths import is_remote, opened, path_of

if TYPE_CHECKING:
    from slimpajama.corpus.codecs import Entry
    from slimpajama.registry import Codec, InputFormat

__all__ = ["POSITION_BITS", "Bundle", "Corpus", "Piece", "Shard", "ShardFile", "cut", "with_entries"]

POSITION_BITS = 40
"""Bits of an id that hold the position: up to 1.1 TB of decompressed text per shard, 16.7 million shards."""


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One input file; ``relative`` is its path below the input, with forward slashes. ``version``: a store's tag of its
    content, empty on a disk. ``entries``: of a compressed file that is cut, where its pieces begin, but for the first.
    ``format`` and ``codec`` follow from ``suffix``; they travel to workers with the file, so workers need not know what
    is registered."""

    path: str
    relative: str
    suffix: str
    size: int
    modified_ns: int
    version: str = ""
    entries: tuple[Entry, ...] = field(default=(), repr=False, compare=False)
    format: InputFormat = field(init=False, repr=False, compare=False)
    codec: Codec = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kind = kind_of(self.suffix)
        object.__setattr__(self, "format", kind.format)
        object.__setattr__(self, "codec", kind.codec)


@dataclass(frozen=True, slots=True)
class Shard:
    """What ``id >> 40`` names: the records of one source in one file. ``stem`` names its outputs below the source."""

    index: int
    source: int
    file: int
    stem: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What is read in one go: a file, or the lines that begin in the byte range ``[start, stop)`` of its text.

    ``shards`` are the shards of the file by source order. With more than one, each record names its source by
    ``meta.redpajama_set_name``, one of ``set_names``. ``keeps_labels``: a record that comes with such a name keeps it;
    the others get their source's.
    """

    file: ShardFile
    start: int
    stop: int | None
    part: int
    parts: int
    shards: tuple[Shard, ...]
    set_names: tuple[str, ...]
    keeps_labels: bool = False

    @property
    def mixed(self) -> bool:
        """Whether each record names its own source."""
        return len(self.shards) > 1

    @property
    def part_suffix(self) -> str:
        """Empty, or ``-00002-of-00007`` for a range of a larger file."""
        return f"-{self.part:05d}-of-{self.parts:05d}" if self.parts > 1 else ""

    @property
    def name(self) -> str:
        """A path below any stage's folder, unique to this piece."""
        return self.file.relative.removesuffix(self.file.suffix) + self.part_suffix

    @property
    def input_bytes(self) -> int:
        """Bytes on disk this piece covers."""
        if self.file.entries:
            bounds = (0, *(entry.stored for entry in self.file.entries), self.file.size)
            return bounds[self.part + 1] - bounds[self.part]
        return (self.file.size if self.stop is None else self.stop) - self.start


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one task reads: one piece, or several ``pieces`` that are whole shards, one after another, of one source (or
    of the same sources, where each record names its own). ``label``: empty for one piece."""

    pieces: tuple[Piece, ...]
    label: str = ""

    @property
    def first(self) -> Piece:
        """The piece whose name stands for all."""
        return self.pieces[0]

    @property
    def name(self) -> str:
        """A path below any stage's folder, unique to this bundle."""
        return self.first.name + self.label

    @property
    def suffix(self) -> str:
        """What follows the stems of the first piece's shards in the names of outputs."""
        return self.first.part_suffix + self.label

    @property
    def paths(self) -> str:
        """In a message: the path of its file, or of one of several."""
        others = len(self.pieces) - 1
        return self.first.file.path + (f" or one of the {others:,} small shards read with it" if others else "")

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards of all pieces, piece by piece."""
        return tuple(shard for piece in self.pieces for shard in piece.shards)

    @property
    def input_bytes(self) -> int:
        """Bytes on disk that the bundle covers."""
        return sum(piece.input_bytes for piece in self.pieces)

    def numbers_of(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """For each of ``ids``, documents of this bundle, the number of the piece that holds it."""
        if len(self.pieces) == 1:
            return np.zeros(ids.size, dtype=np.int64)
        owners = sorted((shard.index, number) for number, piece in enumerate(self.pieces) for shard in piece.shards)
        indexes, numbers = np.array(owners, dtype=np.int64).T
        places = np.searchsorted(indexes, (ids >> np.uint64(POSITION_BITS)).astype(np.int64))
        return np.ascontiguousarray(numbers[places])

    def piece_of(self, id: int) -> Piece:
        """The piece that holds a document."""
        return self.pieces[int(self.numbers_of(np.array([id], dtype=np.uint64))[0])]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything a run reads, in order, and what it leaves out. ``bundles``: the pieces, as tasks take them.

    ``unknown`` are files whose ending is none of a shard's, ``unassigned`` shards of no source, ``repeated`` folders
    that were reached a second time by a link, ``descriptions`` ``.json`` files of one object that is no record,
    ``held_out``: for each split that the input comes with, ``validation`` or ``test``, how many shards it has.
    ``in_records``: each record names its source. Shards are numbered from ``first_shard`` on.
    """

    root: Path
    sources: tuple[SourceConfig, ...]
    files: tuple[ShardFile, ...]
    shards: tuple[Shard, ...]
    pieces: tuple[Piece, ...]
    bundles: tuple[Bundle, ...]
    unknown: tuple[str, ...] = ()
    unassigned: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    held_out: Mapping[str, int] = field(default_factory=dict)
    in_records: bool = False
    first_shard: int = 0

    @property
    def ignored(self) -> tuple[str, ...]:
        """All that is not read."""
        return tuple(sorted((*self.unknown, *self.unassigned, *self.repeated, *self.descriptions)))

    @property
    def first_shards(self) -> tuple[int, ...]:
        """Index of the first shard of each source: shards of source s are ``[first[s], first[s + 1])``."""
        counts = [self.first_shard] + [0] * len(self.sources)
        for shard in self.shards:
            counts[shard.source + 1] += 1
        for source in range(len(self.sources)):
            counts[source + 1] += counts[source]
        return tuple(counts)


def cut(
    files: Sequence[ShardFile],
    shards: Sequence[Shard],
    sources: Sequence[SourceConfig],
    keeping: Sequence[bool],
    piece_bytes: int,
) -> Iterator[Piece]:
    """The pieces of ``files``: ranges of ``piece_bytes`` of those that can be cut, or from one entry to the next.

    ``keeping``: for each source, whether its records keep the names of sources that they come with.
    """
    by_file: list[list[Shard]] = [[] for _ in files]
    for shard in shards:
        by_file[shard.file].append(shard)
    for file, own in zip(files, by_file, strict=True):
        names = tuple(sources[shard.source].set_name for shard in own)
        keeps_labels = all(keeping[shard.source] for shard in own)
        starts = [0]
        stops: list[int | None] = [None]
        if file.entries:
            # A reader looks at the byte before a piece, to know whether a line begins with the piece.
            starts += [entry.position + 1 for entry in file.entries]
            stops = [*starts[1:], None]
        elif file.format.divisible and file.codec.plain and file.size > piece_bytes:
            starts = list(range(0, file.size, piece_bytes))
            stops = [*starts[1:], file.size]
        for part, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            yield Piece(file, start, stop, part, len(starts), tuple(own), names, keeps_labels)


def with_entries(file: ShardFile, piece_bytes: int) -> ShardFile:
    """``file`` with its entries, if it is compressed lines of more than about ``piece_bytes``.

    Files in a store have none: to look for entries there would fetch most of the file.
    """
    path = path_of(file.path)
    if not file.format.divisible or file.format.text_bytes(file) <= piece_bytes or is_remote(path):
        return file
    try:
        with opened(path) as raw:
            return replace(file, entries=file.codec.entries(raw, file.size, piece_bytes))
    except OSError:
        return file  # what is wrong with it is told where it is read
