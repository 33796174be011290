"""Documents sort by the keys of ``prefer`` in their order, then by id, and those of an earlier run before all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.source_ids import SourceRanges

BOOKS, WEB = 0, 2
SOURCES = SourceRanges.of(["books", "web"], [BOOKS, WEB])


def document(shard: int, position: int) -> int:
    return (shard << 40) + position


def uint64(values: object) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


IDS = uint64([document(0, 5), document(1, 7), document(2, 0), document(3, 9)])


@pytest.mark.parametrize(
    ("prefer", "ranks", "order"),
    [
        (("source",), [[], [], [], []], [0, 1, 2, 3]),
        (("longest",), [[4], [3], [2], [3]], [2, 1, 3, 0]),
        (("source", "longest"), [[4], [3], [2], [1]], [1, 0, 3, 2]),
        (("longest", "source"), [[4], [3], [4], [3]], [1, 3, 0, 2]),
        (("meta.score", "source", "longest"), [[1, 9], [1, 8], [1, 7], [0, 10]], [3, 1, 0, 2]),
        (("meta.score", "longest"), [[1, 9], [1, 8], [1, 7], [0, 10]], [3, 2, 1, 0]),
    ],
)
def test_keys_count_in_their_order_then_the_id(
    prefer: tuple[str, ...], ranks: list[list[int]], order: list[int]
) -> None:
    precedence = Precedence(prefer, SOURCES)
    assert precedence.order(IDS, uint64(ranks)).tolist() == order
    assert precedence.rank_columns == [f"rank_{number}" for number in range(len(ranks[0]))]


def test_the_order_of_ids_needs_no_other_column() -> None:
    columns = Precedence(("source",), SOURCES).columns(IDS, np.empty((4, 0), dtype=np.uint64))
    assert len(columns) == 1
    assert columns[0] is IDS


def test_documents_of_an_earlier_run_come_first_by_id_whatever_their_ranks() -> None:
    sources = SourceRanges.of(["books", "web"], [4, 6], [("web", 0), ("books", 2)])
    precedence = Precedence(("longest", "source"), sources, first_shard=4)
    ids = uint64([document(6, 0), document(4, 0), document(2, 0), document(0, 0), document(5, 0)])
    ranks = uint64([[1], [2], [9], [10], [0]])
    assert precedence.order(ids, ranks).tolist() == [3, 2, 4, 0, 1]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=30, unique=True))
def test_the_order_is_that_of_tuples(rows: list[tuple[int, int, int]]) -> None:
    ids = uint64([document(shard, position) for shard, position, _ in rows])
    ranks = uint64([rank for _, _, rank in rows]).reshape(-1, 1)
    order = Precedence(("source", "meta.score"), SOURCES).order(ids, ranks)
    expected = sorted(range(len(rows)), key=lambda at: (rows[at][0] >= WEB, rows[at][2], rows[at][:2]))
    assert [rows[at] for at in order] == [rows[at] for at in expected]
