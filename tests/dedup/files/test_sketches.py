"""What is written to a rows file is what is read back, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from slimpajama.dedup.files.sketches import (
    BAD,
    BATCH_ROWS,
    SHORT,
    SOUND,
    Rows,
    RowShape,
    RowsWriter,
    join_rows,
    read_columns,
    row_batches,
)
from slimpajama.storage.atomic import atomic_file

PLAIN = RowShape(bands=3)
COLUMNS = ["id", "source", "status", "bytes", "cleaned_chars", "rewritten", "in_lsh", "band_0", "band_2"]


def some_rows(first: int, count: int) -> Rows:
    numbers = np.arange(first, first + count, dtype=np.uint64)
    return Rows(
        ids=numbers,
        sources=(numbers % 3).astype(np.uint8),
        status=(numbers % 3).astype(np.uint8),
        bytes=numbers.astype(np.int64) * 10,
        cleaned=numbers.astype(np.int64),
        rewritten=numbers % 2 == 1,
        keys=numbers[:, np.newaxis] * np.uint64(100) + np.arange(3, dtype=np.uint64),
        hashes=numbers[:, np.newaxis] * np.uint64(1000) + np.arange(1, 3, dtype=np.uint64),
        minima=(numbers[:, np.newaxis] + np.arange(6, dtype=np.uint64)).astype(np.uint8),
        ranks=numbers[:, np.newaxis] + np.array([1 << 63, 7], dtype=np.uint64),
        document_ids=pa.array([f"d{number}" for number in numbers]),
    )


def written(path: Path, *parts: Rows, batch_rows: int = BATCH_ROWS, shape: RowShape = PLAIN) -> Path:
    with atomic_file(path) as file, RowsWriter(file, shape, batch_rows=batch_rows) as writer:
        for part in parts:
            writer.append(part)
    return path


def test_rows_are_read_back_in_order_across_batches(tmp_path: Path) -> None:
    parts = [some_rows(0, 4), some_rows(4, 25), some_rows(29, 0), some_rows(29, 3)]
    path = written(tmp_path / "rows.arrow", *parts, batch_rows=10)
    assert [batch[0].size for batch in row_batches(path, ["id"])] == [29, 3]
    ids, sources, status, sizes, cleaned, rewritten, in_lsh, first, last = read_columns(path, COLUMNS)
    assert ids.tolist() == list(range(32))
    assert sources.tolist() == status.tolist() == [number % 3 for number in range(32)]
    assert sizes.tolist() == [10 * number for number in range(32)]
    assert cleaned.tolist() == list(range(32))
    assert rewritten.tolist() == [number % 2 == 1 for number in range(32)]
    assert in_lsh.tolist() == [number % 3 == SOUND for number in range(32)]
    assert first.tolist() == [100 * number for number in range(32)]
    assert last.tolist() == [100 * number + 2 for number in range(32)]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.arrow", some_rows(5, 2))
    (batch,) = row_batches(path, ["band_1", "id"])
    assert [column.tolist() for column in batch] == [[501, 601], [5, 6]]


def test_only_sound_documents_with_keys_take_part_in_lsh(tmp_path: Path) -> None:
    rows = some_rows(0, 6)
    rows.status[:] = [SOUND, SOUND, SHORT, BAD, SOUND, SHORT]
    rows.keys[:] = [[0, 0, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [5, 6, 7], [0, 0, 0]]
    (in_lsh,) = read_columns(written(tmp_path / "rows.arrow", rows), ["in_lsh"])
    assert in_lsh.tolist() == [False, True, False, False, True, False]


def test_only_sound_documents_have_a_hash(tmp_path: Path) -> None:
    rows = some_rows(0, 4)
    rows.status[:] = [SOUND, SHORT, BAD, SOUND]
    low, high = read_columns(written(tmp_path / "rows.arrow", rows), ["hash_low", "hash_high"])
    assert (low.tolist(), high.tolist()) == ([1, 0, 0, 3001], [2, 0, 0, 3002])


def test_minima_ranks_and_document_ids_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    shape = RowShape(bands=3, minima=6, ranks=2, document_ids=True)
    one = written(tmp_path / "one.arrow", some_rows(0, 4), some_rows(4, 9), batch_rows=6, shape=shape)
    two = written(tmp_path / "two.arrow", some_rows(13, 2), shape=shape)
    both = tmp_path / "both.arrow"
    with atomic_file(both) as file:
        join_rows([one, two], file, shape)
    minima, first, second, band = read_columns(both, ["minima", "rank_0", "rank_1", "band_2"])
    assert minima.dtype == np.uint8
    assert minima.tolist() == [[number + place for place in range(6)] for number in range(15)]
    assert first.tolist() == [number + (1 << 63) for number in range(15)]
    assert second.tolist() == [number + 7 for number in range(15)]
    assert band.tolist() == [100 * number + 2 for number in range(15)]
    ids = [value for (batch,) in row_batches(both, ["document_id"]) for value in batch.to_pylist()]
    assert ids == [f"d{number}" for number in range(15)]


def test_minima_of_no_rows_keep_their_width(tmp_path: Path) -> None:
    (minima,) = read_columns(written(tmp_path / "rows.arrow", shape=RowShape(3, minima=6)), ["minima"])
    assert (minima.shape, minima.dtype) == ((0, 6), np.dtype(np.uint8))


def test_a_shard_without_records_leaves_a_file_without_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.arrow")
    assert list(row_batches(path, COLUMNS)) == []
    columns = read_columns(path, COLUMNS)
    assert [column.size for column in columns] == [0] * len(COLUMNS)
    assert [column.dtype.name for column in columns[:3]] == ["uint64", "uint8", "uint8"]
