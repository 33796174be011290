"""What a finished deduplication leaves for later ones: ``work/index.json``, its band keys and whose they are.

New documents can be compared with it without its text: the rows files have the keys and ids of all its documents. The
ids of a later run follow after it, so that in every cluster the earlier document survives. An index lists the rows of
the runs before it, too, so the chain can go on; they stay where they are. A run takes its index away before it records
its first new result, and writes it last; so a run that fails before that leaves the index, and the result it stands
for. Rows that a worker replaced just before it failed are told by their digest, which whoever reads them compares.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from slimpajama.config.dedup import Config
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.params import MinHashParams
from slimpajama.errors import ConfigError, InputChanged, InputNotFound
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of, status_of
from slimpajama.storage.reading import reading
from slimpajama.storage.sealed_json import read_sealed, write_sealed

__all__ = ["Index", "IndexRows", "open_index", "read_index", "write_index"]

_VERSION = 5


class _RowsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """In the file. ``path``: of the index's own run relative to its folder; ``run``: of another run, its folder."""

    path: str
    bytes: int
    blake2b: str
    run: str = ""


class _IndexFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    ranges: tuple[tuple[str, int], ...]
    first_shard: int
    shards: int
    documents: int
    rows: tuple[_RowsEntry, ...]
    clusters: tuple[_RowsEntry, ...]
    settings: MinHashParams


@dataclass(frozen=True, slots=True)
class IndexRows:
    """A file of rows or clusters, by its absolute path, and the run that wrote it."""

    file: FileRecord
    run: str


@dataclass(frozen=True, slots=True)
class Index:
    """``ranges``: (source, its first shard), in the order of ids; ``first_shard`` of the run itself; ``shards`` in all;
    ``documents`` that have keys; ``rows``: all rows files; ``clusters``: of the runs whose removals were checked, so
    that it is known which of their documents stayed."""

    folder: Path
    ranges: tuple[tuple[str, int], ...]
    first_shard: int
    shards: int
    documents: int
    rows: tuple[IndexRows, ...]
    clusters: tuple[IndexRows, ...]
    settings: MinHashParams

    @property
    def tables(self) -> tuple[FileRecord, ...]:
        """The clusters of all runs whose removals were checked."""
        return tuple(one.file for one in self.clusters)

    @property
    def runs(self) -> list[str]:
        """The folders of the runs that wrote the rows, as absolute paths."""
        return sorted({row.run for row in self.rows} | {str(self.folder.resolve())})

    @property
    def digest(self) -> str:
        """Of the rows and clusters."""
        return content_digest(one.file for one in (*self.rows, *self.clusters))

    def check(self, config: Config) -> None:
        """Raise :class:`ConfigError` where ``config`` would make other keys, and :class:`InputChanged` where the rows
        are not those that were written."""
        wanted = MinHashParams.of(config)
        if wanted != self.settings:
            name = wanted.first_difference(self.settings)
            raise ConfigError(
                f"{name} is {getattr(wanted, name)!r}, but {self.folder} was made with "
                f"{getattr(self.settings, name)!r}: keys can only be compared with keys made alike; use the same "
                "setting, or make one of the two anew"
            )
        indexes = {run: open_index(path_of(run)) for run in self.runs}
        written = {run: {one.file.blake2b for one in (*index.rows, *index.clusters)} for run, index in indexes.items()}
        for row in (*self.rows, *self.clusters):
            if row.file.blake2b not in written[row.run]:
                raise InputChanged(
                    f"{row.run} was deduplicated again since {self.folder} was compared with it, and {row.file.path} "
                    f"holds other keys now: run the deduplication in {self.folder} again"
                )
            size = -1
            with reading(path_of(row.file.path)), contextlib.suppress(FileNotFoundError):
                size = status_of(path_of(row.file.path)).size
            if size != row.file.bytes:
                state = "is missing" if size < 0 else f"has {size:,} bytes instead of {row.file.bytes:,}"
                raise InputChanged(
                    f"{row.file.path}, which {self.folder} was deduplicated with, {state}; bring it back, or run that "
                    "deduplication again"
                )


def write_index(index: Index, rows: Sequence[FileRecord], clusters: Sequence[FileRecord]) -> None:
    """Write ``index`` with the ``rows`` and ``clusters`` files of its run, after those of earlier runs."""
    layout = DedupLayout(index.folder)
    content = _IndexFile(
        _VERSION,
        index.ranges,
        index.first_shard,
        index.shards,
        index.documents,
        _entries(index.rows, rows, layout),
        _entries(index.clusters, clusters, layout),
        index.settings,
    )
    write_sealed(layout.index, msgspec.to_builtins(content))


def _entries(earlier: Sequence[IndexRows], own: Sequence[FileRecord], layout: DedupLayout) -> tuple[_RowsEntry, ...]:
    entries = [_RowsEntry(one.file.path, one.file.bytes, one.file.blake2b, one.run) for one in earlier]
    return (*entries, *(_RowsEntry(layout.relative(file.path), file.bytes, file.blake2b) for file in own))


def read_index(folder: Path) -> Index | None:
    """The index of the deduplication in ``folder``, or ``None`` where there is none, or one of another version."""
    content = read_sealed(DedupLayout(folder).index)
    if content is None or content.get("version") != _VERSION:
        return None
    try:
        found = msgspec.convert(content, _IndexFile)
    except msgspec.ValidationError:
        return None
    return Index(
        folder,
        found.ranges,
        found.first_shard,
        found.shards,
        found.documents,
        _files(folder, found.rows),
        _files(folder, found.clusters),
        found.settings,
    )


def _files(folder: Path, entries: Sequence[_RowsEntry]) -> tuple[IndexRows, ...]:
    return tuple(
        IndexRows(FileRecord(_absolute(folder, one.path), one.bytes, one.blake2b), one.run or str(folder.resolve()))
        for one in entries
    )


def open_index(given: Path) -> Index:
    """The index of the deduplication in ``given`` or ``given/dedup``. Raises :class:`InputNotFound` without one."""
    for folder in (given, given / "dedup"):
        index = read_index(folder)
        if index is not None:
            return index
    raise InputNotFound(
        f"{given} holds no finished deduplication with an index; give what --output of slimpajama dedup or run said, "
        "and run that again if it was interrupted, or made by an older version"
    )


def _absolute(folder: Path, path: str) -> str:
    return path if "://" in path else str(folder.resolve() / path)
