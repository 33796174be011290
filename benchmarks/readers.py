"""Which library should read JSONL: ``python -m benchmarks.readers [--input DIR] [--runs 5] [--megabytes 64]``.

What is measured is getting every ``text``, as a Python string, out of decompressed lines of the real corpus on one
core. Just as important is what a library makes of a shard with one broken line in it: the line must be refused, the
others kept, and the byte offset of each known, because it is half of a document's id. MB are 10^6 bytes of JSONL.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pyarrow as pa
import pyarrow.json

from benchmarks.machine import describe
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.lines import LineReader

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # read when it is imported
try:
    import polars  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    polars = None  # type: ignore[assignment, unused-ignore]

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "sample"

Reader = Callable[[bytes], list[str]]

SOUND = b'{"text":"sound"}\n'
FAULTS = {
    "cut off": b'{"text":"cut o\n',
    "other field not UTF-8": b'{"text":"t","meta":{"url":"\xff"}}\n',
    "text not UTF-8": b'{"text":"\xff"}\n',
    "lone surrogate": b'{"text":"\\ud800"}\n',
    "text a number": b'{"text":1}\n',
    "NaN elsewhere": b'{"text":"t","score":NaN}\n',
}
"""Lines that this project refuses."""


class _Record(msgspec.Struct):
    text: str


def _by_line(parse: Callable[[memoryview], Any]) -> Reader:
    """A reader that parses line by line, and so knows the offset of each and loses nothing but what is broken."""

    def read(data: bytes) -> list[str]:
        texts, view, start = [], memoryview(data), 0
        while (stop := data.find(b"\n", start)) >= 0:
            try:
                text = parse(view[start:stop])
                if type(text) is str:
                    texts.append(text)
            except (ValueError, msgspec.DecodeError):
                pass
            start = stop + 1
        return texts

    return read


def _msgspec_raw() -> Callable[[memoryview], Any]:
    fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
    string = msgspec.json.Decoder(str)
    return lambda line: string.decode(fields.decode(line)["text"])


def _msgspec_typed() -> Callable[[memoryview], Any]:
    record = msgspec.json.Decoder(_Record)
    return lambda line: record.decode(line).text


def _pyarrow(data: bytes) -> list[str]:
    table = pyarrow.json.read_json(
        io.BytesIO(data),
        pyarrow.json.ReadOptions(use_threads=False, block_size=max(1 << 20, len(data))),
        pyarrow.json.ParseOptions(
            explicit_schema=pa.schema([("text", pa.large_string())]), unexpected_field_behavior="ignore"
        ),
    )
    texts: list[str] = table.column("text").to_pylist()
    return texts


def _polars(data: bytes) -> list[str]:
    texts: list[str] = polars.read_ndjson(data, schema={"text": polars.String})["text"].to_list()
    return texts


def _readers() -> Iterator[tuple[str, Reader, bool]]:
    """Name, reader, and whether byte offsets are known."""
    yield "orjson", _by_line(lambda line: orjson.loads(line)["text"]), True
    yield "msgspec, typed record", _by_line(_msgspec_typed()), True
    yield "msgspec, raw fields", _by_line(_msgspec_raw()), True
    yield "json", _by_line(lambda line: json.loads(bytes(line))["text"]), True
    yield "pyarrow.json", _pyarrow, False
    if polars is not None:
        yield "polars", _polars, False


def verdict(read: Reader, fault: bytes) -> str:
    """What becomes of a broken line between two sound ones: ``refused``, ``taken``, or ``all lost`` with it."""
    try:
        texts = read(SOUND + fault + SOUND)
    except Exception:  # each library has its own, polars' panics included
        return "all lost"
    if texts == ["sound", "sound"]:
        return "refused"
    return "taken" if texts[:1] == texts[-1:] == ["sound"] and len(texts) == 3 else f"{len(texts)} of 3"


def decompressed(folder: Path, megabytes: int) -> list[bytes]:
    """Lines of whole shards from all sources in turn, as blocks of about 8 MiB, up to ``megabytes``."""
    streams = [LineReader().blocks(piece) for piece in discover(folder).pieces]
    blocks: list[bytes] = []
    while streams and sum(map(len, blocks)) < megabytes * 1_000_000:
        stream = streams.pop(0)
        block = next(stream, None)
        if block is not None:
            blocks.append(
                b"".join(bytes(block.data[a:b]) + b"\n" for a, b in zip(block.starts, block.stops, strict=True))
            )
            streams.append(stream)
    return blocks


def rates(readers: list[tuple[str, Reader, bool]], blocks: list[bytes], runs: int) -> dict[str, float]:
    """Median MB/s of each reader; the readers take turns, so that a slow minute of the machine meets all of them."""
    size = sum(map(len, blocks)) / 1e6
    seconds: dict[str, list[float]] = {name: [] for name, *_ in readers}
    for _ in range(runs + 1):
        for name, read, _ in readers:
            began = time.perf_counter()
            for block in blocks:
                read(block)
            seconds[name].append(time.perf_counter() - began)
    return {name: size / statistics.median(times[1:]) for name, times in seconds.items()}


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to read (default: the shared real text)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=64, help="how much JSONL is read in a run")
    options = parser.parse_args()
    readers = list(_readers())
    blocks = decompressed(options.input, options.megabytes)
    print(describe())
    print(", ".join(f"{package} {metadata.version(package)}" for package in ("msgspec", "polars") if _has(package)))
    if polars is None:
        print("polars is not installed, so it is left out: pip install polars")
    documents = len(readers[0][1](b"".join(blocks)))
    print(f"{sum(map(len, blocks)) / 1e6:.0f} MB of JSONL, {documents:,} documents, one core, median of {options.runs}")
    expected = readers[0][1](blocks[0])
    for name, read, _ in readers:
        assert read(blocks[0]) == expected, f"{name} reads other texts"
    lines = [["reader", "MB/s", "offsets", *FAULTS]]
    speeds = rates(readers, blocks, options.runs)
    for name, read, offsets in readers:
        verdicts = [verdict(read, fault) for fault in FAULTS.values()]
        lines.append([name, f"{speeds[name]:,.0f}", "yes" if offsets else "no", *verdicts])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
