"""What a file seems to be that is not what its name says: one sentence for an error, from the beginning of the file.

Looks at magic numbers, byte order marks and the shape of the first 64 KiB only. It never decides whether a file is
read: it explains why reading failed. Where nothing is recognised it says nothing, as a wrong guess is worse.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["HEAD_BYTES", "not_compressed_so", "not_json_lines", "other_text_field"]

HEAD_BYTES = 1 << 16
"""How much of the beginning of a file is looked at."""

_COMPRESSED = (
    (b"\x1f\x8b", "gzip", "gz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zst"),
    (b"BZh", "bzip2", "bz2"),
    (b"\xfd7zXZ\0", "xz", "xz"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4"),
)
_OTHER = (
    (b"PAR1", "a Parquet file", "let its name end in .parquet"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"ARROW1", "an Arrow file", "convert it to Parquet"),
    (b"\x89HDF", "an HDF5 file", "convert it to Parquet"),
    (b"SQLite format 3", "an SQLite database", "convert it to JSON lines"),
    (b"%PDF", "a PDF document", "extract its text"),
)
_WIDE_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_WIDE_SHAPES = {"x000": "UTF-32LE", "000x": "UTF-32BE", "x0x0": "UTF-16LE", "0x0x": "UTF-16BE"}
"""Which of the first four bytes are zero where they stand for ASCII characters."""


def not_compressed_so(head: bytes, ending: str) -> str:
    """Why a file cannot be decoded as its ending (``gz``, ``zst`` …) says; empty where its beginning fits that."""
    for magic, kind, found in _COMPRESSED:
        if head.startswith(magic):
            return f"it seems to be {kind}-compressed data" if found != ending else ""
    for magic, kind, _ in _OTHER:
        if head.startswith(magic):
            return f"it seems to be {kind}"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "it seems to be JSON that is not compressed" if text[:1] in (b"{", b"[") else ""


def not_json_lines(head: bytes) -> str:
    """What a file seems to be and how to make it readable, by its decoded beginning; empty where it is not known."""
    return _by_bytes(head) or _by_text(head.removeprefix(b"\xef\xbb\xbf").lstrip())


def other_text_field(head: bytes, text_field: str) -> str:
    """What to set ``text_field`` to, where the first record has no such field but another that may be the text."""
    record: Any = _first_value(head.removeprefix(b"\xef\xbb\xbf").lstrip().lstrip(b"[").lstrip())
    if not isinstance(record, dict) or text_field.split(".")[0] in record:
        return ""
    strings = {name: len(value) for name, value in record.items() if isinstance(value, str)}
    if not strings:
        return ""
    return f"set text_field to the field that holds the text, such as {max(strings, key=lambda name: strings[name])}"


def _by_bytes(head: bytes) -> str:
    for magic, kind, ending in _COMPRESSED:
        if head.startswith(magic):
            return f"it seems to be {kind}-compressed data: let its name end in .jsonl.{ending}"
    for magic, kind, remedy in _OTHER:
        if head.startswith(magic):
            return f"it seems to be {kind}: {remedy}"
    if head[257:262] == b"ustar":
        return "it seems to be a tar archive: unpack it"
    encoding = next((encoding for mark, encoding in _WIDE_MARKS if head.startswith(mark)), None)
    encoding = encoding or _WIDE_SHAPES.get("".join("x" if byte else "0" for byte in head[:4]))
    if encoding:
        return f"it seems to be text in {encoding}: convert it (iconv -f {encoding} -t UTF-8)"
    if b"\0" in head[:1024].rstrip(b"\0"):
        return "it seems to be a binary file: convert it to JSON lines"
    return ""


def _by_text(text: bytes) -> str:
    lines = [line for line in text.split(b"\n")[:6] if line.strip()]
    if not lines:
        return ""
    first, second = lines[0], (lines[1].lstrip() if len(lines) > 1 else b"")
    if not _is_utf8(text) and text[:1] in (b"{", b"["):
        return "it seems to be in another encoding than UTF-8, such as Latin-1: convert it (iconv -f LATIN1 -t UTF-8)"
    if b"\r" in first.rstrip(b"\r") and isinstance(_first_value(first.partition(b"\r")[0]), dict):
        return "its line ends seem to be carriage returns alone (\\r): convert it (tr '\\r' '\\n')"
    if text[:1] == b"<":
        return f"it seems to be {'an HTML page' if b'<html' in text.lower() else 'HTML or XML'}: fetch the shard again"
    if text[:1] == b"[":
        return "it seems to be one JSON array: let its name end in .json, or convert it (jq -c '.[]')"
    if text[:1] == b"{":
        if not _is_json(first) and second[:1] in (b'"', b"}"):
            return "its records seem to be indented over several lines (pretty-printed): convert it (jq -c .)"
        if first[1:].lstrip()[:1] == b"'":
            return "it seems to hold Python dictionaries: write them with json.dumps"
        return ""
    if any(_is_json(line) for line in lines):
        return ""
    for separator, kind in ((b"\t", "TSV"), (b",", "CSV")):
        if second and separator in first and separator in second:
            return f"it seems to be a table in {kind}: convert it to JSON lines"
    return "it seems to be plain text: write each document as a JSON object with a field for its text, one on a line"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError as fault:
        return fault.start >= len(text) - 3  # a character that the end of what was read cuts in two
    return True


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _first_value(text: bytes) -> object:
    """The JSON value that ``text`` begins with; ``None`` where it begins with none."""
    try:
        return json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"))[0]
    except (ValueError, RecursionError):
        return None
