"""From a plan to files: each output file is gathered from the store, shuffled in itself, and written.

A file is one work item. It reads, source by source, its slice of the source's stream (in sequence), puts the
sequences where a seeded shuffle of the file wants them, and writes row groups. Memory: the file's tokens
(``file_tokens`` x 4 bytes, 256 MiB by default), one slice of a source, and one row group. Rejected: a shuffle over all
files (the streams are shuffled already, whole source by whole source).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from slimpajama.mixture.megatron import write_bin, write_idx
from slimpajama.mixture.packing import Stream, pack
from slimpajama.mixture.parquet import write_parquet
from slimpajama.mixture.seeded import seeded_hash
from slimpajama.workspace import atomic_file

__all__ = ["VERSION", "FileItem", "Format", "Store", "build_file"]

VERSION = 1
SLICE_TOKENS = 1 << 20
"""Tokens read from a source at once: 4 MiB stay in the cache on their way to their rows."""

Format = Literal["parquet", "megatron"]


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
    format: Format

    @property
    def output_files(self) -> tuple[Path, ...]:
        """The files that are there when the item is done."""
        endings = (".parquet",) if self.format == "parquet" else (".bin", ".idx")
        return tuple(self.stem.with_name(self.stem.name + ending) for ending in endings)


def build_file(item: FileItem) -> dict[str, Any]:
    """Write one file; returns its ``files`` (name, size, blake2b), ``sequences`` by source, and ``documents`` begun."""
    store = item.opener(item.store)
    tokens, starts, sources = _gathered(item, store)
    with ExitStack() as stack:
        files = [_Digesting(stack.enter_context(atomic_file(path))) for path in item.output_files]
        if item.format == "parquet":
            write_parquet(files[0], tokens, starts, sources, item.sources)  # type: ignore[arg-type]
        else:
            write_bin(files[0], tokens, store.vocabulary)  # type: ignore[arg-type]
            write_idx(files[1], tokens.shape[0], item.length, store.vocabulary)  # type: ignore[arg-type]
    return {
        "split": item.split,
        "files": [
            {"name": path.name, "bytes": file.tell(), "blake2b": file.digest.hexdigest()}
            for path, file in zip(item.output_files, files, strict=True)
        ],
        "sequences": {source: last - first for source, (first, last) in zip(item.sources, item.slices, strict=True)},
        "documents": int(starts.size),
    }


def _gathered(item: FileItem, store: Store) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int32]]:
    """The file's sequences in their final order, where documents begin in them, and their sources."""
    total = sum(last - first for first, last in item.slices)
    keys = seeded_hash(np.arange(total, dtype=np.uint64), item.seed, f"{item.split} file {item.number}")
    row_of = np.empty(total, dtype=np.int64)
    row_of[np.argsort(keys, kind="stable")] = np.arange(total)
    tokens = np.empty((total, item.length), dtype=np.uint32)
    sources = np.empty(total, dtype=np.int32)
    starts = [np.empty(0, dtype=np.int64)]
    place = 0
    step = max(1, SLICE_TOKENS // item.length)
    for number, (source, (first, last)) in enumerate(zip(item.sources, item.slices, strict=True)):
        stream = store.stream(source, item.split, item.scope)
        for begin in range(first, last, step):
            packed = pack(stream, begin, min(begin + step, last), item.length)
            rows = row_of[place : place + packed.tokens.shape[0]]
            tokens[rows] = packed.tokens
            sources[rows] = number
            sequence, inside = np.divmod(packed.starts, item.length)
            starts.append(rows[sequence] * item.length + inside)
            place += rows.size
    return tokens, np.sort(np.concatenate(starts)), sources


class _Digesting:
    """A file that is hashed as it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = 0
        self.digest = hashlib.blake2b(digest_size=16)
        self.closed = False

    def write(self, data: Any) -> int:
        """Write and hash."""
        self.digest.update(data)
        self._size += len(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written."""
        return self._size

    def flush(self) -> None:
        """Nothing is held back here."""

    def writable(self) -> bool:
        """As a file."""
        return True

    def readable(self) -> bool:
        """As a file."""
        return False

    def seekable(self) -> bool:
        """As a file."""
        return False

    def close(self) -> None:
        """The file is closed by who opened it."""
