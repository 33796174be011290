"""The engine on a real Ray cluster of two nodes: the same results as on one machine, also when a node is lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slimpajama import ConfigError, ShardUnreadable, WorkerDied
from slimpajama.config.dedup import Config
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.ray import IN_FLIGHT_PER_CPU, RETRIES, RayEngine
from tests.ray.cluster import MARKS, STORE_BYTES

ray = pytest.importorskip("ray")

pytestmark = MARKS


@pytest.fixture
def engine(ray_cluster: Any) -> Iterator[RayEngine]:
    with RayEngine(ray_cluster.address) as engine:
        yield engine


def square(item: int) -> int:
    return item * item


def node_of(seconds: float) -> str:
    time.sleep(seconds)
    return str(ray.get_runtime_context().get_node_id())


def is_loaded(module: str) -> bool:
    return module in sys.modules


def refuse_seven(item: int) -> int:
    if item == 7:
        raise ShardUnreadable("seven is corrupt; replace it")
    return item


def large(item: int) -> bytes:
    time.sleep(0.05)
    return bytes([item]) * (1 << 20)


@dataclass(frozen=True)
class Task:
    """An item whose worker is killed as long as fewer than ``deaths`` lines are in ``log``."""

    name: str
    log: Path
    deaths: int = 0


def perhaps_die(task: Task) -> str:
    died = task.log.read_text().count("\n") if task.log.exists() else 0
    if died < task.deaths:
        with task.log.open("a") as log:
            log.write("died\n")
        os.kill(os.getpid(), signal.SIGKILL)
    return task.name


def name_of(task: Task) -> str:
    return task.name


def test_results_are_those_of_one_machine(engine: RayEngine) -> None:
    assert engine.workers == 2
    with LocalEngine(1) as local:
        assert sorted(engine.map(square, range(20))) == sorted(local.map(square, range(20)))
    assert list(engine.map(square, [])) == []


def test_items_run_on_all_nodes_and_preloaded_modules_are_there(engine: RayEngine) -> None:
    assert len({node for _, node in engine.map(node_of, [0.3] * 8)}) == 2
    assert list(engine.map(is_loaded, ["colorsys"], str, ["colorsys"])) == [(0, True)]


def test_an_error_of_an_item_arrives_as_itself(engine: RayEngine) -> None:
    with pytest.raises(ShardUnreadable, match="seven is corrupt; replace it") as caught:
        list(engine.map(refuse_seven, range(20)))
    assert "refuse_seven" in str(caught.value.__cause__)


def test_a_worker_that_is_killed_has_its_item_tried_again(engine: RayEngine, tmp_path: Path) -> None:
    tasks = [Task("a", tmp_path / "a"), Task("b", tmp_path / "b", deaths=1), Task("c", tmp_path / "c")]
    assert sorted(engine.map(perhaps_die, tasks, name_of)) == [(0, "a"), (1, "b"), (2, "c")]
    assert (tmp_path / "b").read_text() == "died\n"


def hang_once(path: Path) -> str:
    if not path.exists():
        path.touch()
        time.sleep(3600)
    return "got on"


def test_a_worker_that_hangs_ends_itself_and_its_item_is_tried_again(ray_cluster: Any, tmp_path: Path) -> None:
    with RayEngine(ray_cluster.address, stalled_after=1.0) as engine:
        assert list(engine.map(hang_once, [tmp_path / "hung"])) == [(0, "got on")]


def test_an_item_that_kills_each_worker_is_named(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(WorkerDied, match=f"the work on shard-x was lost {RETRIES + 1} times"):
        list(engine.map(perhaps_die, [Task("shard-x", tmp_path / "x", deaths=99)], name_of))


def test_no_more_than_two_items_for_each_cpu_are_in_flight(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    wait = ray.wait

    def counted(references: list[Any], **options: Any) -> Any:
        nonlocal most
        most = max(most, len(references))
        return wait(references, **options)

    monkeypatch.setattr(ray, "wait", counted)
    assert len(list(engine.map(square, range(30)))) == 30
    assert most == IN_FLIGHT_PER_CPU * engine.workers


def test_an_interrupt_leaves_at_once(engine: RayEngine) -> None:
    results = engine.map(node_of, [0.0, *[600.0] * 5])
    next(results)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 300, "the others would take ten minutes"


def test_the_handler_of_sigterm_is_left_as_it_was(ray_cluster: Any) -> None:
    def handler(number: int, frame: Any) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with RayEngine(ray_cluster.address):
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_losing_a_node_loses_no_item(ray_cluster: Any) -> None:
    node = ray_cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
    ray_cluster.wait_for_nodes()
    with RayEngine(ray_cluster.address) as engine:
        assert engine.workers == 4
        threading.Timer(0.7, lambda: ray_cluster.remove_node(node, allow_graceful=False)).start()
        found = dict(engine.map(large, range(80)))
    assert {index: content[:1] for index, content in found.items()} == {index: bytes([index]) for index in range(80)}


def test_an_item_that_no_node_can_hold_is_refused(ray_cluster: Any) -> None:
    refusal = r"an item may take 1073742336 MiB, but no node of the Ray cluster has more"
    with pytest.raises(ConfigError, match=refusal):
        RayEngine(ray_cluster.address, memory=1 << 50).__enter__()
    assert not ray.is_initialized()
    with RayEngine(ray_cluster.address, memory=1 << 20) as engine:
        assert list(engine.map(square, [3], memory=1 << 30)) == [(0, 9)]
        with pytest.raises(ConfigError, match=refusal):
            next(engine.map(square, [3], memory=1 << 50))


def test_the_engine_is_chosen_by_name(ray_cluster: Any) -> None:
    with EngineChoice("ray", ray_cluster.address).opened(Config(memory=2 << 30, workers=1)) as engine:
        assert isinstance(engine, RayEngine)
        assert list(engine.map(square, [3])) == [(0, 9)]
    with EngineChoice().opened(Config(workers=3)) as engine:
        assert isinstance(engine, LocalEngine)
        assert engine.workers == 3
    with pytest.raises(ConfigError, match=r"--ray-address x:1 is for --engine ray; give both or neither"):
        EngineChoice("local", "x:1").opened(Config())


def test_an_address_where_no_cluster_is_says_so() -> None:
    with pytest.raises(ConfigError, match=r"cannot reach a Ray cluster at 127\.0\.0\.1:1: "):
        RayEngine("127.0.0.1:1").__enter__()
