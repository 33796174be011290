"""Files of one array, against numpy's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.errors import InputError
from slimpajama.storage.atomic import file_record
from slimpajama.storage.npy import MappedArray, map_array, read_ranges, write_array
from slimpajama.tokens.run_files import copy_documents, gathered

RECORD = np.dtype([("a", "<u8"), ("b", "?")])


@pytest.mark.parametrize("dtype", [np.dtype("<u2"), np.dtype("<u4"), RECORD])
@pytest.mark.parametrize("sizes", [(), (0,), (5,), (3, 0, 4)])
def test_numpy_reads_what_was_written_in_parts(tmp_path: Path, dtype: np.dtype, sizes: tuple[int, ...]) -> None:
    parts = [np.frombuffer(bytes(range(1, 1 + size * dtype.itemsize)), dtype=dtype) for size in sizes]
    whole = np.concatenate([np.zeros(0, dtype=dtype), *parts])
    path = tmp_path / "array.npy"
    record = write_array(path, dtype, whole.size, parts)
    assert record == file_record(path)
    mapped = MappedArray(path)
    for array in (np.load(path), map_array(path), mapped.array):
        assert array.dtype == dtype
        assert array.tobytes() == whole.tobytes()
    mapped.release()
    assert mapped.array.tobytes() == whole.tobytes()
    np.save(tmp_path / "numpy.npy", whole)
    assert path.read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_a_damaged_header_is_a_value_error_or_another_array(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    write_array(path, RECORD, 2, [np.zeros(2, dtype=RECORD)])
    sound, refused = path.read_bytes(), 0
    for bit in range(8 * (len(sound) - 2 * RECORD.itemsize)):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            assert map_array(path).dtype.hasobject is False
        except ValueError:
            refused += 1
    assert refused > 300


def test_a_range_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    write_array(path, np.dtype("<u4"), 10, [np.arange(10, dtype="<u4")])

    def read(*ranges: tuple[int, int]) -> list[int]:
        starts, lengths = (np.array(column, dtype=np.int64) for column in zip(*ranges, strict=True))
        out = np.zeros(lengths.sum(), dtype="<u4")
        read_ranges(path, starts, lengths, out)
        return [int(value) for value in out]

    assert read((3, 4)) == [3, 4, 5, 6]
    assert read((1, 2), (3, 1), (5, 0), (8, 2), (0, 1)) == [1, 2, 3, 8, 9, 0]
    read_ranges(path, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype="<u4"))
    with pytest.raises(InputError, match=r"array\.npy is shorter"):
        read((7, 4))


@given(st.lists(st.integers(0, 9)), st.randoms(use_true_random=False), st.integers(1, 20))
def test_documents_gathered_in_any_order(lengths: list[int], rng: object, chunk: int) -> None:
    sizes = np.array(lengths, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    tokens = np.arange(sizes.sum(), dtype=np.uint16)
    order = list(range(len(lengths)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    expected = [token for index in order for token in range(starts[index], starts[index] + sizes[index])]
    parts = list(gathered(tokens, starts[order], sizes[order], chunk))
    assert [token for part in parts for token in part.tolist()] == expected
    out = np.zeros(len(expected), dtype=np.uint32)
    copy_documents(tokens, starts[order], sizes[order], out)
    assert out.tolist() == expected
