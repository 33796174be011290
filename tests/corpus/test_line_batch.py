"""Lines in batches: the same lines in the same order, whatever the sizes, and the ends of parts where they were."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.corpus.line_batch import BATCH_BYTES, END_OF_PART, LineBatch, in_batches

LINES = [b"a\n", b"bcd\n", b"ef\n"]
BATCH = LineBatch(b"".join(LINES), np.array([2, 6, 9], dtype=np.int64))


def test_a_batch_gives_its_lines_one_by_one() -> None:
    assert list(BATCH.lines()) == LINES
    assert list(END_OF_PART.lines()) == [b""]
    assert (len(BATCH), len(END_OF_PART)) == (3, 0)


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_some_lines_of_a_batch_are_chosen(which: list[bool]) -> None:
    expected = b"".join(line for line, chosen in zip(LINES, which, strict=True) if chosen)
    assert BATCH.chosen(np.array(which)) == expected


@given(
    st.lists(st.sampled_from([b"", b"a\n", b"b" * (BATCH_BYTES // 3) + b"\n", b"c" * BATCH_BYTES + b"\n"]), max_size=9)
)
def test_single_lines_are_gathered(lines: list[bytes]) -> None:
    batches = list(in_batches(iter(lines)))
    assert [line for batch in batches for line in batch.lines()] == lines
    assert all(len(batch.data) < 3 * BATCH_BYTES for batch in batches)
