"""Small shards for tests: bytes into files, as their names say, and what was written back out of files."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.file_formats import suffix_of
from slimpajama.corpus.pieces import Piece, Shard, ShardFile


def compressed(name: str, data: bytes) -> bytes:
    """``data`` in the form that the name of a file promises."""
    if name.endswith((".zst", ".zstd")):
        return zstandard.ZstdCompressor().compress(data)
    if name.endswith(".bz2"):
        return bz2.compress(data)
    if name.endswith(".xz"):
        return lzma.compress(data)
    if name.endswith(".lz4"):
        return bytes(pa.compress(data, "lz4"))
    return gzip.compress(data, mtime=0) if name.endswith(".gz") else data


def decompressed(path: Path) -> bytes:
    """All of a shard; a second zstd frame would be an error here."""
    data = path.read_bytes()
    if path.name.endswith(".zst"):
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        whole = decompressor.decompress(data)
        assert decompressor.eof
        assert decompressor.unused_data == b""
        return whole
    return gzip.decompress(data) if path.name.endswith(".gz") else data


def jsonl(records: Iterable[Any]) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


def put(root: Path, shards: Mapping[str, Any]) -> Path:
    """Write ``shards``: for each path below ``root`` its content as bytes, or its records (texts or mappings)."""
    for relative, content in shards.items():
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, bytes):
            records = [{"text": record} if isinstance(record, str) else record for record in content]
            if relative.endswith(".parquet"):
                pq.write_table(
                    pa.Table.from_pylist(records, None if records else pa.schema([("text", "string")])), path
                )
                continue
            content = jsonl(records)
        path.write_bytes(compressed(relative, content))
    return root


def mixed_piece(path: Path) -> Piece:
    """A whole shard each of whose records names one of the seven published sources."""
    status = path.stat()
    suffix = suffix_of(path.name)
    assert suffix is not None
    file = ShardFile(str(path), path.name, suffix, status.st_size, status.st_mtime_ns)
    shards = tuple(Shard(order, order, 0, path.name.removesuffix(suffix)) for order in range(7))
    return Piece(file, 0, None, 0, 1, shards, tuple(REDPAJAMA_SET_NAMES.values()))


def records_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in decompressed(path).splitlines()]


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
