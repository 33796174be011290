"""Newlines that the compiled loop finds, beside a slow obvious search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.newlines import newlines_between


@given(st.lists(st.integers(0, 150), max_size=8), st.integers(0, 80), st.integers(0, 80), st.integers(0, 9))
def test_newlines_are_those_of_a_slow_search(lines: list[int], start: int, cut: int, most: int) -> None:
    data = b"\n".join(b"\x0b" * size for size in lines)
    start = min(start, len(data))
    stop = max(start, len(data) - cut)
    expected = [place for place in range(start, stop) if data[place] == 10]
    found = newlines_between(bytearray(data), start, stop, most)
    assert (None if found is None else found.tolist()) == (expected if len(expected) <= most else None)
