"""What people add from outside the package, one class each, works in real runs, in one process and in workers."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from slimpajama import deduplicate
from slimpajama.corpus.codecs import ByteStream, Codec
from slimpajama.corpus.file_formats import endings, suffix_of
from slimpajama.corpus.formats.converted import ConvertedFormat
from slimpajama.errors import ConfigError, ShardUnreadable
from slimpajama.registry import CODECS, INPUT_FORMATS
from tests.corpus.shards import put, records_of

DOCUMENTS = [" ".join(f"word{seed * number % 997}" for number in range(1, 60)) for seed in range(1, 30)]


class CsvFormat(ConvertedFormat):
    """An input format: tables in CSV, a record in each row."""

    name = "test-csv"
    endings = (".csv",)

    def json_lines(self, file: BinaryIO) -> Iterator[bytes]:
        for row in csv.DictReader(io.TextIOWrapper(file, "utf-8", newline="")):
            if None in row:
                raise ValueError("a row has more values than there are columns")
            yield json.dumps(row).encode()


class Base64Codec(Codec):
    """A codec: base64, decoded at once, with an end mark that tells whether the data breaks off."""

    name = "test-base64"
    endings = (".b64",)

    def decoded(self, raw: Any) -> ByteStream:
        content = raw.read()
        if not content.endswith(b"."):
            raise OSError("no full stop at the end")
        return io.BytesIO(base64.b64decode(content[:-1]))

    def compressed(self, content: bytes) -> bytes:
        return base64.b64encode(content) + b"."


@pytest.fixture(autouse=True, scope="module")
def _registered() -> Iterator[None]:
    INPUT_FORMATS.register(CsvFormat())
    CODECS.register(Base64Codec())
    yield
    INPUT_FORMATS.unregister(CsvFormat.name)
    CODECS.unregister(Base64Codec.name)


def as_csv(texts: list[str]) -> bytes:
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["text", "url"])
    writer.writerows([text, f"https://example.org/{number}"] for number, text in enumerate(texts))
    return table.getvalue().encode()


def lines_of(texts: list[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def kept(folder: Path) -> list[str]:
    return [record["text"] for path in sorted(folder.rglob("*.jsonl.zst")) for record in records_of(path)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_format_and_a_codec_from_outside_are_read(tmp_path: Path, workers: int) -> None:
    once = DOCUMENTS[:20]
    shards = {
        "c4/a.csv": as_csv(once),
        "c4/b.csv.gz": gzip.compress(as_csv([*DOCUMENTS[15:22], "short"])),
        "c4/c.jsonl.b64": Base64Codec().compressed(lines_of(DOCUMENTS[18:25])),
        "c4/d.csv.b64": Base64Codec().compressed(as_csv(DOCUMENTS[20:])),
    }
    put(tmp_path / "in", {})
    for name, content in shards.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    deduplicate(tmp_path / "in", tmp_path / "out", workers=workers, scope="global")
    assert kept(tmp_path / "out" / "global") == DOCUMENTS
    (first, *_) = records_of(tmp_path / "out" / "global" / "c4" / "a.jsonl.zst")
    assert first["meta"] == {"url": "https://example.org/0", "redpajama_set_name": "RedPajamaC4"}


def test_a_large_shard_of_a_converted_format_has_parts(tmp_path: Path) -> None:
    texts = [f"{number} " + " ".join(f"{number}x{word}" for word in range(400)) for number in range(100)]
    path = tmp_path / "in" / "c4" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(as_csv(texts))
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, scope="global", part_bytes=1 << 16)
    assert kept(tmp_path / "out" / "global") == texts


def test_a_file_that_is_not_of_the_format_stops_the_run_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "in" / "c4" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"text\na,b\n")
    with pytest.raises(ShardUnreadable, match=r"a\.csv cannot be read as test-csv: a row has more values"):
        deduplicate(tmp_path / "in", tmp_path / "out", workers=1)


class OtherCsvFormat(CsvFormat):
    """Of the same name."""


class TsvFormat(CsvFormat):
    """Claims the same ending."""

    name = "test-tsv"


def test_a_name_can_be_taken_once() -> None:
    INPUT_FORMATS.register(CsvFormat())
    with pytest.raises(ConfigError, match="another input format is called 'test-csv' already"):
        INPUT_FORMATS.register(OtherCsvFormat())
    assert suffix_of("a.csv.b64") == ".csv.b64"
    assert endings()[".csv"].format is INPUT_FORMATS.get("test-csv")


def test_an_ending_belongs_to_one_format() -> None:
    INPUT_FORMATS.register(TsvFormat())
    try:
        with pytest.raises(ConfigError, match=r"files ending in \.csv would be read as 'test-csv' and as"):
            suffix_of("a.jsonl")
    finally:
        INPUT_FORMATS.unregister("test-tsv")
