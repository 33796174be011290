"""A broken record is named for what is wrong with it, where it is; and nothing else is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.discovery import POSITION_BITS, Piece, Shard, ShardFile, discover
from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.records import BadRecord, parse_lines, read_records
from slimpajama.errors import InputChanged, ShardUnreadable
from tests.corpus.shards import jsonl, mixed_piece, put

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


# -------------------------------------------------------------------------------------------------- JSON lines

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


# ------------------------------------------------------------------------------------------- other fields as text

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


# -------------------------------------------------------------------------------------- sources named by records


def named(text: str, **meta: Any) -> dict[str, Any]:
    return {"text": text, "meta": meta}


def test_records_of_a_mixed_shard_belong_to_the_source_they_name(tmp_path: Path) -> None:
    records = [named(name, redpajama_set_name=name) for name in reversed(REDPAJAMA_SET_NAMES.values())]
    found = read(tmp_path, records, "train/chunk1/a.jsonl.zst")
    assert found.texts == list(reversed(REDPAJAMA_SET_NAMES.values()))
    assert found.sources == [6, 5, 4, 3, 2, 1, 0]
    assert [document >> POSITION_BITS for document in found.ids] == found.sources, "one file, so shard = source"


@pytest.mark.parametrize(
    ("record", "named"),
    [
        ({"text": "a"}, "None"),
        ({"text": "a", "meta": None}, "None"),
        ({"text": "a", "meta": "RedPajamaC4"}, "None"),
        ({"text": "a", "meta": {}}, "None"),
        ({"text": "a", "meta": {"redpajama_set_name": "c4"}}, "'c4'"),
        ({"text": "a", "meta": {"redpajama_set_name": ["RedPajamaC4"]}}, "['RedPajamaC4']"),
        ({"text": "a", "meta": {"redpajama_set_name": {}}}, "{}"),
        ({"text": "a", "meta": {"redpajama_set_name": 4}}, "4"),
    ],
)
def test_a_record_of_a_mixed_shard_that_names_no_source_is_bad_and_booked_on_the_first(
    tmp_path: Path, record: Any, named: str
) -> None:
    sound = {"text": "sound", "meta": {"redpajama_set_name": "RedPajamaArXiv"}}
    put(tmp_path, {"a.jsonl": [sound, record, sound]})
    found = Read(mixed_piece(tmp_path / "a.jsonl"))
    assert found.texts == ["sound", "sound"]
    assert found.sources == [ARXIV, 0, ARXIV]
    assert [document >> POSITION_BITS for document in found.ids] == [ARXIV, 0, ARXIV]
    (bad,) = found.bad
    assert bad.reason == f"meta.redpajama_set_name is {named}, none of {SET_NAMES}"
    assert bad.position == len(jsonl([sound]))
    assert bad.first == orjson.dumps(record)


# ----------------------------------------------------------------------------------------------------- Parquet


def not_utf8(kind: pa.DataType = pa.string()) -> pa.Array:  # noqa: B008
    width = "int64" if kind == pa.large_string() else "int32"
    offsets = pa.array([0, 1, 3], width)
    return pa.Array.from_buffers(kind, 2, [None, offsets.buffers()[1], pa.py_buffer(b"a\xff\xfe")])


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
)
def test_strings_of_any_width_are_read_by_row_number(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"n": [1, 2, 3], "text": pa.array(["a", "é", ""], kind)})
    path = put(tmp_path, {"c4/a.parquet": b""}) / "c4" / "a.parquet"
    pq.write_table(table, path)
    found = read(tmp_path, path.read_bytes(), "c4/a.parquet")
    assert (found.texts, found.positions, found.sizes, found.bad) == (["a", "é", ""], [0, 1, 2], [1, 2, 0], [])


def test_rows_are_numbered_across_batches_and_row_groups(tmp_path: Path) -> None:
    texts = [f"row {number}" for number in range(10_000)]
    (tmp_path / "c4").mkdir()
    pq.write_table(pa.table({"text": texts}), tmp_path / "c4" / "a.parquet", row_group_size=3000)
    (piece,) = discover(tmp_path).pieces
    found = Read(piece)
    assert found.texts == texts
    assert found.positions == list(range(10_000))


def test_a_table_of_large_rows_is_read_a_few_at_a_time(tmp_path: Path) -> None:
    texts = [str(number) * (1 << 19) for number in range(10)] * 6
    (tmp_path / "c4").mkdir()
    pq.write_table(pa.table({"text": texts}), tmp_path / "c4" / "a.parquet", use_dictionary=False)
    (piece,) = discover(tmp_path).pieces
    batches = list(read_records(piece, LineReader()))
    assert [text for batch in batches for text in batch.texts.decoded()] == texts
    assert max(batch.sizes.sum() for batch in batches) <= 9 << 20, "of 30 MB"


def test_nulls_and_large_values_are_bad_records(tmp_path: Path) -> None:
    texts = ["a", None, "x" * 1025, "y" * 1024, "é" * 513]
    found = read(tmp_path, [{"text": text} for text in texts], "c4/a.parquet", max_line_bytes=1024)
    assert found.texts == ["a", "y" * 1024]
    assert found.bad == [
        BadRecord(1, "'text' is null", 0, b""),
        BadRecord(2, "too large", 1025, b"x" * 120),
        BadRecord(4, "too large", 1026, "é".encode() * 60),
    ]
    assert found.positions == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_value_that_is_not_utf8_is_a_bad_record(tmp_path: Path, kind: pa.DataType) -> None:
    (tmp_path / "c4").mkdir()
    pq.write_table(pa.table({"text": not_utf8(kind)}), tmp_path / "c4" / "a.parquet")
    (piece,) = discover(tmp_path).pieces
    found = Read(piece)
    assert found.texts == ["a"]
    assert [(bad.position, bad.reason, bad.first) for bad in found.bad] == [(1, "'text' is not UTF-8", b"\xff\xfe")]
    assert [bad.size for bad in found.bad] == [2], "its size is what lies there"


@pytest.mark.parametrize("rows", [0, 1])
def test_a_table_of_few_rows_is_read(tmp_path: Path, rows: int) -> None:
    found = read(tmp_path, [{"text": "a"}] * rows, "c4/a.parquet")
    assert (found.texts, found.bad) == (["a"] * rows, [])


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (pa.table({"content": ["a"], "n": [1]}), "its columns are content, n"),
        (pa.table({"text": [1]}), "'text' is of type int64"),
        (pa.table({"text": [["a"]]}), "'text' is of type list<element: string>"),
        (pa.table({"text": pa.array([b"a"])}), "'text' is of type binary"),
        (pa.table({"text": pa.array([b"a"]).dictionary_encode()}), "'text' is of type "),
        (pa.table([["a"], ["b"]], ["text", "text"]), "its columns are text, text"),
    ],
)
def test_a_table_without_one_column_of_texts_is_refused(tmp_path: Path, table: pa.Table, what: str) -> None:
    (tmp_path / "c4").mkdir()
    pq.write_table(table, tmp_path / "c4" / "a.parquet")
    (piece,) = discover(tmp_path).pieces
    with pytest.raises(ShardUnreadable) as caught:
        Read(piece)
    assert str(caught.value).startswith(f"{piece.file.path} has no string column 'text' ({what}")
    assert str(caught.value).endswith(
        "); set text_field to the column that holds the text, or rename or convert that column"
    )


def parquet_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


SOUND = parquet_bytes(pa.table({"text": [f"text {number}" for number in range(1000)]}))
FLIPPED = SOUND[:60] + bytes(byte ^ 0xFF for byte in SOUND[60:90]) + SOUND[90:]


@pytest.mark.parametrize(
    "stored",
    [b"", b"PAR1", b"not Parquet at all", SOUND[: len(SOUND) // 2], SOUND[:-1], SOUND[-2000:], FLIPPED],
    ids=["no bytes", "magic only", "other bytes", "half", "all but one byte", "end only", "flipped bits"],
)
def test_a_broken_parquet_file_is_refused_by_name(tmp_path: Path, stored: bytes) -> None:
    (piece,) = discover(put(tmp_path, {"c4/a.parquet": stored})).pieces
    with pytest.raises(ShardUnreadable) as caught:
        Read(piece)
    message = str(caught.value)
    assert message.startswith(f"{piece.file.path} is not a readable Parquet file (")
    assert message.endswith("); replace or remove it")
    assert "\n" not in message


def test_a_parquet_file_that_has_gone_is_said_to_have_gone(tmp_path: Path) -> None:
    (piece,) = discover(put(tmp_path, {"c4/a.parquet": SOUND})).pieces
    (tmp_path / "c4" / "a.parquet").unlink()
    with pytest.raises(InputChanged, match=r"a\.parquet has gone since the run began; put it back, or run again"):
        Read(piece)


def test_rows_of_a_mixed_table_belong_to_the_source_they_name(tmp_path: Path) -> None:
    records = [
        named("wiki", redpajama_set_name="RedPajamaWikipedia", url="u"),
        named("nobody", redpajama_set_name=None),
        named("crawl", redpajama_set_name="RedPajamaCommonCrawl"),
        {"text": "none at all", "meta": None},
        named("elsewhere", redpajama_set_name="Other"),
    ]
    put(tmp_path, {"a.parquet": records})
    found = Read(mixed_piece(tmp_path / "a.parquet"))
    assert found.texts == ["wiki", "crawl"]
    crawl = list(REDPAJAMA_SET_NAMES).index("common_crawl")
    assert found.sources == [0, 0, crawl, 0, 0]
    assert [(bad.position, bad.reason) for bad in found.bad] == [
        (1, f"meta.redpajama_set_name is None, none of {SET_NAMES}"),
        (3, f"meta.redpajama_set_name is None, none of {SET_NAMES}"),
        (4, f"meta.redpajama_set_name is 'Other', none of {SET_NAMES}"),
    ]


def test_a_mixed_table_without_meta_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"a.parquet": ["a"]})
    piece = mixed_piece(tmp_path / "a.parquet")
    with pytest.raises(ShardUnreadable) as caught:
        Read(piece)
    assert str(caught.value) == (
        f"{piece.file.path} has no column 'meta' that names the source; list the sources in a config"
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (not_utf8(), ["'a'", "'\ufffd\ufffd'"]),
        (pa.array([["RedPajamaC4"], None]), ["['RedPajamaC4']", "None"]),
        (pa.array([{"a": 1}, {"a": 2}]), ["{'a': 1}", "{'a': 2}"]),
        (pa.array([1, 2]), ["1", "2"]),
    ],
)
def test_a_row_whose_source_is_no_known_name_is_bad(tmp_path: Path, names: pa.Array, shown: list[str]) -> None:
    meta = pa.StructArray.from_arrays([names], names=["redpajama_set_name"])
    stored = parquet_bytes(pa.table({"text": ["a", "b"], "meta": meta}))
    put(tmp_path, {"a.parquet": stored})
    reasons = [bad.reason for bad in Read(mixed_piece(tmp_path / "a.parquet")).bad]
    assert reasons == [f"meta.redpajama_set_name is {one}, none of {SET_NAMES}" for one in shown]


@given(
    st.lists(st.sampled_from(['{"text":"a"}', '{"text":"longer than it was"}', "broken", ""]), max_size=12),
    st.data(),
    st.sampled_from([".jsonl", ".jsonl.zst", ".jsonl.gz"]),
    st.integers(1, 40),
)
def test_reading_from_any_record_on_gives_the_rest_of_the_records(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], data: st.DataObject, ending: str, block: int
) -> None:
    content = "".join(line + "\n" for line in lines).encode()
    (piece,) = discover(put(tmp_path_factory.mktemp("part"), {f"c4/a{ending}": content})).pieces
    reader = LineReader(block_bytes=block)

    def everything(start: int) -> tuple[list[int], list[str], list[int]]:
        batches = list(read_records(piece, reader, start))
        return (
            [one for batch in batches for one in batch.ids.tolist()],
            [text for batch in batches for text in batch.texts.decoded()],
            [bad.position for batch in batches for bad in batch.bad.values()],
        )

    ids, texts, bad = everything(0)
    start = data.draw(st.sampled_from([0, *ids]))
    assert everything(start) == (
        [one for one in ids if one >= start],
        texts[len([one for one in ids if one < start and one not in bad]) :],
        [position for position in bad if position >= start],
    )


@given(st.integers(1, 30), st.integers(1, 7), st.data())
def test_reading_from_any_row_on_gives_the_rest_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("part")
    (folder / "c4").mkdir()
    pq.write_table(
        pa.table({"text": [f"t{row}" for row in range(rows)]}), folder / "c4" / "a.parquet", row_group_size=group
    )
    (piece,) = discover(folder).pieces
    start = data.draw(st.integers(0, rows - 1))
    batches = list(read_records(piece, LineReader(), start))
    assert [one for batch in batches for one in batch.ids.tolist()] == list(range(start, rows))
    assert [text for batch in batches for text in batch.texts.decoded()] == [f"t{row}" for row in range(start, rows)]


# --------------------------------------------------------------------------------------- the two ways of reading

ODD = [
    b"",
    b" \t\r",
    b'{"text": "a"}',
    b'{"id": 7, "meta": {"redpajama_set_name": "RedPajamaC4", "n": {"a": 1}}, "text": "b\\n"}',
    b'{"text": "c", "meta": {"redpajama_set_name": "Other"}, "id": "x"}',
    b'{"meta": {"redpajama_set_name": "R\\u0065dPajamaC4"}, "text": "d", "id": [1]}',
    b'{"meta": {"redpajama_set_name": "RedPajamaC4"}, "text": "e", "id": 1.5, "n": NaN}',
    b'{"text": "f", "text": "g", "meta": {"redpajama_set_name": "RedPajamaBook"}}',
    *(line for line, _ in BROKEN.values()),
]


@given(st.lists(st.sampled_from(ODD), max_size=12), st.booleans(), st.integers(0, 2))
def test_kernels_and_the_slow_way_read_the_same_records(lines: list[bytes], mixed: bool, fields: int) -> None:
    wanted = [TEXT_ALONE, Fields.of("text", "id", (("meta", "n"), ("id",))), Fields.of("meta.redpajama_set_name", None)]
    shards = (Shard(5, 0, 0, "a"), Shard(6, 2, 0, "a"))
    file = ShardFile("a.jsonl", "a.jsonl", ".jsonl", 0, 0)
    names = ("RedPajamaC4", "RedPajamaBook")
    piece = Piece(file, 0, None, 0, 1, shards if mixed else shards[:1], names if mixed else names[:1])
    stops = np.cumsum([len(line) + 1 for line in lines], dtype=np.int64) - 1
    starts = stops - np.array([len(line) for line in lines], dtype=np.int64)
    block = LineBlock(memoryview(bytearray(b"\n".join(lines))), starts, stops, 1 << 30)
    fast, slow = (parse_lines(block, piece, wanted[fields], scan=scan) for scan in (True, False))
    for column in ("ids", "sources", "sizes", "sound"):
        assert np.array_equal(getattr(fast, column), getattr(slow, column))
    assert fast.texts.decoded() == slow.texts.decoded()
    for column in ("bad", "start", "document_ids", "preferred", "repaired"):
        assert getattr(fast, column) == getattr(slow, column)
