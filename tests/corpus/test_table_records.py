"""Rows of Parquet files are records like others, read by their number."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import BadRecord, read_records
from slimpajama.errors import InputChanged, ShardUnreadable
from tests.corpus.reading import SET_NAMES, Read, named, read
from tests.corpus.shards import mixed_piece, put


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
