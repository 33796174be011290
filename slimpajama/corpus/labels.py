"""Which sources the first records of shards name, in ``meta.redpajama_set_name``.

At most 64 shards, or one per folder where there are more, are opened, and of each at most one megabyte is decoded: a
few milliseconds on a disk, and in a store many at once. What cannot be read says nothing here; the first stage, which
reads every byte, tells what is wrong with it. Rejected: reading on until all sources were met (that
is the whole corpus).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from slimpajama.corpus.pieces import ShardFile

__all__ = ["FileLabels", "read_labels", "spread"]

FILES = 64
MOST_FOLDERS = 256


@dataclass(frozen=True, slots=True)
class FileLabels:
    """What the first records of a shard say: the names of sources, and how many records have none."""

    relative: str
    labels: frozenset[str]
    unlabelled: int

    @property
    def folder(self) -> str:
        """The first folder of its path, or nothing."""
        return self.relative.split("/")[0] if "/" in self.relative else ""


def spread(files: Sequence[ShardFile], most: int = FILES, most_folders: int = MOST_FOLDERS) -> list[ShardFile]:
    """Some of ``files``, evenly spaced in each of the folders at the top."""
    by_folder: dict[str, list[ShardFile]] = {}
    for file in files:
        by_folder.setdefault(file.relative.split("/")[0] if "/" in file.relative else "", []).append(file)
    folders = _evenly(list(by_folder.values()), most_folders)
    return [file for members in folders for file in _evenly(members, max(1, most // len(folders)))]


def _evenly(values: list[Any], most: int) -> list[Any]:
    count = min(most, len(values))
    return [values[place * len(values) // count] for place in range(count)]


def read_labels(files: Sequence[ShardFile]) -> list[FileLabels]:
    """The labels of the first records of each of ``files``."""
    with ThreadPoolExecutor(16) as threads:  # what takes time is the storage's answer
        return list(threads.map(_labels_of, files))


def _labels_of(file: ShardFile) -> FileLabels:
    labels: set[str] = set()
    unlabelled = 0
    for label in _first_labels(file):
        if isinstance(label, str):
            labels.add(label)
        else:
            unlabelled += 1
    return FileLabels(file.relative, frozenset(labels), unlabelled)


def _first_labels(file: ShardFile) -> list[Any]:
    """The label of each of the first records, ``None`` where it has none."""
    try:
        return file.format.first_labels(file)
    except (OSError, EOFError, ValueError, pa.ArrowException):
        return []
