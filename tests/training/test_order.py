"""Each step holds the same sequences, whoever reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.errors import ConfigError
from slimpajama.training.order import Reader


def steps(sequences: int, first: int, batch_size: int, ranks: int, workers: int) -> list[list[int]]:
    """The sequences of each step, rank by rank, where each rank's loader asks its workers in turn."""
    found: list[list[int]] = []
    readers = [
        [Reader(sequences, first, batch_size, rank, ranks, worker, workers) for worker in range(workers)]
        for rank in range(ranks)
    ]
    for step in range(readers[0][0].steps):
        found.append([])
        for rank in readers:
            reader = rank[step % workers]
            assert step // workers < reader.batches
            begin = reader.begin(step // workers)
            found[-1] += range(begin, begin + batch_size)
    assert all(
        reader.batches == len(range(reader.worker, reader.steps, workers)) for rank in readers for reader in rank
    )
    return found


@given(st.integers(0, 60), st.integers(0, 10), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_a_step_holds_the_next_sequences(sequences: int, first: int, size: int, ranks: int, workers: int) -> None:
    first = min(first, sequences)
    found = [sequence for step in steps(sequences, first, size, ranks, workers) for sequence in step]
    whole = (sequences - first) // (size * ranks) * size * ranks
    assert found == list(range(first, first + whole))


def test_two_ranks_of_two_are_four_ranks_of_one() -> None:
    assert steps(21, 1, 2, 2, 3) == steps(21, 1, 1, 4, 1) == steps(21, 1, 4, 1, 2)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((10, 0, 0, 0, 1), "batch_size is 0"),
        ((10, 0, 1, 2, 2), "rank is 2 of 2 ranks"),
        ((10, 11, 1, 0, 1), "after 11 sequences, and there are 10"),
    ],
)
def test_what_cannot_be_is_refused(values: tuple[int, int, int, int, int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Reader(*values)
