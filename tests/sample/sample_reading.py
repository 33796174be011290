"""Write a sample and read it back; and the similarity of two texts by Python sets."""

from __future__ import annotations

import io
import re
import string
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import zstandard

from slimpajama.engine.local import LocalEngine
from slimpajama.sample import GROUND_TRUTH, PAIRS, SampleSummary, write_sample


def lines_of(path: Path) -> list[tuple[int, bytes]]:
    """(byte offset, line) of every line of a shard."""
    with path.open("rb") as file:
        lines = io.BytesIO(zstandard.ZstdDecompressor().stream_reader(file).read()).readlines()
    positions = [0]
    for line in lines:
        positions.append(positions[-1] + len(line))
    return list(zip(positions, lines, strict=False))


@dataclass
class WrittenSample:
    out: Path
    summary: SampleSummary
    progress: list[int]

    @cached_property
    def truth(self) -> dict[str, Any]:
        truth: dict[str, Any] = orjson.loads((self.out / GROUND_TRUTH).read_bytes())
        return truth

    @cached_property
    def pairs(self) -> list[dict[str, Any]]:
        pairs: list[dict[str, Any]] = pq.read_table(self.out / PAIRS).to_pylist()
        return pairs

    @cached_property
    def lines(self) -> dict[str, list[tuple[int, bytes]]]:
        return {path: lines_of(self.out / path) for path in self.truth["files"]}

    @cached_property
    def records(self) -> dict[str, dict[int, dict[str, Any]]]:
        """Good records by shard and position."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for path, lines in self.lines.items():
            found[path] = {}
            for position, line in lines:
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(record, dict) and isinstance(record.get("text"), str):
                    found[path][position] = record
        return found

    def texts(self, source: str) -> list[str]:
        return [
            record["text"]
            for path, records in self.records.items()
            if path.startswith(source + "/")
            for record in records.values()
        ]


def write(out: Path, *, docs: int, seed: int = 1, workers: int = 1) -> WrittenSample:
    progress: list[int] = []
    with LocalEngine(workers) as engine:
        summary = write_sample(out, docs=docs, seed=seed, engine=engine, progress=progress.append)
    return WrittenSample(out, summary, progress)


def shingles(text: str) -> set[str]:
    """As published: NFC, lower, punctuation away, white space to one space; 13-character windows."""
    text = unicodedata.normalize("NFC", text).lower()
    text = re.sub(r"\s+", " ", text.translate(str.maketrans("", "", string.punctuation)).strip())
    return {text[i : i + 13] for i in range(len(text) - 12)}


def jaccard_of_sets(first: str, second: str) -> float:
    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)
