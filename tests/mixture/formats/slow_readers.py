"""Readers of mixture formats, each written from the format's own description, slowly and by nothing of the package."""

from __future__ import annotations

import gzip
import json
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any


def unsigned(data: bytes, width: int) -> list[int]:
    """Little-endian numbers of ``width`` bytes each."""
    assert len(data) % width == 0
    return [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]


def olmo(path: Path, vocabulary: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids as OLMo-core maps them, and the first and last place of each document as it reads them from the file beside.

    The type is the least unsigned one of 8, 16 and 32 bits that has every id.
    """
    width = next(width for width in (1, 2, 4) if vocabulary - 1 < 1 << 8 * width)
    beside = path.with_name(path.name.replace(".npy", ".csv.gz"))
    documents = []
    with gzip.open(beside, "rt") as lines:
        for line in lines:
            start, end, *_ = line.split(",")
            documents.append((int(start), int(end)))
    return unsigned(path.read_bytes(), width), documents


def nanotron(path: Path, sequence_length: int) -> tuple[list[list[int]], list[list[int]]]:
    """Samples of ``sequence_length + 1`` ids as datatrove cuts them, and the position of each id in its document."""
    metadata = path.with_name(path.name + ".metadata").read_text().split("\n")
    _, token_bytes = metadata[0].split("|")
    tokens = unsigned(path.read_bytes(), int(token_bytes))
    assert int(metadata[1]) == len(tokens)
    ends = set(unsigned(path.with_name(path.name + ".index").read_bytes(), 8))
    cut = sequence_length + 1
    samples, positions = [], []
    for begin in range(0, len(tokens) - cut + 1, cut):
        samples.append(tokens[begin : begin + cut])
        place, row = 0, []
        for at in range(begin, begin + cut):
            if at in ends:
                place = 0
            row.append(place)
            place += 1
        positions.append(row)
    return samples, positions


@dataclass(frozen=True)
class MdsSample:
    """A sample by the names of its columns."""

    columns: dict[str, Any]


def mds(folder: Path) -> list[MdsSample]:
    """All samples of a data set of MosaicML Streaming, by its ``index.json``."""
    index = json.loads((folder / "index.json").read_bytes())
    assert index["version"] == 2
    found = []
    for shard in index["shards"]:
        assert (shard["format"], shard["version"], shard["compression"]) == ("mds", 2, None)
        data = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        (count,) = struct.unpack("<I", data[:4])
        assert count == shard["samples"]
        places = struct.unpack(f"<{count + 1}I", data[4 : 4 * (count + 2)])
        assert places[-1] == len(data)
        written = json.loads(data[4 * (count + 2) : places[0]])
        assert written == {key: shard[key] for key in written}
        assert shard["column_names"] == sorted(shard["column_names"])
        for begin, end in pairwise(places):
            found.append(MdsSample(_columns(data[begin:end], shard)))
    return found


def _columns(sample: bytes, shard: dict[str, Any]) -> dict[str, Any]:
    sizes, place = [], 0
    for fixed in shard["column_sizes"]:
        if fixed is None:
            (fixed,) = struct.unpack("<I", sample[place : place + 4])
            place += 4
        sizes.append(fixed)
    columns: dict[str, Any] = {}
    for name, encoding, size in zip(shard["column_names"], shard["column_encodings"], sizes, strict=True):
        value = sample[place : place + size]
        place += size
        kind, *parameters = encoding.split(":")
        if kind == "json":
            columns[name] = json.loads(value)
        elif kind == "str":
            columns[name] = value.decode()
        elif kind == "int":
            columns[name] = int.from_bytes(value, "little", signed=True)
        else:
            assert kind == "ndarray"
            width = {"uint16": 2, "int32": 4}[parameters[0]]
            columns[name] = unsigned(value, width)
            assert len(columns[name]) == int(parameters[1])
    assert place == len(sample)
    return columns
