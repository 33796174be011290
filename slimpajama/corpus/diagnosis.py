"""What a file seems to be that is not what its name says: one sentence for an error, from the beginning of the file.

Looks at magic numbers, byte order marks and the shape of the first kilobytes only. It never decides whether a file is
read: it explains why reading failed. Where nothing is recognised it says nothing, as a wrong guess is worse.
"""

from __future__ import annotations

import json

import orjson

__all__ = ["HEAD_BYTES", "kind_of_bytes", "not_compressed_so", "not_json_lines"]

HEAD_BYTES = 1 << 16
"""How much of the beginning of a file is looked at."""

_MAGIC = (
    (b"\x1f\x8b", "gzip-compressed data", "gz"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data", "zst"),
    (b"BZh", "bzip2-compressed data", "bz2"),
    (b"\xfd7zXZ\0", "xz-compressed data", "xz"),
    (b"\x04\x22\x4d\x18", "lz4-compressed data", "lz4"),
    (b"PAR1", "a Parquet file", ""),
    (b"PK\x03\x04", "a zip archive", ""),
    (b"ARROW1", "an Arrow file", ""),
    (b"\x89HDF", "an HDF5 file", ""),
    (b"SQLite format 3", "an SQLite database", ""),
    (b"%PDF", "a PDF document", ""),
)


def kind_of_bytes(head: bytes) -> tuple[str, str]:
    """What the first bytes of a file stand for, and the ending of that compression, if it is one; else empty."""
    for magic, kind, ending in _MAGIC:
        if head.startswith(magic):
            return kind, ending
    if head[257:262] == b"ustar":
        return "a tar archive", ""
    return "", ""


def not_compressed_so(head: bytes, ending: str) -> str:
    """Why a file cannot be decoded as its ending (``gz``, ``zst`` …) says; empty where its beginning fits that."""
    kind, found = kind_of_bytes(head)
    if found == ending or not head:
        return ""
    if kind:
        return f"it seems to be {kind}"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return "it seems to be JSON that is not compressed" if text[:1] in (b"{", b"[") else ""


def not_json_lines(head: bytes) -> str:
    """What a file seems to be, and how to make it readable, judged by its decoded beginning; empty if unknown."""
    kind, ending = kind_of_bytes(head)
    if ending:
        return f"it seems to be {kind}: decompress it, or let its name end in .jsonl.{ending}"
    if kind == "a Parquet file":
        return "it seems to be a Parquet file: let its name end in .parquet"
    if kind == "a tar archive" or kind == "a zip archive":
        return f"it seems to be {kind}: unpack it"
    if kind:
        return f"it seems to be {kind}: convert it to JSON lines"
    encoding = _wide_encoding(head)
    if encoding:
        return f"it seems to be text in {encoding}: convert it to UTF-8 (iconv -f {encoding} -t UTF-8)"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in head[:1024]:
        return "it seems to be a binary file: convert it to JSON lines"
    if text[:1] == b"<":
        return f"it seems to be {'an HTML page' if b'<html' in text[:2048].lower() else 'HTML or XML'}: fetch it again"
    if _has_carriage_returns_only(text):
        return "its line ends seem to be carriage returns alone (\\r): convert them (tr '\\r' '\\n')"
    if text[:1] == b"[":
        return "it seems to be one JSON array: let its name end in .json, or convert it (jq -c '.[]')"
    if text[:1] == b"{":
        return _of_objects(text)
    return _of_table(text)


def _wide_encoding(head: bytes) -> str:
    for mark, encoding in (
        (b"\xff\xfe\0\0", "UTF-32"),
        (b"\0\0\xfe\xff", "UTF-32"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
    ):
        if head.startswith(mark):
            return encoding
    start = head[:4]
    for pattern, encoding in (
        ((1, 0, 0, 0), "UTF-32LE"),
        ((0, 0, 0, 1), "UTF-32BE"),
        ((1, 0, 1, 0), "UTF-16LE"),
        ((0, 1, 0, 1), "UTF-16BE"),
    ):
        if tuple(int(byte != 0) for byte in start) == pattern:
            return encoding
    return ""


def _has_carriage_returns_only(text: bytes) -> bool:
    first, separator, _ = text.partition(b"\r")
    return bool(separator) and b"\n" not in text and _is_json(first)


def _of_objects(text: bytes) -> str:
    first, _, rest = text.partition(b"\n")
    if not _is_json(first):
        if (rest and first.strip() in (b"{", b"{}")) or rest.lstrip()[:1] in (b'"', b"}"):
            return "it seems to hold JSON indented over several lines (pretty-printed): convert it (jq -c .)"
        if first[:2] in (b"{'", b"{ "[:1] + b"'"):
            return "it seems to hold Python dictionaries, not JSON: write them by json.dumps"
        return ""
    return ""


def _of_table(text: bytes) -> str:
    lines = text.split(b"\n")[:6]
    lines = lines[:-1] if len(lines) > 1 else lines
    for separator, name in ((b"\t", "TSV"), (b",", "CSV")):
        counts = {line.count(separator) for line in lines[:1]}
        if len(lines) > 1 and min(line.count(separator) for line in lines) > 0 and counts and not _is_json(lines[0]):
            return f"it seems to be a table in {name}: convert it to JSON lines"
    if lines[0].strip() and not any(_is_json(line) for line in lines if line.strip()):
        return "it seems to be plain text: write each document as a JSON object with a field 'text' on a line"
    return ""


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _fields_of(text: bytes) -> list[str]:
    record = orjson.loads(text)
    return list(record) if isinstance(record, dict) else []
