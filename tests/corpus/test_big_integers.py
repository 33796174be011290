"""Integers that take more than 64 bits stay what they are as ids; ``test_shard_writer.py`` has them in the output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.fields import Fields
from slimpajama.corpus.lines import LineBlock
from slimpajama.corpus.pieces import Piece, Shard, ShardFile
from slimpajama.corpus.records import parse_lines
from slimpajama.corpus.strict_json import exact_integer

PIECE = Piece(ShardFile("a.jsonl", "a.jsonl", ".jsonl", 0, 0), 0, None, 0, 1, (Shard(0, 0, 0, "a"),), ("RedPajamaC4",))


def block_of(line: bytes) -> LineBlock:
    starts, stops = np.zeros(1, dtype=np.int64), np.array([len(line)], dtype=np.int64)
    return LineBlock(memoryview(bytearray(line)), starts, stops, 1 << 30)


@given(st.integers(-(1 << 200), 1 << 200), st.sampled_from([b"", b', "n": NaN', b', "n": "\\ud800"', b', "id2": [1]']))
def test_an_integer_of_any_size_is_an_id_as_it_is_written(number: int, beside: bytes) -> None:
    line = b'{"text": "a", "meta": {"id": %d}%b}' % (number, beside)
    for scan in (True, False):
        batch = parse_lines(block_of(line), PIECE, Fields.of("text", "meta.id"), scan=scan)
        assert batch.document_ids == [str(number)]


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        (b"18446744073709551616", 1.8446744073709552e19, 1 << 64),
        (b" -9223372036854775809", -9.223372036854775808e18, -(1 << 63) - 1),
        (b"1e30", 1e30, 1e30),
        (b"12345678901234567890.5", 12345678901234567890.5, 12345678901234567890.5),
        (b"7", 7, 7),
        (b"7.0", 7.0, 7.0),
    ],
)
def test_only_integers_are_exact(written: bytes, value: float, expected: float) -> None:
    found = exact_integer(value, written)
    assert (found, type(found)) == (expected, type(expected))
