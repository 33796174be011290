"""Which sources the first records of shards name, in ``meta.redpajama_set_name``.

At most 64 shards, or one per folder where there are more, are opened, and of each at most one megabyte is decoded: a
few milliseconds on a disk, and in a store many at once. What cannot be read says nothing here; the first stage, which
reads every byte, tells what is wrong with it. Rejected: reading on until all sources were met (that
is the whole corpus).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from slimpajama.corpus.decoding import ShardBytes
from slimpajama.corpus.json_array import ArrayLines, holds_array
from slimpajama.corpus.pieces import ShardFile
from slimpajama.errors import InputError
from slimpajama.storage.paths import is_remote, opened, place

__all__ = ["FileLabels", "read_labels", "spread"]

FILES = 64
MOST_FOLDERS = 256
ENOUGH_BYTES = 1 << 16
"""Decoded of each shard, if that holds a record."""

MOST_BYTES = 1 << 20
"""Decoded where the first record is longer."""

RECORDS = 256


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
        return _in_table(file) if file.format == "parquet" else list(_in_lines(_beginning(file)))
    except (OSError, EOFError, ValueError, pa.ArrowException):
        return []


def _in_table(file: ShardFile) -> list[Any]:
    path = place(file.path)
    source: Any = opened(path) if is_remote(path) else file.path
    with pq.ParquetFile(source, pre_buffer=False, buffer_size=ENOUGH_BYTES) as table:
        columns = [table.schema.column(index).path for index in range(len(table.schema.names))]
        if "meta.redpajama_set_name" not in columns:
            return [None] * min(1, table.metadata.num_rows)
        batches = table.iter_batches(RECORDS, columns=["meta.redpajama_set_name"])
        metas = next(batches, pa.record_batch([pa.array([])], names=["meta"])).column("meta").to_pylist()
    return [meta.get("redpajama_set_name") if isinstance(meta, dict) else None for meta in metas]


def _in_lines(beginning: bytes) -> Iterator[Any]:
    for line in beginning.split(b"\n")[:RECORDS]:
        try:
            record = orjson.loads(line.strip(b" \xef\xbb\xbf\x1e\r\0"))
        except orjson.JSONDecodeError:
            continue  # broken, or not whole
        if isinstance(record, dict):
            meta = record.get("meta")
            yield meta.get("redpajama_set_name") if isinstance(meta, dict) else None


def _beginning(file: ShardFile) -> bytes:
    """The first decoded bytes: 64 KiB, or up to the end of the first line, within 1 MiB."""
    content, block = bytearray(), memoryview(bytearray(1 << 14))
    with suppress(InputError):  # what came before a fault says enough
        is_array = holds_array(file)
        with closing(ShardBytes(file)) as decoded:
            source = ArrayLines(decoded, inside=False) if is_array else decoded
            while len(content) < MOST_BYTES and (len(content) < ENOUGH_BYTES or b"\n" not in content):
                read = source.read_into(block)
                if not read:
                    break
                content += block[:read]
    return bytes(content)
