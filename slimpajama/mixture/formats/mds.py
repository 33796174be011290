"""Shards of MosaicML Streaming (MDS), and the ``index.json`` that its ``StreamingDataset`` opens.

A shard is the number of samples, the place of each (32-bit numbers), a JSON text that names the columns, and the
samples one after the other: first the sizes of the columns that vary, then all columns in the order of their names.
Columns: ``tokens`` (an array of fixed length), ``source`` (text), ``doc_starts`` (JSON) and, where sequences may be
padded, ``padding_start``. The places come first and are known last, so the samples wait in a temporary file as large
as the shard. Rejected: the library's own writer, which writes the same bytes but needs PyTorch and the clients of five
object stores, holds a shard in memory, and does not replace a file as a whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from slimpajama.mixture.formats.base import (
    MixtureFormat,
    SequenceGroup,
    SequenceShape,
    SequenceWriter,
    WrittenPart,
    filled_tokens,
)
from slimpajama.storage.paths import opened

__all__ = ["MdsFormat"]

_INDEX = "index.json"

_MOST_BYTES = 1 << 32
"""Of a shard: places are 32-bit numbers."""

_MOST_BESIDE = 64
"""Bytes of a sample that are not tokens, about; documents of a few tokens take more."""


def _width(vocabulary: int) -> str:
    """Two bytes where every id fits into them; else as PyTorch likes it, four with a sign."""
    return "uint16" if vocabulary <= 1 << 16 else "int32"


def _columns(shape: SequenceShape) -> dict[str, str]:
    """Encodings by the names of the columns, in the order in which samples hold them."""
    columns = {"doc_starts": "json", "source": "str", "tokens": f"ndarray:{_width(shape.vocabulary)}:{shape.length}"}
    return dict(sorted((columns | {"padding_start": "int"} if shape.padded else columns).items()))


def _config(shape: SequenceShape) -> dict[str, object]:
    """What a shard and the index say of a shard."""
    columns = _columns(shape)
    sizes = {"tokens": shape.length * np.dtype(_width(shape.vocabulary)).itemsize, "padding_start": 8}
    return {
        "version": 2,
        "format": "mds",
        "compression": None,
        "hashes": [],
        "size_limit": None,
        "column_names": list(columns),
        "column_encodings": list(columns.values()),
        "column_sizes": [sizes.get(name) for name in columns],
    }


def _config_text(shape: SequenceShape) -> bytes:
    return json.dumps(_config(shape), sort_keys=True).encode()


def _samples(group: SequenceGroup, shape: SequenceShape) -> list[bytes]:
    """The samples of a group."""
    rows, length = group.tokens.shape
    tokens = group.tokens.astype(_width(shape.vocabulary))
    edges = np.searchsorted(group.starts, np.arange(rows + 1) * length).tolist()
    starts = (group.starts % length).tolist()
    filled = filled_tokens(group).tolist()
    names = [name.encode() for name in shape.sources]
    found = []
    for row, source in enumerate(group.sources.tolist()):
        begins = json.dumps(starts[edges[row] : edges[row + 1]]).encode()
        sizes = struct.pack("<II", len(begins), len(names[source]))
        padding = struct.pack("<q", filled[row]) if shape.padded else b""
        found.append(b"".join((sizes, begins, padding, names[source], tokens[row].tobytes())))
    return found


class _ShardWriter:
    def __init__(self, body: BinaryIO, shape: SequenceShape) -> None:
        self.sizes: list[int] = []
        self._body = body
        self._shape = shape

    def write(self, group: SequenceGroup) -> None:
        samples = _samples(group, self._shape)
        self.sizes += map(len, samples)
        self._body.writelines(samples)


class MdsFormat(MixtureFormat):
    """``<stem>.mds``, for MosaicML Streaming."""

    name = "mds"
    endings = (".mds",)
    contents = (
        "The `.mds` shards and `index.json` are a data set of MosaicML Streaming: `StreamingDataset(local=FOLDER)`.",
        "`tokens` are the token ids; `source` names the source of the whole sequence; `doc_starts` lists where",
        "documents begin in it.",
    )
    says_padding = True
    folder_names = (_INDEX,)

    @contextlib.contextmanager
    def writer(self, files: Sequence[BinaryIO], shape: SequenceShape) -> Iterator[SequenceWriter]:
        """See :meth:`MixtureFormat.writer`."""
        with tempfile.TemporaryFile() as body:
            writer = _ShardWriter(body, shape)
            yield writer
            config = _config_text(shape)
            head = 4 * (len(writer.sizes) + 2) + len(config)
            files[0].write(struct.pack("<I", len(writer.sizes)))
            files[0].write((np.cumsum([0, *writer.sizes]) + head).astype("<u4").tobytes())
            files[0].write(config)
            body.seek(0)
            shutil.copyfileobj(body, files[0], 1 << 20)

    def refusal(self, shape: SequenceShape) -> str | None:
        """See :meth:`MixtureFormat.refusal`."""
        size = shape.sequences * (shape.length * np.dtype(_width(shape.vocabulary)).itemsize + _MOST_BESIDE)
        if size < _MOST_BYTES:
            return None
        return f"an MDS shard holds 4 GiB, and a file would take {size / (1 << 30):.3g} GiB; lower file_tokens"

    def folder_files(self, shape: SequenceShape, parts: Sequence[WrittenPart]) -> Mapping[str, bytes]:
        """``index.json``."""
        shards = [
            {
                **_config(shape),
                "raw_data": {"basename": part.name, "bytes": part.bytes, "hashes": {}},
                "samples": part.sequences,
                "zip_data": None,
            }
            for part in parts
        ]
        return {_INDEX: json.dumps({"version": 2, "shards": shards}, sort_keys=True).encode()}

    def differences(self, path: Path, shape: SequenceShape, groups: Iterator[SequenceGroup]) -> Iterator[str]:
        """See :meth:`MixtureFormat.differences`; stops at the first group that differs."""
        row = 0
        with opened(path) as file:
            (count,) = struct.unpack("<I", file.read(4))
            places = np.frombuffer(file.read(4 * (count + 1)), dtype="<u4").astype(np.int64)
            config = _config_text(shape)
            if file.read(len(config)) != config:
                yield "has other columns than a mixture has"
                return
            if places.size != count + 1 or places[0] != 4 * (count + 2) + len(config):
                yield "has a broken list of samples"
                return
            for group in groups:
                samples = _samples(group, shape)
                sizes = np.diff(places[row : row + len(samples) + 1])
                if sizes.tolist() != [*map(len, samples)] or file.read(int(sizes.sum())) != b"".join(samples):
                    yield f"differs from plan and store after sequence {row:,}"
                    return
                row += len(samples)
            if row != count or file.read(1):
                yield f"holds more than the {row:,} planned sequences"
