"""From a plan to files: each output file is gathered from the store, shuffled in itself, and written.

A file is one work item. A seeded shuffle says which source each of its sequences is of; then, row group by row group,
the next sequences of each source are read in order, shuffled within the group, and written. The streams are shuffled
already, document by document, so nothing more is needed, and reading stays sequential. Memory: one row group (16 MiB)
and its compressed copy, whatever the size of a file. Rejected: gathering a whole file to shuffle it (256 MiB, and a
quarter slower for touching it), and a shuffle over all files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np

from slimpajama.engine.heartbeat import beat
from slimpajama.mixture.formats.base import MixtureFormat, SequenceGroup, SequenceShape
from slimpajama.mixture.packing import Stream, pack
from slimpajama.storage.atomic import atomic_file
from slimpajama.tokens.seeded_order import seeded_hash

__all__ = ["GROUP_TOKENS", "VERSION", "FileItem", "Store", "build_file", "file_groups"]

VERSION = 2

GROUP_TOKENS = 1 << 22
"""Tokens of a group of sequences: 16 MiB, which a writer and a streaming reader hold at once."""


class Store(Protocol):
    """What is needed of a token store."""

    @property
    def vocabulary(self) -> int:
        """One more than the largest id."""
        ...

    def stream(self, source: str, split: str, scope: str) -> Stream:
        """One source, split and scope."""
        ...


@dataclass(frozen=True, slots=True)
class FileItem:
    """One output file: sequences ``slices[i] = (first, last)`` of ``sources[i]``.

    ``stem``: path without ending; ``number`` and ``seed`` shuffle it; ``opener`` opens the store in the worker.
    ``group_tokens``: how many tokens are gathered, shuffled and written at once.
    """

    store: Path
    opener: Callable[[Path], Store]
    stem: Path
    split: str
    scope: str
    number: int
    seed: int
    length: int
    sources: tuple[str, ...]
    slices: tuple[tuple[int, int], ...]
    format: MixtureFormat
    group_tokens: int = GROUP_TOKENS

    @property
    def output_files(self) -> tuple[Path, ...]:
        """The files that come of it."""
        return tuple(self.stem.with_name(self.stem.name + ending) for ending in self.format.endings)

    def shape(self, store: Store) -> SequenceShape:
        """What the file's sequences share."""
        return SequenceShape(self.length, self.sources, store.vocabulary)


def build_file(item: FileItem) -> dict[str, Any]:
    """Write one file; returns the records of its ``files``, ``sequences`` by source, and ``documents`` begun."""
    store = item.opener(item.store)
    documents = 0
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_file(path)) for path in item.output_files]
        writer = stack.enter_context(item.format.writer([cast(BinaryIO, file) for file in files], item.shape(store)))
        for group in file_groups(item, store):
            writer.write(group)
            documents += group.starts.size
    return {
        "split": item.split,
        "files": [file.record for file in files],
        "sequences": {source: last - first for source, (first, last) in zip(item.sources, item.slices, strict=True)},
        "documents": documents,
    }


def file_groups(item: FileItem, store: Store) -> Iterator[SequenceGroup]:
    """The file's sequences in their final order, group by group; the arrays are used again for the next."""
    counts = [last - first for first, last in item.slices]
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    purpose = f"{item.split} file {item.number}"
    labels = labels[np.argsort(seeded_hash(np.arange(labels.size, dtype=np.uint64), item.seed, purpose), kind="stable")]
    streams = [store.stream(source, item.split, item.scope) for source in item.sources]
    following = [first for first, _ in item.slices]
    size = max(1, item.group_tokens // item.length)
    buffer = np.empty((min(size, labels.size), item.length), dtype=np.uint32)
    for begin in range(0, labels.size, size):
        sources = labels[begin : begin + size]
        tokens = buffer[: sources.size]
        starts = [np.empty(0, dtype=np.int64)]
        for number, stream in enumerate(streams):
            rows = np.flatnonzero(sources == number)
            if not rows.size:
                continue
            numbers = np.arange(following[number], following[number] + rows.size, dtype=np.uint64)
            rows = rows[np.argsort(seeded_hash(numbers, item.seed, f"{purpose} source {number}"), kind="stable")]
            packed = pack(stream, following[number], following[number] + rows.size, item.length)
            following[number] += rows.size
            tokens[rows] = packed.tokens
            sequence, inside = np.divmod(packed.starts, item.length)
            starts.append(rows[sequence] * item.length + inside)
        beat()
        yield SequenceGroup(tokens, np.sort(np.concatenate(starts)), sources)
