"""What is written to a rows file is what is read back, whatever the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slimpajama.dedup.files.sketches import BAD, BATCH_ROWS, SHORT, SOUND, Rows, RowsWriter, read_columns, row_batches
from slimpajama.storage.atomic import atomic_file

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
    )


def written(path: Path, *parts: Rows, batch_rows: int = BATCH_ROWS) -> Path:
    with atomic_file(path) as file, RowsWriter(file, 3, batch_rows=batch_rows) as writer:
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
    assert in_lsh.tolist() == [number % 3 == SOUND and number >= 13 for number in range(32)]
    assert first.tolist() == [100 * number for number in range(32)]
    assert last.tolist() == [100 * number + 2 for number in range(32)]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.arrow", some_rows(5, 2))
    (batch,) = row_batches(path, ["band_1", "id"])
    assert [column.tolist() for column in batch] == [[501, 601], [5, 6]]


def test_only_sound_documents_with_a_shingle_take_part_in_lsh(tmp_path: Path) -> None:
    rows = some_rows(0, 6)
    rows.status[:] = [SOUND, SOUND, SHORT, BAD, SOUND, SHORT]
    rows.cleaned[:] = [12, 13, 13, 0, 5000, 0]
    (in_lsh,) = read_columns(written(tmp_path / "rows.arrow", rows), ["in_lsh"])
    assert in_lsh.tolist() == [False, True, False, False, True, False]


def test_a_shard_without_records_leaves_a_file_without_rows(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.arrow")
    assert list(row_batches(path, COLUMNS)) == []
    columns = read_columns(path, COLUMNS)
    assert [column.size for column in columns] == [0] * len(COLUMNS)
    assert [column.dtype.name for column in columns[:3]] == ["uint64", "uint8", "uint8"]
