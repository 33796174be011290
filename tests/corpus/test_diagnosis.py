"""What a file seems to be is said for each kind that is met under the name of JSON lines, and for no sound file."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from slimpajama.corpus.diagnosis import not_compressed_so, not_json_lines, other_text_field

RECORDS = [{"text": f"number {number}, é", "meta": {"n": number}} for number in range(30)]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), sink)
    return sink.getvalue()


def tar() -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        member = tarfile.TarInfo("a.jsonl")
        member.size = len(LINES.encode())
        archive.addfile(member, io.BytesIO(LINES.encode()))
    return sink.getvalue()


def zipped() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.jsonl", LINES)
    return sink.getvalue()


KINDS: dict[str, tuple[bytes, str]] = {
    "gzip": (gzip.compress(LINES.encode()), "gzip-compressed data: let its name end in .jsonl.gz"),
    "zstd": (zstandard.compress(LINES.encode()), "zstd-compressed data: let its name end in .jsonl.zst"),
    "bzip2": (bz2.compress(LINES.encode()), "bzip2-compressed data: let its name end in .jsonl.bz2"),
    "xz": (lzma.compress(LINES.encode()), "xz-compressed data: let its name end in .jsonl.xz"),
    "lz4": (bytes(pa.compress(LINES.encode(), "lz4")), "lz4-compressed data: let its name end in .jsonl.lz4"),
    "Parquet": (parquet(), "a Parquet file: let its name end in .parquet"),
    "tar": (tar(), "a tar archive: unpack it"),
    "zip": (zipped(), "a zip archive: unpack it"),
    "UTF-16": (LINES.encode("utf-16"), "text in UTF-16: convert it (iconv -f UTF-16 -t UTF-8)"),
    "UTF-16 without a mark": (LINES.encode("utf-16-be"), "text in UTF-16BE: convert it (iconv -f UTF-16BE -t UTF-8)"),
    "UTF-32": (LINES.encode("utf-32"), "text in UTF-32: convert it (iconv -f UTF-32 -t UTF-8)"),
    "Latin-1": (LINES.encode("latin-1"), "in another encoding than UTF-8, such as Latin-1"),
    "binary": (b"\x01\x02\0\0\x03" * 100, "a binary file"),
    "carriage returns": (LINES.replace("\n", "\r").encode(), "its line ends seem to be carriage returns alone (\\r)"),
    "array": (json.dumps(RECORDS).encode(), "one JSON array: let its name end in .json, or convert it (jq -c '.[]')"),
    "indented array": (json.dumps(RECORDS, indent=1).encode(), "one JSON array"),
    "indented records": (
        "".join(json.dumps(record, indent=2) + "\n" for record in RECORDS).encode(),
        "its records seem to be indented over several lines (pretty-printed): convert it (jq -c .)",
    ),
    "Python": (
        "".join(f"{record}\n" for record in RECORDS).encode(),
        "Python dictionaries: write them with json.dumps",
    ),
    "HTML": (b"\n<!DOCTYPE html>\n<html><body>Not found</body></html>", "an HTML page: fetch the shard again"),
    "XML": (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "HTML or XML: fetch the shard again"),
    "CSV": (b"id,text\n1,some words\n2,more words\n", "a table in CSV"),
    "TSV": (b"id\ttext\n1\tsome words, too\n", "a table in TSV"),
    "plain text": (b"Once upon a time\nthere was a text.\n", "plain text"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_is_named_with_a_remedy(kind: str) -> None:
    content, said = KINDS[kind]
    for head in (content, content[: 1 << 16]):
        assert said in not_json_lines(head)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_nothing_is_said_of_json_lines(mark: bytes) -> None:
    content = mark + LINES.encode()
    for size in range(len(mark), len(content)):
        assert not_json_lines(content[:size]) == "", "wherever what was read of it ends"
    assert not_json_lines(b'{"text": "a"}\r\n{"text": "b\\r"}\r\n') == ""
    assert not_json_lines(b'12\n"text"\nnull\n') == ""


def test_what_is_compressed_otherwise_or_not_at_all_is_named() -> None:
    assert not_compressed_so(gzip.compress(b"a"), "gz") == ""
    assert not_compressed_so(gzip.compress(b"a"), "zst") == "it seems to be gzip-compressed data"
    assert not_compressed_so(parquet(), "gz") == "it seems to be a Parquet file"
    assert not_compressed_so(LINES.encode(), "xz") == "it seems to be JSON that is not compressed"
    assert not_compressed_so(b"", "gz") == not_compressed_so(b"anything", "gz") == ""


@pytest.mark.parametrize(
    ("head", "field"),
    [
        (b'{"id": "12", "raw_content": "some words", "n": 1}\n{"x', "raw_content"),
        (b'\xef\xbb\xbf[\n {"content": "a"}, {', "content"),
        (b'{"id": 1}\n', ""),
        (b'{"text": 1, "content": "a"}\n', ""),
        (b'{"text": "cut', ""),
    ],
)
def test_a_field_that_may_be_the_text_is_named(head: bytes, field: str) -> None:
    said = other_text_field(head, "text")
    assert said == (f"set text_field to the field that holds the text, such as {field}" if field else "")
