"""A broken record is named for what is wrong with it, where it is; and nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import Piece, discover
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.records import BadRecord, read_records
from slimpajama.errors import ShardUnreadable
from tests.corpus.reading import ARXIV, BROKEN, SET_NAMES, Read, read
from tests.corpus.shards import jsonl, mixed_piece, put


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_is_named_with_its_offset_and_beginning_and_its_neighbours_are_read(
    kind: str, ending: bytes, tmp_path: Path
) -> None:
    line, reason = BROKEN[kind]
    before, after = b'{"text": "before"}', b'{"text": "after"}'
    found = read(tmp_path, before + ending + line + ending + after)
    assert found.texts == ["before", "after"]
    (bad,) = found.bad
    assert bad.reason.startswith(reason)
    assert bad.position == len(before + ending)
    stored = line + ending.rstrip(b"\n")
    assert bad.size == len(stored)
    assert bad.first == stored[:120]
    assert found.positions == [0, bad.position, bad.position + len(line + ending)]
    assert found.sizes[1] == bad.size


@given(st.lists(st.sampled_from(["sound", "", " ", *BROKEN]), max_size=12), st.integers(1, 100))
def test_any_mixture_of_broken_and_sound_lines_keeps_every_sound_text(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], block: int
) -> None:
    lines = [
        b'{"text": "%d"}' % number if kind == "sound" else kind.encode() if not kind.strip() else BROKEN[kind][0]
        for number, kind in enumerate(kinds)
    ]
    content = b"\n".join(lines)
    found = read(tmp_path_factory.mktemp("mix"), content, block_bytes=block)
    assert found.texts == [str(number) for number, kind in enumerate(kinds) if kind == "sound"]
    expected, offset = [], 0
    for number, (line, kind) in enumerate(zip(lines, kinds, strict=True), start=1):
        if kind.strip():
            # NULs behind the last line are padding, also where they are the end of a line of UTF-16.
            expected.append((offset, len(line.rstrip(b"\0") if number == len(lines) else line)))
        offset += len(line) + 1
    assert list(zip(found.positions, found.sizes, strict=True)) == expected
    assert [bad.position for bad in found.bad] == [
        position for (position, _), kind in zip(expected, filter(str.strip, kinds), strict=True) if kind != "sound"
    ]


@pytest.mark.parametrize("blank", [b"", b" ", b"\t", b"\r", b" \r", b" " * 5000])
def test_blank_lines_are_no_records(tmp_path: Path, blank: bytes) -> None:
    found = read(tmp_path, blank + b'\n{"text": "a"}\n' + blank + b"\n" + blank)
    assert (found.texts, found.bad, found.positions) == (["a"], [], [len(blank) + 1])


def test_lines_of_one_byte_are_blank_or_broken(tmp_path: Path) -> None:
    found = read(tmp_path, b"\n\r\n \n\t\nx\n{\n\n" + b'{"text": "a"}')
    assert found.texts == ["a"]
    assert [bad.position for bad in found.bad] == [7, 9]


def test_the_last_of_two_texts_wins(tmp_path: Path) -> None:
    found = read(tmp_path, b'{"text": "first", "text": "last"}\n{"text": 1, "te\\u0078t": "escaped"}')
    assert found.texts == ["last", "escaped"]
    assert found.bad == []


UNLIKE_JSON = [
    b'{"text": "a", "score": NaN}',
    b'{"text": "a", "score": -Infinity, "meta": [Infinity, "Infinity"]}',
    b'{"text": "a", "meta": {"b": "\\udfff", "\\ud800": 1}}',
    b'{"text": "a", "n": [1e999, -1e999, 1' + b"0" * 400 + b"]}",
    b'{"text": "first", "text": "a", "n": NaN}',
    b'{"text": "\\ud800", "text": "a"}',
]


@pytest.mark.parametrize("line", UNLIKE_JSON)
def test_a_fault_in_another_field_does_not_cost_the_document(tmp_path: Path, line: bytes) -> None:
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": b'{"text": "before"}\n' + line + b'\n{"text": "after"}'})).pieces
    found = Read(piece)
    assert found.texts == ["before", "a", "after"]
    assert (found.bad, found.repaired) == ([], [1])
    assert found.sizes[1] == len(line)


def test_a_repaired_record_of_a_mixed_shard_belongs_to_the_source_it_names(tmp_path: Path) -> None:
    lines = b'{"text": "a", "meta": {"redpajama_set_name": "%s", "n": NaN}}\n'
    put(tmp_path, {"a.jsonl": lines % b"RedPajamaArXiv" + lines % b"Other"})
    found = Read(mixed_piece(tmp_path / "a.jsonl"))
    assert (found.texts, found.sources) == (["a"], [ARXIV, 0])
    assert [bad.reason for bad in found.bad] == [f"meta.redpajama_set_name is 'Other', none of {SET_NAMES}"]


def test_a_record_without_the_text_names_the_fields_it_has_and_the_setting(tmp_path: Path) -> None:
    found = read(tmp_path, [{"id": 1, "raw_content": "a"}, {}])
    assert [bad.reason for bad in found.bad] == [
        "no field 'text' but 'id', 'raw_content'; the setting text_field names the text",
        "no field 'text'",
    ]


NESTED: list[dict[str, Any]] = [
    {"document": {"text": "one", "id": 7}},
    {"document": {"text": "two", "id": "b"}, "text": "not this"},
    {"document": {"text": "three", "id": None}},
    {"document": {"text": "four"}},
    {"document": {"text": "five", "id": 1.5}},
]


@pytest.mark.parametrize("name", ["c4/a.jsonl", "c4/a.parquet"])
def test_the_text_and_the_id_may_be_anywhere(tmp_path: Path, name: str) -> None:
    records = [{"document": {"text": None, "id": None}, "text": None} | record for record in NESTED]
    if name.endswith("parquet"):
        records = [
            {"document": {"text": one["document"]["text"], "id": str(number)}} for number, one in enumerate(NESTED)
        ]
    (piece,) = discover(put(tmp_path, {name: records})).pieces
    batch = Read(piece, Fields.of("document.text", "document.id"))
    assert batch.texts == ["one", "two", "three", "four", "five"]
    assert batch.document_ids == (["7", "b", None, None, "1.5"] if name.endswith("l") else ["0", "1", "2", "3", "4"])


def test_ids_cover_broken_and_repaired_records_too(tmp_path: Path) -> None:
    content = b'{"text": "a", "id": 1}\n{"id": 2}\nno JSON\n{"text": "b", "id": true}\n{"text": "c", "id": 5, "n": NaN}'
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": content})).pieces
    batch = Read(piece, Fields.of("text", "id"))
    assert batch.document_ids == ["1", None, None, None, "5"]
    assert len(batch.ids) == 5


def test_a_record_that_lacks_the_text_chosen_is_bad(tmp_path: Path) -> None:
    lines = b'{"text": "a"}\n{"document": 1}\n{"document": {"text": 1}}\n{"document": ["text"]}'
    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": lines})).pieces
    batch = Read(piece, Fields.of("document.text", None))
    assert [bad.reason.partition(" but")[0] for bad in batch.bad] == [
        "no field 'document.text'",
        "no field 'document.text'",
        "'document.text' is a number, not a string",
        "no field 'document.text'",
    ]


def test_odd_but_sound_texts_come_as_they_are(tmp_path: Path) -> None:
    texts = [
        "",
        "\0",
        "a\0b\x7f\x85\u2028",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        "e\u0301",
    ]
    assert read(tmp_path, jsonl({"text": text} for text in texts)).texts == texts
    escaped = b"\n".join(json.dumps({"text": text}).encode() for text in texts)
    assert b"\\u0000" in escaped
    assert b"\\ud83d\\ude00" in escaped
    assert read(tmp_path, escaped).texts == texts


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6), st.booleans(), st.integers(1, 64))
def test_any_texts_come_back_whether_escaped_or_not(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], escaped: bool, block: int
) -> None:
    lines = [json.dumps({"n": 1, "text": text, "meta": {"text": 1}}, ensure_ascii=escaped) for text in texts]
    found = read(tmp_path_factory.mktemp("texts"), "\n".join(lines).encode(), block_bytes=block)
    assert found.texts == texts
    assert found.sizes == [len(line.encode()) for line in lines]


@pytest.mark.parametrize("filler", [b"x", b" "])
def test_a_record_that_is_too_large_is_bad_even_if_it_begins_with_blanks(tmp_path: Path, filler: bytes) -> None:
    large = filler * 2000 + b'{"text": "large"}'
    found = read(tmp_path, b'{"text": "a"}\n' + large + b'\n{"text": "b"}\n', max_line_bytes=1024)
    assert found.texts == ["a", "b"]
    assert found.bad == [BadRecord(14, "too large", len(large), filler * 120)]
    assert found.positions == [0, 14, 14 + len(large) + 1]


def test_a_large_record_whose_beginning_is_whole_json_is_still_too_large(tmp_path: Path) -> None:
    large = b'{"text": "a"}' + b" " * 2000
    found = read(tmp_path, large, max_line_bytes=1024, block_bytes=64)
    assert (found.texts, [bad.reason for bad in found.bad]) == ([], ["too large"])


@pytest.mark.parametrize(("offset", "named"), [((1 << 40) - 15, True), ((1 << 40) - 14, False)])
def test_a_record_beyond_what_ids_can_name_is_refused_by_name(tmp_path: Path, offset: int, named: bool) -> None:
    line = b'{"text": "a"}\n'

    class FarOn(LineReader):
        def blocks(self, piece: Piece, start: int = 0) -> Iterator[LineBlock]:
            yield LineBlock(memoryview(line * 2), np.array([0, 14]), np.array([13, 27]), offset)

    (piece,) = discover(put(tmp_path, {"c4/a.jsonl": line})).pieces
    if named:
        (batch,) = read_records(piece, FarOn())
        assert [one & ((1 << 40) - 1) for one in batch.ids.tolist()] == [offset, (1 << 40) - 1]
        return
    with pytest.raises(ShardUnreadable) as caught:
        list(read_records(piece, FarOn()))
    assert str(caught.value) == (
        f"{tmp_path}/c4/a.jsonl holds more than 1,099,511,627,776 bytes, which ids cannot name; split it"
    )
