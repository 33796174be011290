"""Work runs in one process or in many with the same results, and survives a worker's death once."""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from slimpajama import ShardUnreadable, WorkerDied
from slimpajama.engine import Death, Trial
from slimpajama.engine.heartbeat import beat
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


def die_while_answering(task: Task) -> str:
    """The first time, half of the answer is sent."""
    if not task.log.exists():
        task.log.touch()

        def half(self: Connection, answer: Any) -> None:
            os.write(self.fileno(), bytes(answer)[: len(answer) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        Connection._send = half  # type: ignore[attr-defined]
    return task.name


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


def end_without_an_answer(code: int) -> None:
    os._exit(code)


def crash(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


@dataclass(frozen=True)
class Nap:
    """An item that takes ``seconds`` and gives a sign of life every tenth of one, if it is ``alive``."""

    seconds: float
    alive: bool


def sleep(nap: Nap) -> float:
    until = time.monotonic() + nap.seconds
    while time.monotonic() < until:
        time.sleep(0.1)
        if nap.alive:
            beat()
    return nap.seconds


@dataclass(frozen=True)
class Work:
    """An item that leaves a file in ``folder`` when it has begun, and then hangs or ends."""

    name: str
    folder: Path
    hangs: bool = False


def work(item: Work) -> str:
    (item.folder / item.name).touch()
    if item.hangs:
        time.sleep(3600)
    return item.name


class StoppedUntil:
    """A clock that stands still until so many items have begun, then goes on by ``step`` seconds at each look."""

    def __init__(self, folder: Path, begun: int, step: float) -> None:
        self.now = 0.0
        self._folder, self._begun, self._step = folder, begun, step

    def __call__(self) -> float:
        if len(list(self._folder.iterdir())) >= self._begun:
            self.now += self._step
        return self.now


def write_for_ever(path: Path) -> None:
    while True:
        with path.open("a") as file:
            file.write("x")
        time.sleep(0.01)


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
    engine = LocalEngine(1)
    assert list(engine.map(is_loaded, [], str, ["colorsys"])) == []
    assert "colorsys" not in sys.modules
    assert list(engine.map(is_loaded, ["colorsys"], str, ["colorsys"])) == [(0, True)]


def test_the_item_of_a_killed_worker_is_tried_again_and_nothing_is_lost(tmp_path: Path) -> None:
    tasks = [Task(str(number), tmp_path / "log", deaths=number == 2) for number in range(7)]
    with LocalEngine(2) as engine:
        results = sorted(engine.map(perhaps_die, tasks, name_of))
    assert (tmp_path / "log").read_text() == "died\n"
    assert results == [(number, str(number)) for number in range(7)]


def test_the_item_of_a_worker_killed_while_it_answers_is_tried_again(tmp_path: Path) -> None:
    tasks = [Task("x" * 100_000, tmp_path / "log"), Task("other", tmp_path / "log")]
    with LocalEngine(2) as engine:
        results = dict(engine.map(die_while_answering, tasks))
    assert [results[number] for number in range(2)] == ["x" * 100_000, "other"]


def test_an_item_whose_worker_is_killed_twice_stops_the_run_and_is_named(tmp_path: Path) -> None:
    with LocalEngine(2) as engine, pytest.raises(WorkerDied) as death:
        list(engine.map(perhaps_die, [Task("books/book.00001", tmp_path / "log", deaths=9)], name_of))
    assert (tmp_path / "log").read_text() == "died\n" * 2
    assert str(death.value) == (
        "a worker process that handled books/book.00001 was killed by SIGKILL, twice; most likely memory ran out: use "
        "fewer --workers or set a smaller memory; finished work is kept"
    )


def test_the_item_that_kills_is_named_and_not_one_that_ran_beside_it(tmp_path: Path) -> None:
    tasks = [Task(f"innocent {number}", tmp_path / "none", seconds=0.2) for number in range(6)]
    tasks[3] = Task("killer", tmp_path / "log", deaths=9)
    with LocalEngine(2) as engine, pytest.raises(WorkerDied, match="that handled killer was killed by SIGKILL, twice;"):
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


@pytest.mark.parametrize(
    ("function", "item", "fate"),
    [(end_without_an_answer, 3, "ended with exit code 3"), (crash, signal.SIGSEGV, "was killed by SIGSEGV")],
)
def test_a_worker_that_crashes_is_told_from_one_that_memory_killed(function: Any, item: int, fate: str) -> None:
    with LocalEngine(2) as engine, pytest.raises(WorkerDied) as death:
        list(engine.map(function, [item], lambda item: "c4/a"))
    assert str(death.value) == (
        f"a worker process that handled c4/a {fate}, twice; most likely the file is damaged in a way that its reader "
        "does not survive: mend it or leave it out; finished work is kept"
    )


def test_a_worker_that_hangs_is_noticed_and_its_item_named(tmp_path: Path) -> None:
    items = [Work("a", tmp_path), Work("b", tmp_path, hangs=True), Work("c", tmp_path)]
    clock = StoppedUntil(tmp_path, begun=3, step=0.4)
    engine = LocalEngine(2, stalled_after=1, clock=clock, look_seconds=0.02)
    with engine, pytest.raises(WorkerDied) as death:
        list(engine.map(work, items, lambda item: f"c4/{item.name}"))
    assert str(death.value) == (
        "a worker process that handled c4/b showed no sign of life for 1 s, twice; look whether the disk or the "
        "network it reads from still answers, or leave that input out; finished work is kept"
    )


def test_nobody_hangs_while_the_clock_does_not_pass_the_limit(tmp_path: Path) -> None:
    clock = StoppedUntil(tmp_path, begun=0, step=1e-9)
    with LocalEngine(2, stalled_after=1, clock=clock, look_seconds=0.001) as engine:
        assert sorted(engine.map(sleep, [Nap(0.3, alive=False)])) == [(0, 0.3)]


class Retries:
    """Tries hanging items as others, until they do not hang, by a clock that goes on only while one hangs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._deaths = 0
        self._now = 0.0

    def clock(self) -> float:
        if self._deaths < len(list(self._folder.iterdir())) < 4:
            self._now += 0.4
        return self._now

    def other_try(self, item: Work, death: Death) -> Trial[Work]:
        assert death.by_item == ("sign of life" in death.fate)
        self._deaths = death.tries
        name = f"{item.name}{death.tries}"
        return Trial(Work(name, item.folder, hangs=death.tries < 3), stalled_after=0.5)


def test_what_is_tried_after_a_death_can_be_another_item_with_another_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    retries = Retries(tmp_path)
    with LocalEngine(2, stalled_after=1, clock=retries.clock, look_seconds=0.02) as engine:
        items = [Work("a", tmp_path, hangs=True)]
        assert list(engine.map(work, items, lambda item: item.name, retry=retries.other_try)) == [(0, "a123")]
    assert caplog.messages == [
        "a worker process that handled a showed no sign of life for 1 s; it is tried again",
        *["a worker process that handled a showed no sign of life for 0.5 s; it is tried again"] * 2,
    ]


def give_up(item: int, death: Death) -> None:
    assert (item, death) == (signal.SIGSEGV, Death(1, "was killed by SIGSEGV", True, True))


def test_a_stage_may_give_up_at_once() -> None:
    with LocalEngine(2) as engine, pytest.raises(WorkerDied, match=r"handled 11 was killed by SIGSEGV, once; "):
        list(engine.map(crash, [int(signal.SIGSEGV)], retry=give_up))


def test_the_trace_of_an_error_shows_where_in_the_worker_it_was() -> None:
    with LocalEngine(2) as engine, pytest.raises(ShardUnreadable) as error:
        list(engine.map(refuse_seven, [7]))
    assert "in refuse_seven" in str(error.value.__cause__)


def test_leaving_early_ends_what_runs(tmp_path: Path) -> None:
    began = time.monotonic()
    with LocalEngine(2) as engine:
        for _, result in engine.map(sleep, [Nap(0.1, alive=False), Nap(60, alive=True)]):
            assert result == 0.1
            break
    assert time.monotonic() - began < 30


def imported(number: int) -> list[str]:
    import pyarrow as pa

    assert pa.array([number]).to_pylist() == [number]
    return sorted({"pandas", "scipy", "awkward"} & sys.modules.keys())


SCRIPT = """
import pandas  # which a worker runs, too
{ours}
from slimpajama.engine.local import LocalEngine
from tests.engine.test_local import imported
if __name__ == "__main__":
    with LocalEngine(2) as engine:
        print([found for _, found in engine.map(imported, range(4), str, ["slimpajama.dedup.compiled"])])
"""


OURS = "import slimpajama.engine.import_guard as lean; lean.all_ours()"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (SCRIPT.format(ours=""), ["pandas"]),
        (SCRIPT.replace("import pandas", "").format(ours=OURS), []),
    ],
)
def test_workers_of_a_command_do_without_what_nothing_uses_and_those_of_a_script_may_import_what_it_does(
    tmp_path: Path, script: str, found: list[str]
) -> None:
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, tmp_path / "script.py"], check=True, capture_output=True, text=True, env=environment
    )
    for one in ast.literal_eval(result.stdout):
        assert set(found) <= set(one) if found else one == []


EARLY = """
import time
from pathlib import Path
from slimpajama.config.dedup import Config
from slimpajama.engine.choice import EngineChoice
if __name__ == "__main__":
    for workers in (1, 2):
        EngineChoice().start_server(Config(workers=workers), ["loaded_early"])
        began = time.monotonic()
        while not Path("loaded").exists() and time.monotonic() < began + (60 if workers == 2 else 0):
            time.sleep(0.02)
        print(Path("loaded").exists())
    with EngineChoice().opened(Config(workers=2)) as engine:
        print(sorted(engine.map(len, ["a", "bc"])))
"""


def test_the_server_that_workers_are_forked_from_loads_what_they_need_before_there_is_work(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(EARLY)
    (tmp_path / "loaded_early.py").write_text("from pathlib import Path\nPath('loaded').touch(exist_ok=False)\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    output = subprocess.check_output([sys.executable, "script.py"], text=True, env=environment, cwd=tmp_path)
    assert output == "False\nTrue\n[(0, 1), (1, 2)]\n"


def numba_is_there(item: int) -> bool:
    return "numba" in sys.modules


def test_workers_without_kernels_do_without_numba(tmp_path: Path) -> None:
    script = SCRIPT.replace("import pandas", "").format(ours=OURS).replace("imported", "numba_is_there")
    (tmp_path / "script.py").write_text(script.replace('["slimpajama.dedup.compiled"]', "[]"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    output = subprocess.check_output([sys.executable, tmp_path / "script.py"], text=True, env=environment)
    assert ast.literal_eval(output) == [False] * 4


def variable_of(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_know_what_was_set_after_the_first_of_them_started(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["SLIMPAJAMA_TEST_KEY"] * 4
    for value in ("one", "another"):
        monkeypatch.setenv(names[0], value)
        with LocalEngine(2) as engine:
            assert {found for _, found in engine.map(variable_of, names)} == {value}


def run_and_be_killed(path: Path) -> None:
    with LocalEngine(2) as engine:
        list(engine.map(write_for_ever, [path]))


def test_workers_end_with_the_process_that_started_them_however_it_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = multiprocessing.get_context("spawn").Process(target=run_and_be_killed, args=(log,))
    process.start()
    deadline = time.monotonic() + 30
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.join()
    sizes: list[int] = []
    while time.monotonic() < deadline and (len(sizes) < 5 or len(set(sizes[-5:])) > 1):
        time.sleep(0.1)
        sizes.append(log.stat().st_size)
    assert len(set(sizes[-5:])) == 1, "nobody writes any more"
