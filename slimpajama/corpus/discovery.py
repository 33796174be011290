"""From a folder to an ordered list of shards, and from shards to the pieces that workers read.

Shards are numbered by (source order, path), and a document's id is ``shard << 40 | position``: it needs no counting
pass, does not depend on the number of workers, sorts documents by precedence, and finds the line again. A file in
the published SlimPajama layout holds several sources; it is one shard *per source* of which it may hold records,
so the order of ids is the order of sources there too. Costs one ``stat`` per file. Rejected: numbering documents in
a first pass, and ids of random digits (they name nothing).
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from slimpajama.config import REDPAJAMA_SET_NAMES, SourceConfig
from slimpajama.corpus.file_formats import ENDINGS, Compression, Format, format_and_compression, suffix_of
from slimpajama.errors import ConfigError, InputChanged, InputNotFound, ShardUnreadable
from slimpajama.storage import is_remote, opened, place, statuses_below

__all__ = ["POSITION_BITS", "Corpus", "Piece", "Shard", "ShardFile", "content_samples", "discover"]

POSITION_BITS = 40
"""Bits of an id that hold the position: up to 1.1 TB of decompressed text per shard, 16.7 million shards."""

MOST_SOURCES = 255

SAMPLE_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class ShardFile:
    """One input file; ``relative`` is its path below the input, with forward slashes. ``version``: a store's tag of its
    content, empty on a disk."""

    path: str
    relative: str
    suffix: str
    size: int
    modified_ns: int
    version: str = ""

    @property
    def format(self) -> Format:
        """``jsonl``, ``json`` (lines, or one array of records) or ``parquet``."""
        return format_and_compression(self.suffix)[0]

    @property
    def compression(self) -> Compression:
        """``none``, ``gz``, ``zst``, ``bz2``, ``xz`` or ``lz4``."""
        return format_and_compression(self.suffix)[1]


@dataclass(frozen=True, slots=True)
class Shard:
    """What ``id >> 40`` names: the records of one source in one file. ``stem`` names its outputs below the source."""

    index: int
    source: int
    file: int
    stem: str


@dataclass(frozen=True, slots=True)
class Piece:
    """What one worker reads: a file, or a newline-aligned byte range ``[start, stop)`` of an uncompressed one.

    ``shards`` are the shards of the file by source order. With more than one, each record names its source by
    ``meta.redpajama_set_name``, one of ``set_names``.
    """

    file: ShardFile
    start: int
    stop: int | None
    part: int
    parts: int
    shards: tuple[Shard, ...]
    set_names: tuple[str, ...]

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
        return (self.file.size if self.stop is None else self.stop) - self.start


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything a run reads, in order. ``ignored`` are files that are no shards, and shards of no source.
    Shards are numbered from ``first_shard`` on."""

    root: Path
    sources: tuple[SourceConfig, ...]
    files: tuple[ShardFile, ...]
    shards: tuple[Shard, ...]
    pieces: tuple[Piece, ...]
    ignored: tuple[str, ...]
    first_shard: int = 0

    @property
    def first_shards(self) -> tuple[int, ...]:
        """Index of the first shard of each source: shards of source s are ``[first[s], first[s + 1])``."""
        counts = [self.first_shard] + [0] * len(self.sources)
        for shard in self.shards:
            counts[shard.source + 1] += 1
        for source in range(len(self.sources)):
            counts[source + 1] += counts[source]
        return tuple(counts)


def discover(
    root: Path, sources: Sequence[SourceConfig] = (), piece_bytes: int = 256 << 20, first_shard: int = 0
) -> Corpus:
    """The corpus below ``root``: ``sources`` as configured, or as the layout shows (see ``Config.sources``).

    Shards are numbered from ``first_shard`` on. Raises :class:`InputNotFound` where there is nothing to read and
    :class:`ConfigError` where two files would be written to one place.
    """
    if not is_remote(root) and not root.is_dir():
        raise InputNotFound(f"the input {root} is not a folder; give the folder that holds the sources' folders")
    files, others = _listed(root) if is_remote(root) else _walk(root)
    if not files:
        raise InputNotFound(f"no shard below {root}: looked for files ending in {ENDINGS}")
    chosen = tuple(sources) or _sources_by_layout(files)
    if chosen:
        members = {source.name: _matching(files, source.paths) for source in chosen}
        empty = [source.name for source in chosen if not members[source.name]]
        if sources and empty:
            patterns = next(source.paths for source in chosen if source.name == empty[0])
            raise InputNotFound(
                f"source {empty[0]!r} has no shard: nothing below {root} matches {', '.join(patterns)}; "
                "correct its paths or leave the source out"
            )
        _refuse_shared_files(members)
        placed = [(order, file, stem) for order, source in enumerate(chosen) for file, stem in members[source.name]]
    else:
        chosen = tuple(SourceConfig(name=name) for name in REDPAJAMA_SET_NAMES)
        placed = [
            (order, file, file.relative.removesuffix(file.suffix)) for order in range(len(chosen)) for file in files
        ]
    if any(source.name == "total" for source in chosen):
        raise ConfigError("a source cannot be called 'total', as the summary calls all of them; rename it in a config")
    if len(chosen) > MOST_SOURCES:
        raise ConfigError(
            f"{len(chosen)} sources below {root} are more than {MOST_SOURCES}; name those you mean in a config, "
            "several folders may be one source"
        )
    used = sorted({file for _, file, _ in placed}, key=lambda file: file.relative)
    unused = {file.relative for file in files} - {file.relative for file in used}
    others = sorted([*others, *unused])
    position = {file.relative: index for index, file in enumerate(used)}
    placed.sort(key=lambda place: (place[0], place[1].relative))
    shards = tuple(
        Shard(index, source, position[file.relative], stem)
        for index, (source, file, stem) in enumerate(placed, first_shard)
    )
    if first_shard + len(shards) >= 1 << (64 - POSITION_BITS):
        raise ConfigError(f"{len(shards):,} shards are more than ids can name (16,777,216): merge small files")
    pieces = tuple(_pieces(used, shards, chosen, piece_bytes))
    _refuse_shared_outputs(pieces)
    return Corpus(root, chosen, tuple(used), shards, pieces, tuple(others), first_shard)


def content_samples(files: Sequence[ShardFile]) -> dict[str, str]:
    """For each file, by path, a digest of its beginning, middle and end: 24 KiB of it.

    Size and time of a file tell most changes; this tells also of one that was put in another's place with both.
    Raises :class:`ShardUnreadable` and :class:`InputChanged` naming the file.
    """
    with ThreadPoolExecutor(16) as threads:  # what takes time is the storage's answer
        return dict(zip((file.path for file in files), threads.map(_content_sample, files), strict=True))


def _content_sample(file: ShardFile) -> str:
    if file.version:
        return file.version
    digest = hashlib.blake2b(digest_size=16)
    try:
        with opened(place(file.path)) as content:
            for start in sorted({0, max(0, file.size // 2), max(0, file.size - SAMPLE_BYTES)}):
                content.seek(start)
                digest.update(content.read(SAMPLE_BYTES))
    except FileNotFoundError as fault:
        raise InputChanged(f"{file.path} has gone since the run began; put it back, or run again without it") from fault
    except OSError as fault:
        raise ShardUnreadable(
            f"cannot read {file.path}: {fault.strerror}; mend its permissions or remove it"
        ) from fault
    return digest.hexdigest()


def _listed(root: Path) -> tuple[list[ShardFile], list[str]]:
    """As :func:`_walk`, in a store."""
    try:
        found = statuses_below(root)
    except OSError as fault:
        raise InputNotFound(f"cannot list {root}: {fault}; check the address and the permissions") from fault
    shards: list[ShardFile] = []
    others: list[str] = []
    for relative, status in sorted(found.items()):
        name = relative.rsplit("/", 1)[-1]
        suffix = suffix_of(name)
        if any(part.startswith((".", "_")) for part in relative.split("/")) or name.endswith(".tmp"):
            continue
        if suffix is None:
            others.append(relative)
            continue
        path = str(root / relative)
        shards.append(ShardFile(path, relative, suffix, status.size, status.modified_ns, status.version))
    return shards, others


def _walk(root: Path) -> tuple[list[ShardFile], list[str]]:
    """All shards below ``root`` by path, and the other files; links are followed, each folder is visited once.

    A folder that is met again is listed with the other files.
    """
    shards: list[ShardFile] = []
    others: list[str] = []
    visited = set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        real = os.path.realpath(folder)
        if real in visited:
            others.append(_printable(os.path.relpath(folder, root)))
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "_")))
        for name in sorted(names):
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            suffix = suffix_of(name)
            if name.startswith((".", "_")) or name.endswith(".tmp"):
                continue
            if suffix is None:
                others.append(_printable(relative))
                continue
            if relative != _printable(relative):
                raise ShardUnreadable(f"the name of {_printable(path)} is not UTF-8; rename the file or its folder")
            try:
                status = os.stat(path)
            except OSError as fault:
                _refuse_unreadable(fault)
            refuse_special(path, status)
            shards.append(ShardFile(path, relative, suffix, status.st_size, status.st_mtime_ns))
    shards.sort(key=lambda file: file.relative)
    return shards, others


def _refuse_unreadable(fault: OSError) -> NoReturn:
    raise InputNotFound(f"cannot read {fault.filename}: {fault.strerror}; mend or remove it") from fault


def refuse_special(path: str, status: os.stat_result) -> None:
    """Raise :class:`ShardUnreadable` for what cannot be read as a file is: opening it could wait for ever."""
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder",
    }
    kind = kinds.get(stat.S_IFMT(status.st_mode), "of an unknown kind")
    raise ShardUnreadable(
        f"{path} is {kind}, not a file: it can be read only once or not at all; write its content to a file, or remove "
        "or rename it"
    )


def _printable(path: str) -> str:
    """The path, with bytes that are not UTF-8 written as ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace(os.sep, "/")


def _sources_by_layout(files: Sequence[ShardFile]) -> tuple[SourceConfig, ...]:
    """RedPajama's folders that exist, then other folders by name; none of RedPajama's and ``train``: SlimPajama's."""
    folders = sorted({file.relative.split("/")[0] for file in files if "/" in file.relative})
    published = [
        source for source in map(_source, REDPAJAMA_SET_NAMES) if any(_folder(path) in folders for path in source.paths)
    ]
    if not published and (not folders or set(folders) <= {"train", "validation", "test"}):
        return ()
    known = {_folder(path) for source in published for path in source.paths}
    return (*published, *(_source(folder) for folder in folders if folder not in known))


def _source(name: str) -> SourceConfig:
    try:
        return SourceConfig(name=name)
    except ValidationError as fault:
        raise ConfigError(
            f"the folder {name!r} cannot name a source: names are made of A-Z, a-z, 0-9, '.', '_' and '-' and begin "
            "with a letter or a digit; rename the folder, or list the sources in a config"
        ) from fault


def _folder(pattern: str) -> str:
    return pattern.split("/")[0]


def _matching(files: Sequence[ShardFile], patterns: Sequence[str]) -> list[tuple[ShardFile, str]]:
    """The files that match a pattern, with the path their outputs get: what lies below the pattern's fixed part."""
    found: dict[str, tuple[ShardFile, str]] = {}
    for pattern in patterns:
        fixed = []
        for part in pattern.split("/")[:-1]:
            if any(mark in part for mark in "*?["):
                break
            fixed.append(part)
        prefix = "/".join(fixed) + "/" if fixed else ""
        wanted = f"{pattern[:-2]}*" if pattern.endswith("/**") else pattern
        for file in files:
            if fnmatch.fnmatchcase(file.relative, wanted) and file.relative not in found:
                found[file.relative] = (file, file.relative.removeprefix(prefix).removesuffix(file.suffix))
    return [found[relative] for relative in sorted(found)]


def _refuse_shared_files(members: dict[str, list[tuple[ShardFile, str]]]) -> None:
    owner: dict[str, str] = {}
    for name, matched in members.items():
        for file, _ in matched:
            if file.relative in owner:
                raise ConfigError(
                    f"{file.relative} belongs to source {owner[file.relative]!r} and to source {name!r}; "
                    "narrow the paths of one"
                )
            owner[file.relative] = name


def _refuse_shared_outputs(pieces: Sequence[Piece]) -> None:
    """What is known of a piece is filed under its name, and its shards under their source and stem."""
    taken: dict[tuple[int, str], str] = {}
    for piece in pieces:
        shards = ((shard.source, shard.stem + piece.part_suffix) for shard in piece.shards)
        for output in ((-1, piece.name), *shards):
            earlier = taken.setdefault(output, piece.file.relative)
            if earlier != piece.file.relative:
                raise ConfigError(
                    f"{earlier} and {piece.file.relative} would be written to one output; "
                    "rename one, or remove it if it is a copy of the other"
                )


def _pieces(
    files: Sequence[ShardFile], shards: Sequence[Shard], sources: Sequence[SourceConfig], piece_bytes: int
) -> Iterator[Piece]:
    by_file: list[list[Shard]] = [[] for _ in files]
    for shard in shards:
        by_file[shard.file].append(shard)
    for file, own in zip(files, by_file, strict=True):
        names = tuple(sources[shard.source].set_name for shard in own)
        splits = (file.format, file.compression) == ("jsonl", "none") and file.size > piece_bytes
        parts = -(-file.size // piece_bytes) if splits else 1
        for part in range(parts):
            start = part * piece_bytes
            stop = min(start + piece_bytes, file.size) if splits else None
            yield Piece(file, start, stop, part, parts, tuple(own), names)
