"""Pieces read as one, for tests of what is read; and lines that are broken, each with what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.discovery import POSITION_BITS, Piece, discover
from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import BadRecord, read_records
from tests.corpus.shards import put

ARXIV = list(REDPAJAMA_SET_NAMES).index("arxiv")
SET_NAMES = ", ".join(REDPAJAMA_SET_NAMES.values())


class Read:
    """All batches of a piece, as one."""

    def __init__(self, piece: Piece, fields: Fields = TEXT_ALONE, **reader: Any) -> None:
        self.ids: list[int] = []
        self.sources: list[int] = []
        self.sizes: list[int] = []
        self.texts: list[str] = []
        self.bad: list[BadRecord] = []
        self.document_ids: list[str | None] = []
        self.repaired: list[int] = []
        for batch in read_records(piece, LineReader(**reader), fields=fields):
            self.repaired += [len(self.ids) + index for index in batch.repaired]
            self.document_ids += batch.document_ids
            assert len(batch.ids) == len(batch.sources) == len(batch.sizes) == len(batch.texts) + len(batch.bad)
            for index, bad in batch.bad.items():
                assert batch.ids[index] & ((1 << POSITION_BITS) - 1) == bad.position
                assert batch.sizes[index] == bad.size
            self.ids += batch.ids.tolist()
            self.sources += batch.sources.tolist()
            self.sizes += batch.sizes.tolist()
            self.texts += batch.texts.decoded()
            self.bad += batch.bad.values()

    @property
    def positions(self) -> list[int]:
        return [document & ((1 << POSITION_BITS) - 1) for document in self.ids]


def read(folder: Path, content: Any, name: str = "c4/a.jsonl", **reader: Any) -> Read:
    (piece,) = discover(put(folder, {name: content})).pieces
    return Read(piece, **reader)


DEEP = b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"

BROKEN = {
    "nothing JSON": (b"this is not JSON", "not JSON ("),
    "cut off": (b'{"text": "cut o', "not JSON ("),
    "two values": (b'{"text": "a"}{"text": "b"}', "not JSON ("),
    "raw control character": (b'{"text": "a\x01b"}', "not JSON ("),
    "single quotes": (b"{'text': 'a'}", "not JSON ("),
    "byte order mark inside": (b' \xef\xbb\xbf{"text": "a"}', "not JSON ("),
    "UTF-16": ('{"text": "a"}'.encode("utf-16-le"), "not JSON ("),
    "nested too deep": (DEEP, "not JSON ("),
    "an array": (b'["text"]', "not an object but an array"),
    "a string": (b'"text"', "not an object but a string"),
    "a number": (b"12", "not an object but a number"),
    "a fraction": (b"1.5", "not an object but a number"),
    "a boolean": (b"true", "not an object but a boolean"),
    "null": (b"null", "not an object but null"),
    "no text": (b'{"content": "a"}', "no field 'text'"),
    "Text": (b'{"Text": "a"}', "no field 'text'"),
    "empty object": (b"{}", "no field 'text'"),
    "text null": (b'{"text": null}', "'text' is null, not a string"),
    "text number": (b'{"text": 3}', "'text' is a number, not a string"),
    "text boolean": (b'{"text": false}', "'text' is a boolean, not a string"),
    "text array": (b'{"text": ["a"]}', "'text' is an array, not a string"),
    "text object": (b'{"text": {"a": "b"}}', "'text' is an object, not a string"),
    "text twice, the last no string": (b'{"text": "a", "text": 1}', "'text' is a number, not a string"),
    "invalid UTF-8 in the text": (b'{"text": "\xff"}', "not UTF-8 (byte 10 of the record)"),
    "invalid UTF-8 in meta": (b'{"text": "a", "meta": {"url": "\xc3("}}', "not UTF-8 (byte 31 of the record)"),
    "invalid UTF-8 in a key": (b'{"text": "a", "\xed\xa0\x80": 1}', "not UTF-8 (byte 15 of the record)"),
    "overlong UTF-8": (b'{"text": "\xc0\x80"}', "not UTF-8 (byte 10 of the record)"),
    "lone surrogate": (b'{"text": "a\\ud800b"}', "'text' holds a lone surrogate"),
    "surrogates in the wrong order": (b'{"text": "\\udc00\\ud800"}', "'text' holds a lone surrogate"),
    "lone surrogate in the text and NaN beside it": (b'{"n": NaN, "text": "\\udfff"}', "'text' holds a lone surrogate"),
    "NaN as the text": (b'{"text": NaN}', "'text' is null, not a string"),
    "NaN and no object": (b"[NaN]", "not an object but an array"),
    "NaN and another fault": (b'{"text": "a", "score": NaN, }', "not JSON ("),
}


def named(text: str, **meta: Any) -> dict[str, Any]:
    return {"text": text, "meta": meta}
