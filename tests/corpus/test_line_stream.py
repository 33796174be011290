"""Lines that are made while they are read: the same bytes as a file would give, however they are asked for."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from slimpajama.corpus.line_stream import LineStream

CHUNKS = [b"ab\n", b"", b"cdefgh\n", b"i\n"]


def chunks(asked: list[int]) -> Generator[bytes, None, None]:
    for number, chunk in enumerate(CHUNKS):
        asked.append(number)
        yield chunk


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_targets_are_filled_until_the_chunks_end(size: int) -> None:
    stream, found = LineStream(chunks([])), []
    while True:
        target = bytearray(size)
        read = stream.read_into(memoryview(target))
        found.append(bytes(target[:read]))
        if read < size:
            break
    assert b"".join(found) == b"ab\ncdefgh\ni\n"
    assert stream.read_into(memoryview(bytearray(size))) == 0
    assert not stream.broke_off


def test_a_closed_stream_asks_for_no_more() -> None:
    asked: list[int] = []
    stream = LineStream(chunks(asked))
    assert stream.read_into(memoryview(bytearray(2))) == 2
    stream.close()
    assert asked == [0]
