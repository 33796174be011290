"""Columns of chosen documents come from whichever rows file has them, in the order asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import InputChanged
from slimpajama.dedup.files.row_lookup import gather
from slimpajama.storage.atomic import write_json

A, B = 0, 1 << 40
MINIMA = 5


def rows_file(path: Path, ids: list[int], batch: int) -> None:
    """Each row's values can be told from its id."""
    array = np.array(ids, dtype=np.uint64)
    minima = (array[:, None] + np.arange(MINIMA, dtype=np.uint64)).astype(np.uint8)
    table = pa.record_batch(
        {
            "id": array,
            "bytes": (array % np.uint64(1000)).astype(np.int64),
            "hash_low": array ^ np.uint64(7),
            "odd": (array % np.uint64(2)).astype(np.bool_),
            "minima": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(MINIMA), array.size, [None, pa.py_buffer(minima.tobytes())]
            ),
        }
    )
    with pa.ipc.new_file(str(path), table.schema) as writer:
        for begin in range(0, len(ids), batch):
            writer.write_batch(table.slice(begin, batch))


def rows_list(folder: Path, files: list[list[int]], batch: int = 1 << 20) -> Path:
    (folder / "rows").mkdir()
    for number, ids in enumerate(files):
        rows_file(folder / "rows" / f"{number}.arrow", ids, batch)
    write_json(folder / "rows.json", [f"rows/{number}.arrow" for number in range(len(files))])
    return folder / "rows.json"


def ids_of(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_documents_of_several_files_come_in_the_order_of_their_ids(tmp_path: Path, batch: int) -> None:
    listed = rows_list(tmp_path, [[B + 1, B + 2, B + 3], [A + 1, A + 4, A + 9]], batch)
    wanted = ids_of([A + 4, A + 9, B + 2])
    sizes, odd, minima = gather(listed, wanted, ["bytes", "odd", "minima"])
    assert sizes.tolist() == [4, 9, (B + 2) % 1000]
    assert odd.tolist() == [False, True, False]
    assert minima.dtype == np.uint8
    assert minima.tolist() == [[(one + step) % 256 for step in range(MINIMA)] for one in wanted.tolist()]


def test_ids_of_a_file_of_several_sources_need_not_ascend(tmp_path: Path) -> None:
    listed = rows_list(tmp_path, [[B + 1, A + 2, B + 3, A + 4]])
    (found,) = gather(listed, ids_of([A + 2, B + 1, B + 3]), ["hash_low"])
    assert found.tolist() == [(A + 2) ^ 7, (B + 1) ^ 7, (B + 3) ^ 7]


def test_no_documents_have_columns_of_the_same_kinds(tmp_path: Path) -> None:
    low, minima = gather(rows_list(tmp_path, [[1, 2]]), ids_of([]), ["hash_low", "minima"])
    assert (low.dtype, low.shape) == (np.dtype(np.uint64), (0,))
    assert (minima.dtype, minima.shape) == (np.dtype(np.uint8), (0, MINIMA))


def test_a_document_that_no_file_holds_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputChanged, match=r"^no file that .*rows\.json lists holds the document with the id 3; run"):
        gather(rows_list(tmp_path, [[1, 2], [4]]), ids_of([2, 3, 4]), ["bytes"])


@given(st.data())
def test_any_choice_from_any_files_is_what_a_dictionary_finds(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    every = data.draw(st.lists(st.integers(0, 50), min_size=1, unique=True))
    cut = data.draw(st.integers(0, len(every)))
    chosen = sorted(data.draw(st.sets(st.sampled_from(every))))
    listed = rows_list(tmp_path_factory.mktemp("rows"), [every[:cut], every[cut:]], data.draw(st.integers(1, 9)))
    sizes, low = gather(listed, ids_of(chosen), ["bytes", "hash_low"])
    assert sizes.tolist() == chosen
    assert low.tolist() == [one ^ 7 for one in chosen]
