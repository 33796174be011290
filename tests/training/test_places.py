"""Position ids, document numbers and lengths, against going through the tokens one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.training.places import cumulative_lengths, document_numbers, position_ids, stretch_begins


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, list[int], list[int] | None]:
    rows, length = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    filled = draw(st.none() | st.lists(st.integers(1, length), min_size=rows, max_size=rows))
    full = filled or [length] * rows
    starts = sorted(
        {
            row * length + draw(st.integers(0, full[row] - 1))
            for row in range(rows)
            for _ in range(draw(st.integers(0, 3)))
        }
    )
    return rows, length, starts, filled


def slowly(
    rows: int, length: int, starts: list[int], filled: list[int] | None
) -> tuple[list[list[int]], list[list[int]]]:
    positions, numbers = [], []
    for row in range(rows):
        position, number = -1, 0
        positions.append([0] * length)
        numbers.append([0] * length)
        for at in range(length):
            begins = row * length + at in starts or (filled is not None and at == filled[row])
            position = 0 if begins or at == 0 else position + 1
            number += begins and at > 0
            positions[row][at], numbers[row][at] = position, number
    return positions, numbers


@given(cases())
def test_positions_and_numbers_are_those_of_the_slow_way(case: tuple[int, int, list[int], list[int] | None]) -> None:
    rows, length, starts, filled = case
    given_filled = None if filled is None else np.array(filled, dtype=np.int64)
    begins = stretch_begins(np.array(starts, dtype=np.int64), given_filled, rows, length)
    positions, numbers = slowly(*case)
    assert position_ids(begins, rows, length).tolist() == positions
    assert document_numbers(begins, rows, length).tolist() == numbers
    flat = [position for row in positions for position in row]
    assert cumulative_lengths(begins, rows, length).tolist() == [
        *(at for at, position in enumerate(flat) if position == 0),
        rows * length,
    ]


def test_places_by_hand() -> None:
    # Two sequences of five: the first begins inside a document, the second is padded from its fourth place on.
    begins = stretch_begins(np.array([2, 5, 7]), np.array([5, 3]), 2, 5)
    assert begins.tolist() == [0, 2, 5, 7, 8]
    assert position_ids(begins, 2, 5).tolist() == [[0, 1, 0, 1, 2], [0, 1, 0, 0, 1]]
    assert document_numbers(begins, 2, 5).tolist() == [[0, 0, 1, 1, 1], [0, 0, 1, 2, 2]]
    assert cumulative_lengths(begins, 2, 5).tolist() == [0, 2, 5, 7, 8, 10]
