"""Indexed datasets, read back as the format says and by nothing of this package."""

from __future__ import annotations

import io
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.mixture.formats.megatron import MegatronFormat, token_dtype, write_bin, write_idx
from slimpajama.mixture.packing import pack
from slimpajama.mixture.stages.build import BuildPayload, BuildStage
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import open_store
from tests.tokens.token_corpus import build, corpus, small_tokenizer

TYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float64, 7: np.float32, 8: np.uint16}


def read_indexed(index: bytes, data: bytes) -> tuple[type, list[list[int]], list[int]]:
    """Token type, sequences and document bounds, by version 1 of Megatron-LM's MMapIndexedDataset."""
    assert index[:9] == b"MMIDIDX\x00\x00"
    (version,) = struct.unpack("<Q", index[9:17])
    (code,) = struct.unpack("<B", index[17:18])
    sequences, bounds = struct.unpack("<QQ", index[18:34])
    assert version == 1
    lengths = struct.unpack(f"<{sequences}i", index[34 : 34 + 4 * sequences])
    begin = 34 + 4 * sequences
    offsets = struct.unpack(f"<{sequences}q", index[begin : begin + 8 * sequences])
    begin += 8 * sequences
    documents = struct.unpack(f"<{bounds}q", index[begin : begin + 8 * bounds])
    assert begin + 8 * bounds == len(index)
    kind = TYPES[code]
    found = [
        np.frombuffer(data, dtype=kind, count=length, offset=offset).tolist()
        for length, offset in zip(lengths, offsets, strict=True)
    ]
    return kind, found, list(documents)


@pytest.mark.parametrize(
    ("vocabulary", "kind"), [(600, np.uint16), (65_499, np.uint16), (65_500, np.int32), (150_000, np.int32)]
)
def test_ids_are_as_wide_as_megatron_reads_them(vocabulary: int, kind: type) -> None:
    assert token_dtype(vocabulary) == kind
    tokens = np.array([[0, 1, vocabulary - 1], [7, 7, 7]], dtype=np.uint32)
    data, index = io.BytesIO(), io.BytesIO()
    write_bin(data, tokens, vocabulary)
    write_idx(index, 2, 3, vocabulary)
    assert read_indexed(index.getvalue(), data.getvalue()) == (kind, tokens.tolist(), [0, 1, 2])
    assert len(data.getvalue()) == 6 * np.dtype(kind).itemsize


@given(st.integers(0, 20), st.integers(1, 30), st.sampled_from([300, 100_000]), st.integers(0, 99))
def test_any_sequences_are_read_back(count: int, length: int, vocabulary: int, seed: int) -> None:
    tokens = np.random.default_rng(seed).integers(0, vocabulary, (count, length), dtype=np.uint32)
    data, index = io.BytesIO(), io.BytesIO()
    write_bin(data, tokens, vocabulary)
    write_idx(index, count, length, vocabulary)
    _, sequences, documents = read_indexed(index.getvalue(), data.getvalue())
    assert sequences == tokens.tolist()
    assert documents == list(range(count + 1))


def test_the_index_by_hand() -> None:
    file = io.BytesIO()
    write_idx(file, 1, 5, 300)
    assert file.getvalue().hex(" ") == (
        "4d 4d 49 44 49 44 58 00 00 01 00 00 00 00 00 00 00 08 01 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 "
        "05 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00"
    )


def test_a_file_of_a_mixture_holds_its_slices(tmp_path: Path) -> None:
    build(tmp_path / "store", corpus(2, (60, 40)), small_tokenizer(tmp_path))
    store = open_store(tmp_path / "store")
    slices = ((3, 20), (0, 6))
    item = BuildPayload(
        store=store.path,
        stem=tmp_path / "train-00000-of-00001",
        split="train",
        scope="local",
        number=0,
        seed=1,
        length=50,
        sources=("s0", "s1"),
        slices=slices,
        format=MegatronFormat(),
    )
    result = BuildStage.run(item)
    assert [file.path for file in result.written] == [str(path) for path in item.output_files]
    data, index = (path.read_bytes() for path in item.output_files)
    assert [file.bytes for file in result.written] == [len(data), len(index)] == [23 * 100, 34 + 23 * 20 + 8]
    _, sequences, _ = read_indexed(index, data)
    expected = [
        row
        for source, (first, last) in zip(item.sources, slices, strict=True)
        for row in pack(store.stream(source, "train", Selection("local"), item.seed), first, last, 50).tokens.tolist()
    ]
    assert Counter(map(tuple, sequences)) == Counter(map(tuple, expected))
    assert sequences != expected
