"""Any table that can be read is written as JSON without loss, and decoded a few rows at a time."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimpajama.corpus.arrow_json import RowWriter, unwritable
from slimpajama.corpus.discovery import Piece, discover
from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.parquet import kept_rows, text_rows
from slimpajama.corpus.records import read_records
from slimpajama.errors import ShardUnreadable
from tests.corpus.shards import put


def piece_of(folder: Path, table: pa.Table, **options: Any) -> Piece:
    (folder / "c4").mkdir(parents=True)
    pq.write_table(table, folder / "c4" / "a.parquet", **options)
    (piece,) = discover(folder).pieces
    return piece


def written(array: pa.Array) -> tuple[list[Any], int]:
    """The array's values as JSON holds them, and how many had to be replaced."""
    batch = pa.RecordBatch.from_arrays([array], names=["x"])
    rows = list(RowWriter(batch.schema).rows(batch))
    return [orjson.loads(orjson.dumps(row))["x"] for row, _ in rows], sum(count for _, count in rows)


# ------------------------------------------------------------------------------------------------ worked examples

NOT_UTF8 = pa.Array.from_buffers(
    pa.string(), 2, [None, pa.array([0, 1, 3], "int32").buffers()[1], pa.py_buffer(b"a\xff\xfe")]
)
MINUTE = 60 * 10**9

EXAMPLES: dict[str, tuple[pa.Array, list[Any], int]] = {
    "float": (pa.array([1.5, math.nan, math.inf, -math.inf, None]), [1.5, None, None, None, None], 3),
    "float16": (pa.array([np.float16(0.5), np.float16("nan")], pa.float16()), [0.5, None], 1),
    "binary": (pa.array([b"\x00\xff", None]), [base64.b64encode(b"\x00\xff").decode(), None], 0),
    "binary of one width": (pa.array([b"ab"], pa.binary(2)), ["YWI="], 0),
    "decimal": (pa.array([decimal.Decimal("1.50"), None]), ["1.50", None], 0),
    "date": (
        pa.array([0, 19_464, None, 3_000_000, -800_000], pa.date32()),
        ["1970-01-01", "2023-04-17", None, "10183-09-21", "-221-09-04"],
        0,
    ),
    "date64": (pa.array([86_400_000], pa.date64()), ["1970-01-02"], 0),
    "seconds": (pa.array([1, None], pa.timestamp("s")), ["1970-01-01T00:00:01", None], 0),
    "milliseconds": (pa.array([1], pa.timestamp("ms")), ["1970-01-01T00:00:00.001"], 0),
    "a year beyond 9999": (pa.array([9 * 10**17], pa.timestamp("us")), ["30489-11-11T16:00:00.000000"], 0),
    "nanoseconds": (pa.array([1620168242776767123], pa.timestamp("ns")), ["2021-05-04T22:44:02.776767123"], 0),
    "a time zone": (pa.array([0], pa.timestamp("s", "Europe/Zurich")), ["1970-01-01T00:00:00+00:00"], 0),
    "no moment at all": (pa.array([-(2**63), None], pa.timestamp("s")), [None, None], 1),
    "time": (pa.array([MINUTE + 1, None], pa.time64("ns")), ["00:01:00.000000001", None], 0),
    "25 hours": (pa.array([25 * 3600], pa.int32()).view(pa.time32("s")), [None], 1),
    "duration": (pa.array([1234567891, -1, None], pa.duration("ns")), ["PT1.234567891S", "-PT0.000000001S", None], 0),
    "duration in seconds": (pa.array([90], pa.duration("s")), ["PT90S"], 0),
    "map": (
        pa.array([[("a", 1), ("b", None)], None, []], pa.map_("string", "int8")),
        [{"a": 1, "b": None}, None, {}],
        0,
    ),
    "map with a key twice": (pa.array([[("a", 1), ("a", 2)]], pa.map_("string", "int8")), [[["a", 1], ["a", 2]]], 0),
    "map of numbers": (pa.array([[(1, "x")]], pa.map_("int8", "string")), [[[1, "x"]]], 0),
    "dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"], 0),
    "list": (pa.array([[1.0, math.nan], None, []]), [[1.0, None], None, []], 1),
    "list of one width": (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None], 0),
    "struct": (pa.array([{"a": {"b": b"x"}}, None]), [{"a": {"b": "eA=="}}, None], 0),
    "struct without fields": (pa.array([{}, None], pa.struct([])), [{}, None], 0),
    "not UTF-8": (NOT_UTF8, ["a", "\ufffd\ufffd"], 1),
    "null": (pa.nulls(2), [None, None], 0),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1], 0),
    "uuid": (pa.array([uuid.UUID(int=1).bytes, None], pa.uuid()), ["00000000-0000-0000-0000-000000000001", None], 0),
    "extension": (pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"])), ["{}"], 0),
    "views": (pa.array(["a", None], pa.string_view()), ["a", None], 0),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_value_is_written_as_its_type_says(name: str) -> None:
    array, expected, replaced = EXAMPLES[name]
    assert written(array) == (expected, replaced)
    assert written(pa.concat_arrays([array.slice(0, 1), array]).slice(1)) == (expected, replaced), "also within a slice"


def test_what_is_replaced_is_counted_by_row() -> None:
    table = pa.table({"a": [1.0, math.nan, math.inf], "b": [[math.nan], [1.0], [math.nan, math.nan]]})
    (batch,) = table.to_batches()
    assert [count for _, count in RowWriter(batch.schema).rows(batch)] == [1, 1, 3]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.field("x", pa.month_day_nano_interval()), "column 'x' is of type month_day_nano_interval"),
        (pa.field("x", pa.list_(pa.dense_union([pa.field("a", "int8")]))), "column 'x' is of type dense_union"),
        (pa.field("x", pa.struct([("a", "int8"), ("a", "int8")])), "column 'x' has a field 'a' that occurs 2 times"),
    ],
)
def test_a_type_that_cannot_be_written_is_named_with_its_column(column: pa.Field, message: str) -> None:
    assert unwritable(pa.schema([("text", "string"), column])).startswith(message)


def test_a_table_that_could_not_be_written_is_refused_when_it_is_first_read(tmp_path: Path) -> None:
    piece = piece_of(tmp_path, pa.table([["a"], [1], [2]], ["text", "n", "n"]))
    with pytest.raises(ShardUnreadable) as caught:
        next(read_records(piece, LineReader()))
    assert str(caught.value) == (
        f"{piece.file.path} cannot be written as JSON: column 'n' occurs 2 times; rename, convert or drop that column"
    )


# ---------------------------------------------------------------------------------------------------- properties

LEAVES = [
    pa.int8(),
    pa.uint64(),
    pa.bool_(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.large_string(),
    pa.binary(),
    pa.decimal128(12, 3),
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("ms", "UTC"),
    pa.time32("ms"),
    pa.duration("us"),
]
TYPES = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(pa.list_, inner),
        st.builds(pa.large_list, inner),
        st.builds(
            lambda kinds: pa.struct([(f"f{n}", kind) for n, kind in enumerate(kinds)]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda kind: pa.map_(pa.string(), kind), inner),
        st.builds(lambda kind: pa.map_(pa.int8(), kind), inner),
    ),
    max_leaves=4,
)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    is_a = pa.types
    inner: st.SearchStrategy[Any]
    if is_a.is_struct(kind):
        inner = st.fixed_dictionaries(
            {kind.field(n).name: values_of(kind.field(n).type) for n in range(kind.num_fields)}
        )
    elif is_a.is_map(kind):
        inner = st.lists(
            st.tuples(values_of(kind.key_type).filter(lambda key: key is not None), values_of(kind.item_type)),
            max_size=3,
        )
    elif is_a.is_list(kind) or is_a.is_large_list(kind):
        inner = st.lists(values_of(kind.value_type), max_size=3)
    elif is_a.is_boolean(kind):
        inner = st.booleans()
    elif is_a.is_integer(kind):
        inner = st.integers(0, 127)
    elif is_a.is_floating(kind):
        inner = st.floats(width=16)
    elif is_a.is_decimal(kind):
        inner = st.decimals(-999, 999, places=3)
    elif is_a.is_date(kind):
        inner = st.dates()
    elif is_a.is_timestamp(kind):
        zone = datetime.timezone.utc if kind.tz else None
        step = 1000 if kind.unit == "ms" else 1
        inner = st.datetimes().map(lambda one: one.replace(microsecond=one.microsecond // step * step, tzinfo=zone))
    elif is_a.is_time(kind):
        inner = st.times().map(lambda one: one.replace(microsecond=0))
    elif is_a.is_duration(kind):
        inner = st.timedeltas(datetime.timedelta(-9), datetime.timedelta(9))
    else:
        inner = (
            st.binary(max_size=4)
            if is_a.is_binary(kind)
            else st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
        )
    return st.one_of(st.none(), inner)


def slow(value: Any, kind: pa.DataType) -> Any:
    """The same value as JSON holds it, one at a time."""
    is_a = pa.types
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if is_a.is_struct(kind):
        return {kind.field(n).name: slow(value[kind.field(n).name], kind.field(n).type) for n in range(kind.num_fields)}
    if is_a.is_map(kind):
        pairs = [[slow(key, kind.key_type), slow(one, kind.item_type)] for key, one in value]
        keys = {key for key, _ in pairs}
        return dict(pairs) if is_a.is_string(kind.key_type) and len(keys) == len(pairs) else pairs
    if isinstance(value, list):
        return [slow(one, kind.value_type) for one in value]
    if isinstance(value, datetime.timedelta):
        size = abs(value) // datetime.timedelta(microseconds=1)
        return f"{'-' if value < datetime.timedelta(0) else ''}PT{size // 10**6}.{size % 10**6:06d}S"
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds" if kind.unit == "ms" else "microseconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return (
        base64.b64encode(value).decode()
        if isinstance(value, bytes)
        else str(value)
        if isinstance(value, decimal.Decimal)
        else value
    )


@settings(max_examples=60)
@given(st.data())
def test_any_table_is_written_as_a_slow_twin_writes_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kinds = data.draw(st.lists(TYPES, min_size=1, max_size=3))
    rows = data.draw(st.integers(1, 6))
    columns = {
        f"c{n}": pa.array([data.draw(values_of(kind)) for _ in range(rows)], kind) for n, kind in enumerate(kinds)
    }
    table = pa.table({"text": [f"t{row}" for row in range(rows)], **columns})
    piece = piece_of(tmp_path_factory.mktemp("any"), table)
    found = [orjson.loads(orjson.dumps(row.record)) for row in kept_rows(piece, TEXT_ALONE, np.arange(rows))]
    twin = [
        {"text": f"t{row}"} | {name: slow(column[row].as_py(), column.type) for name, column in columns.items()}
        for row in range(rows)
    ]
    assert found == json.loads(json.dumps(twin))


# -------------------------------------------------------------------------------------------------------- memory


def test_a_file_that_stores_each_value_once_is_decoded_a_few_rows_at_a_time(tmp_path: Path) -> None:
    book = "a b " * 250_000
    for number, column in enumerate((pa.array([book] * 100), pa.array([book] * 100).dictionary_encode())):
        piece = piece_of(tmp_path / str(number), pa.table({"text": column, "meta": [{"copy": "x"}] * 100}))
        assert piece.file.size < 100_000
        sizes = [int(rows.texts.sizes.sum()) for rows in text_rows(piece, TEXT_ALONE)]
        assert sum(sizes) == 100 * len(book)
        assert max(sizes) <= 9 << 20
        kept = list(kept_rows(piece, TEXT_ALONE, np.array([0, 50, 99])))
        assert [row.text == book for row in kept] == [True] * 3


@given(st.lists(st.sampled_from([1, 1000, 1 << 19]), max_size=150), st.integers(1, 70), st.data())
@settings(max_examples=10, deadline=None)
def test_rows_of_changing_size_are_all_read(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, data: st.DataObject
) -> None:
    texts = [chr(ord("a") + number % 26) * size for number, size in enumerate(sizes)]
    table = pa.table({"text": pa.array(texts, pa.string())})
    piece = piece_of(tmp_path_factory.mktemp("sizes"), table, row_group_size=group)
    start = data.draw(st.integers(0, len(texts)))
    assert [text for rows in text_rows(piece, TEXT_ALONE, start) for text in rows.texts.decoded()] == texts[start:]


def test_a_text_within_a_struct_is_read_alone(tmp_path: Path) -> None:
    records = [{"document": {"text": "a", "id": 1}}, {"document": None}, {"document": {"text": None, "id": 2}}]
    (piece,) = discover(put(tmp_path, {"c4/a.parquet": records})).pieces
    rows = list(text_rows(piece, Fields.of("document.text", None)))
    assert [text for one in rows for text in one.texts.decoded()] == ["a", "", ""]
    assert [null for one in rows for null in one.null.tolist()] == [False, True, True]
