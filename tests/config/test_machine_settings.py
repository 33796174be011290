"""Workers and memory: what they are unless they are given, and what is refused."""

from __future__ import annotations

import os

import pytest

from slimpajama import Config, ConfigError, load_config
from slimpajama.engine.resources import (
    OTHERS_BYTES,
    WORKER_BYTES,
    memory_bytes,
    task_bytes,
    whole_machine_bytes,
    worker_count,
)


def test_workers_are_the_cores_this_process_may_use_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert worker_count(Config()) == 3
    assert worker_count(Config(workers=7)) == 7


@pytest.mark.parametrize(
    ("memory", "workers", "item"),
    [("256MiB", 1, 64), ("1GiB", 1, 256), ("2GiB", 2, 320), ("4GiB", 4, 416), ("1878MiB", 2, 235), ("1877MiB", 1, 981)],
)
def test_no_more_workers_than_the_memory_is_enough_for(
    monkeypatch: pytest.MonkeyPatch, memory: str, workers: int, item: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    config = load_config(memory=memory)
    assert (worker_count(config), task_bytes(config) >> 20) == (workers, item)


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
@pytest.mark.parametrize("memory", ["2GiB", "8GiB", "64GiB", "300GiB"])
def test_processes_and_all_their_items_are_within_the_memory(memory: str, cores: int) -> None:
    config = load_config(memory=memory)
    workers = worker_count(config, cores)
    assert workers <= cores
    assert OTHERS_BYTES + workers * (WORKER_BYTES + task_bytes(config, cores)) <= memory_bytes(config)
    assert OTHERS_BYTES + workers * WORKER_BYTES + whole_machine_bytes(config, cores) <= memory_bytes(config)


def test_more_workers_than_the_memory_is_enough_for_are_refused_with_both_remedies() -> None:
    with pytest.raises(ConfigError) as caught:
        worker_count(load_config(memory="1GiB", workers=2))
    assert str(caught.value) == (
        "2 workers need 1408 MiB, but three quarters of the setting memory (1024 MiB) are 768 MiB: raise memory, or "
        "set at most 1 worker(s)"
    )


def test_memory_is_half_of_the_machines_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine:
        total = 32 << 30

    monkeypatch.setattr("psutil.virtual_memory", Machine)
    assert memory_bytes(Config()) == 16 << 30
    assert memory_bytes(load_config(memory="3GB")) == 3 * 10**9
