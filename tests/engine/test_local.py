"""Work runs in one process or in many with the same results, and survives a worker's death once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slimpajama import ShardUnreadable, WorkerDied
from slimpajama.engine.local import LocalEngine


def square(item: int) -> int:
    return item * item


def process_of(item: int) -> int:
    return os.getpid()


def is_loaded(module: str) -> bool:
    return module in sys.modules


def refuse_seven(item: int) -> int:
    if item == 7:
        raise ShardUnreadable("seven is corrupt; replace it")
    return item


@dataclass(frozen=True)
class Task:
    """An item whose worker is killed as long as fewer than ``deaths`` lines are in ``log``, after a while."""

    name: str
    log: Path
    deaths: int = 0
    seconds: float = 0.0


def perhaps_die(task: Task) -> str:
    time.sleep(task.seconds)
    died = task.log.read_text().count("\n") if task.log.exists() else 0
    if died < task.deaths:
        with task.log.open("a") as log:
            log.write("died\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return task.name


def name_of(task: Task) -> str:
    return task.name


@pytest.fixture(scope="module")
def two_workers() -> Iterator[LocalEngine]:
    with LocalEngine(2) as engine:
        yield engine


@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_two_workers_give_the_results_of_one(two_workers: LocalEngine, count: int) -> None:
    items = list(range(100, 100 + count))
    expected = [(place, item * item) for place, item in enumerate(items)]
    with LocalEngine(1) as one:
        assert list(one.map(square, items)) == expected
    assert sorted(two_workers.map(square, items)) == expected


def test_one_worker_is_this_very_process_and_two_are_not(two_workers: LocalEngine) -> None:
    with LocalEngine(1) as one:
        assert {result for _, result in one.map(process_of, range(3))} == {os.getpid()}
    assert os.getpid() not in {result for _, result in two_workers.map(process_of, range(8))}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_an_item_arrives_as_itself(workers: int) -> None:
    with LocalEngine(workers) as engine, pytest.raises(ShardUnreadable, match=r"^seven is corrupt; replace it$"):
        list(engine.map(refuse_seven, range(20)))


def test_an_engine_works_on_after_an_error() -> None:
    with LocalEngine(2) as engine:
        with pytest.raises(ShardUnreadable):
            list(engine.map(refuse_seven, [7]))
        assert sorted(engine.map(square, [2, 3])) == [(0, 4), (1, 9)]


def test_one_worker_takes_items_only_as_results_are_taken() -> None:
    results = LocalEngine(1).map(refuse_seven, [1, 7])
    assert next(results) == (0, 1)
    with pytest.raises(ShardUnreadable):
        next(results)


def test_what_is_preloaded_is_there_before_the_first_item_and_only_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    engine = LocalEngine(1, preload=["colorsys"])
    assert list(engine.map(is_loaded, [])) == []
    assert "colorsys" not in sys.modules
    assert list(engine.map(is_loaded, ["colorsys"])) == [(0, True)]


def test_the_item_of_a_killed_worker_is_tried_again_and_nothing_is_lost(tmp_path: Path) -> None:
    tasks = [Task(str(number), tmp_path / "log", deaths=number == 2) for number in range(7)]
    with LocalEngine(2) as engine:
        results = sorted(engine.map(perhaps_die, tasks, name_of))
    assert (tmp_path / "log").read_text() == "died\n"
    assert results == [(number, str(number)) for number in range(7)]


def test_an_item_whose_worker_is_killed_twice_stops_the_run_and_is_named(tmp_path: Path) -> None:
    with LocalEngine(2) as engine, pytest.raises(WorkerDied) as death:
        list(engine.map(perhaps_die, [Task("books/book.00001", tmp_path / "log", deaths=9)], name_of))
    assert (tmp_path / "log").read_text() == "died\n" * 2
    assert str(death.value) == (
        "a worker process was killed twice while handling books/book.00001; most likely memory ran out: use fewer "
        "--workers or set a smaller memory"
    )


def test_the_item_that_kills_is_named_and_not_one_that_ran_beside_it(tmp_path: Path) -> None:
    tasks = [Task(f"innocent {number}", tmp_path / "none", seconds=0.2) for number in range(6)]
    tasks[3] = Task("killer", tmp_path / "log", deaths=9)
    with LocalEngine(2) as engine, pytest.raises(WorkerDied, match="killed twice while handling killer;"):
        list(engine.map(perhaps_die, tasks, name_of))


def test_two_items_that_each_kill_once_do_not_stop_the_run(tmp_path: Path) -> None:
    tasks = [Task(f"{number}", tmp_path / "none", seconds=0.1) for number in range(6)]
    tasks[1] = Task("1", tmp_path / "first", deaths=1)
    tasks[2] = Task("2", tmp_path / "second", deaths=1, seconds=0.3)
    with LocalEngine(2) as engine:
        assert sorted(engine.map(perhaps_die, tasks, name_of)) == [(number, str(number)) for number in range(6)]


def test_a_worker_killed_while_a_result_is_looked_at_is_replaced_too(tmp_path: Path) -> None:
    tasks = [Task(str(number), tmp_path / "none") for number in range(12)]
    tasks[1] = Task("1", tmp_path / "log", deaths=1, seconds=0.2)
    results = []
    with LocalEngine(2) as engine:
        for result in engine.map(perhaps_die, tasks, name_of):
            results.append(result)
            deadline = time.monotonic() + 10
            while not (tmp_path / "log").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            if len(results) == 1:
                time.sleep(0.3)  # long enough for the pool to notice
    assert sorted(results) == [(number, str(number)) for number in range(12)]
