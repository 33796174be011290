"""What kept documents stand for, as the JSON of their records."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from slimpajama.dedup.counted_duplicates import COUNT_COLUMNS, CountedDuplicates
from slimpajama.dedup.verdicts import SCHEMA

NAMES = ("c4", "books")
Row = tuple[int | None, int | None, int | None, list[str] | None]

ROWS: list[Row] = [
    (1, 1, 1, ["c4"]),
    (1, 1, 1, ["books"]),
    (3, 2, 1, ["c4", "books"]),
    (None, 1, None, None),
    (None, 70_000, None, None),
    (1, None, 1, ["books"]),
    (3, 2, 1, ["c4", "books"]),
]
SOURCES = [0, 1, 0, 1, 1, 1, 0]


def added(counting: CountedDuplicates, rows: list[Row], sources: list[int]) -> None:
    schema = pa.schema([SCHEMA.field(name) for name in COUNT_COLUMNS])
    columns: list[Any] = list(zip(*rows, strict=True)) or [[]] * 4
    batch = pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema
    )
    counting.add(batch, np.array(sources, dtype=np.uint16))


def test_each_document_has_what_its_row_says_and_equal_ones_share_it() -> None:
    counting = CountedDuplicates(NAMES)
    added(counting, ROWS[:4], SOURCES[:4])
    added(counting, [], [])
    added(counting, ROWS[4:], SOURCES[4:])
    counts = counting.counts()
    found = [orjson.loads(counts.table[number]) for number in counts.numbers.tolist()]
    assert [tuple(one.values()) for one in found] == ROWS
    assert {tuple(one) for one in found} == {("global", "local", "exact", "sources")}
    assert len(counts.table) == 6


def test_no_documents_have_no_counts() -> None:
    assert CountedDuplicates(NAMES).counts().numbers.size == 0
