"""Texts that are put aside to be compared: each file holds those of one piece, in blobs of the same share.

A row is a blob: the texts of some documents, one after the other, compressed with zstd over all of its length, as what
is to be compared is mostly alike. Whoever compares the pairs of a share maps the file, looks at the numbers of shares
and decompresses its own blobs. Holds ``BLOB_BYTES`` of text for each file that is written. Rejected: a file for each
piece and share (millions), and sets of shingles (four times the text).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.storage.local_cache import local_copy

__all__ = ["BLOB_BYTES", "SpillWriter", "spilled_texts"]

BLOB_BYTES = 32 << 20
"""So much text is gathered before it is sorted by share and written."""

_SCHEMA = pa.schema(
    [
        ("share", pa.uint32()),
        ("ids", pa.list_(pa.uint64())),
        ("are_candidates", pa.list_(pa.bool_())),
        ("sizes", pa.list_(pa.int64())),
        ("texts", pa.large_binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    share: int
    is_candidate: bool
    document: int
    text: bytes


def _whole_blob() -> zstandard.ZstdCompressionParameters:
    window = (BLOB_BYTES - 1).bit_length()
    return zstandard.ZstdCompressionParameters.from_level(3, window_log=window, enable_ldm=True)


class SpillWriter:
    """Writes texts to one file; blobs appear in the order in which texts came, sorted within ``blob_bytes``."""

    def __init__(self, file: Any, blob_bytes: int = BLOB_BYTES) -> None:
        self._writer = pa.ipc.new_file(file, _SCHEMA)
        self._compressor = zstandard.ZstdCompressor(compression_params=_whole_blob())
        self._blob_bytes = blob_bytes
        self._waiting: list[_Waiting] = []
        self._size = 0

    def append(self, share: int, is_candidate: bool, document: int, text: bytes) -> None:
        """Put a text aside for a share."""
        self._waiting.append(_Waiting(share, is_candidate, document, text))
        self._size += len(text)
        if self._size >= self._blob_bytes:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        beat()
        groups: dict[int, list[_Waiting]] = {}
        for one in self._waiting:
            groups.setdefault(one.share, []).append(one)
        for share, texts in sorted(groups.items()):
            row = {
                "share": share,
                "ids": [one.document for one in texts],
                "are_candidates": [one.is_candidate for one in texts],
                "sizes": [len(one.text) for one in texts],
                "texts": self._compressor.compress(b"".join(one.text for one in texts)),
            }
            self._writer.write_batch(pa.RecordBatch.from_pylist([row], _SCHEMA))
        self._waiting.clear()
        self._size = 0


def spilled_texts(
    paths: Sequence[Path], share: int, are_candidates: bool
) -> Iterator[tuple[NDArray[np.uint64], list[str]]]:
    """Ids and texts of one share, blob by blob: those of candidates, or those of the other documents."""
    for path in paths:
        with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                if batch.column("share")[0].as_py() != share:
                    continue
                beat()
                chosen = np.array(batch.column("are_candidates")[0].as_py()) == are_candidates
                if not chosen.any():
                    continue
                blob = zstandard.ZstdDecompressor().decompress(batch.column("texts")[0].as_buffer())
                ends = np.cumsum(batch.column("sizes")[0].values.to_numpy())
                starts = ends - batch.column("sizes")[0].values.to_numpy()
                bounds = zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
                ids = batch.column("ids")[0].values.to_numpy()[chosen]
                yield ids, [blob[start:end].decode() for start, end in bounds]
