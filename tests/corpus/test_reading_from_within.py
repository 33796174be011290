"""Reading from any record on, and by kernels or without, gives the same records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.discovery import Piece, Shard, ShardFile, discover
from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.lines import LineBlock, LineReader
from slimpajama.corpus.records import parse_lines, read_records
from tests.corpus.reading import BROKEN
from tests.corpus.shards import put


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
