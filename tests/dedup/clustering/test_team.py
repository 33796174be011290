"""Parts cover everything once, results come in the order of parts, and an error in a part ends the step."""

from __future__ import annotations

import threading

import pytest

from slimpajama.dedup.clustering.team import Team, even_parts


def test_parts_are_even_and_cover_everything() -> None:
    assert even_parts(3, 13, 3) == [(3, 6), (6, 9), (9, 13)]
    assert even_parts(3, 13, 1) == [(3, 13)]
    assert even_parts(3, 13, 0) == [(3, 13)]
    assert even_parts(5, 5, 4) == []


def test_little_work_has_few_parts() -> None:
    with Team(4, fewest=10) as team:
        assert [len(team.parts(0, size)) for size in (0, 1, 19, 20, 39, 1000)] == [0, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_parts(threads: int) -> None:
    with Team(threads) as team:
        assert team.map(lambda part: part * part, range(7)) == [0, 1, 4, 9, 16, 25, 36]


def test_parts_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)
    with Team(3) as team:
        assert sorted(team.map(lambda _: meeting.wait(), range(3))) == [0, 1, 2]


def test_an_error_in_a_part_is_raised() -> None:
    with Team(2) as team, pytest.raises(ZeroDivisionError):
        team.map(lambda part: 1 // part, [1, 0, 2])


def test_a_timed_team_keeps_the_seconds_of_each_part_that_threads_shared() -> None:
    with Team(2, timed=True) as team:
        team.map(lambda part: sum(range(part)), [10, 20, 30])
        team.map(lambda part: part, [1])
    assert [len(step) for step in team.steps] == [3]
    assert all(seconds >= 0 for step in team.steps for seconds in step)
