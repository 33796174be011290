"""What a finished deduplication leaves for later ones: ``work/index.json``, its band keys and whose they are.

New documents can be compared with it without its text: the rows files have the keys and ids of all its documents. The
ids of a later run follow after it, so that in every cluster the earlier document survives. An index lists the rows of
the runs before it, too, so the chain can go on; they stay where they are. A run takes its index away before it changes
anything and writes it last, so rows are those that were written if the index of the run they are of says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.config import Config
from slimpajama.dedup.bands import banding
from slimpajama.errors import ConfigError, InputChanged, InputNotFound
from slimpajama.sealed_json import read_sealed
from slimpajama.storage import place, status_of
from slimpajama.workspace import fingerprint

__all__ = ["INDEX", "Index", "index_content", "key_settings", "open_index"]

INDEX = "index.json"
_VERSION = 2


@dataclass(frozen=True, slots=True)
class Index:
    """``ranges``: (source, its first shard), in the order of ids; ``shards`` in all; ``documents`` that have keys;
    ``rows``: records of the rows files, with absolute paths and the ``run`` whose they are; ``settings``: all that keys
    depend on."""

    folder: Path
    ranges: tuple[tuple[str, int], ...]
    shards: int
    documents: int
    rows: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]

    @property
    def runs(self) -> list[str]:
        """The runs whose rows these are, as absolute places."""
        return sorted({row["run"] for row in self.rows} | {str(self.folder.resolve())})

    @property
    def digest(self) -> str:
        """Of the rows."""
        return fingerprint([[row["bytes"], row["blake2b"]] for row in self.rows])

    @property
    def _digests(self) -> set[str]:
        return {row["blake2b"] for row in self.rows}

    def check(self, config: Config) -> None:
        """Raise :class:`ConfigError` where ``config`` would make other keys, and :class:`InputChanged` where the rows
        are not those that were written."""
        wanted = key_settings(config)
        for name, value in wanted.items():
            if self.settings.get(name) != value:
                raise ConfigError(
                    f"{name} is {value!r}, but {self.folder} was made with {self.settings.get(name)!r}: keys can only "
                    "be compared with keys made alike; use the same setting, or make one of the two anew"
                )
        written = {run: open_index(place(run))._digests for run in self.runs}
        for row in self.rows:
            if row["blake2b"] not in written[row["run"]]:
                raise InputChanged(
                    f"{row['run']} was deduplicated again since {self.folder} was compared with it, and {row['path']} "
                    f"holds other keys now: run the deduplication in {self.folder} again"
                )
            try:
                size = status_of(place(row["path"])).size
            except FileNotFoundError:
                size = -1
            if size != row["bytes"]:
                state = "is missing" if size < 0 else f"has {size:,} bytes instead of {row['bytes']:,}"
                raise InputChanged(
                    f"{row['path']}, which {self.folder} was deduplicated with, {state}; bring it back, or run that "
                    "deduplication again"
                )


def key_settings(config: Config) -> dict[str, Any]:
    """All settings that the keys of a text depend on."""
    bands, rows = banding(config)
    names = ("num_perm", "seed", "normalisation", "min_cleaned_characters")
    return {name: getattr(config, name) for name in names} | {"bands": bands, "rows": rows}


def index_content(
    ranges: list[tuple[str, int]],
    first_shard: int,
    shards: int,
    documents: int,
    rows: list[Mapping[str, Any]],
    config: Config,
) -> dict[str, Any]:
    """What ``index.json`` says; paths of ``rows`` below the run's folder are relative to it."""
    return {
        "version": _VERSION,
        "ranges": [list(one) for one in ranges],
        "first_shard": first_shard,
        "shards": shards,
        "documents": documents,
        "rows": rows,
        "settings": key_settings(config),
    }


def open_index(given: Path) -> Index:
    """The index of the deduplication in ``given`` or ``given/dedup``. Raises :class:`InputNotFound` without one."""
    for folder in (given, given / "dedup"):
        content = read_sealed(folder / "work" / INDEX)
        if content is not None and content.get("version") == _VERSION:
            return Index(
                folder,
                tuple((name, first) for name, first in content["ranges"]),
                content["shards"],
                content["documents"],
                tuple(
                    row | {"path": _absolute(folder, row["path"]), "run": row.get("run", str(folder.resolve()))}
                    for row in content["rows"]
                ),
                content["settings"],
            )
    raise InputNotFound(
        f"{given} holds no finished deduplication with an index; give what --output of slimpajama dedup or run said, "
        "and run that again if it was interrupted, or made by an older version"
    )


def _absolute(folder: Path, path: str) -> str:
    return path if "://" in path else str(folder.resolve() / path)
