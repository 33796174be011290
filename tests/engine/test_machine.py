"""What a container allows is respected, and memory that is used is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from slimpajama.engine.machine import PeakMemory, available_memory, processes_below, processors

TOTAL = psutil.virtual_memory().total
CORES = len(os.sched_getaffinity(0))


def group(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.mark.parametrize(
    ("membership", "files", "memory"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, TOTAL),
        ("0::/a/b\n", {"a/b/memory.max": f"{1 << 30}\n"}, 1 << 30),
        ("0::/a/b\n", {"a/b/memory.max": f"{1 << 31}\n", "a/memory.max": f"{1 << 30}\n"}, 1 << 30),
        ("0::/\n", {"memory.max": f"{1 << 29}\n"}, 1 << 29),
        ("4:memory:/x\n3:cpu:/\n", {"memory/x/memory.limit_in_bytes": f"{3 << 30}\n"}, 3 << 30),
        ("4:memory:/x\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, TOTAL),
        ("4:pids:/x\n", {"pids/x/memory.limit_in_bytes": "1\n"}, TOTAL),
        ("", {}, TOTAL),
    ],
)
def test_the_least_memory_that_any_group_above_allows(
    tmp_path: Path, membership: str, files: dict[str, str], memory: int
) -> None:
    group(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(membership)
    assert available_memory(tmp_path / "cgroup", tmp_path / "self") == memory


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/a\n", {"a/cpu.max": "max 100000\n"}, CORES),
        ("0::/a\n", {"a/cpu.max": "150000 100000\n"}, 1),
        ("0::/a\n", {"a/cpu.max": "50000 100000\n"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "100000 100000\n"}, 1),
        ("1:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "100000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 1),
        ("1:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, CORES),
    ],
)
def test_as_many_cores_as_the_quota_comes_to(
    tmp_path: Path, membership: str, files: dict[str, str], cores: int
) -> None:
    group(tmp_path / "cgroup", files)
    (tmp_path / "self").write_text(membership)
    assert processors(tmp_path / "cgroup", tmp_path / "self") == cores


def test_without_control_groups_the_machine_is_the_limit(tmp_path: Path) -> None:
    assert available_memory(tmp_path, tmp_path / "absent") == TOTAL
    assert processors(tmp_path, tmp_path / "absent") == CORES


def test_the_peak_is_at_least_what_was_held_at_the_end() -> None:
    with PeakMemory() as idle:
        pass
    with PeakMemory() as peak:
        held = np.ones(1 << 25)
    assert peak.bytes > 0.9 * (idle.bytes + held.nbytes)


def test_all_processes_below_are_found_with_the_lists_of_the_kernel_and_without(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # its own child is there
        found = processes_below()
        assert found[0] == os.getpid()
        assert child.pid in found
        assert sorted(processes_below(tmp_path)) == sorted(found)
        child.communicate(b"\n")
    assert child.pid not in processes_below()
