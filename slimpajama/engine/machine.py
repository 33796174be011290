"""What of this machine the process may use, containers' limits respected, and how much memory a run has taken."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

__all__ = ["PeakMemory", "available_memory", "processes_below", "processors"]

_CGROUPS = Path("/sys/fs/cgroup")
_PAUSE = 0.1
_PAUSES_PER_LOOK = 50
"""Where the kernel does not list the children of a process, looking lists all processes of the machine, so where there
are thousands it is done less often: 2 % of a core."""


def available_memory(cgroups: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes of memory the process may use: the machine's, or the least that a cgroup above it allows."""
    limits = [psutil.virtual_memory().total]
    for folder in _groups(cgroups, membership, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # "max", or no such file: no limit at this level
                limits.append(int((folder / name).read_text()))
    return min(limits)


def processors(cgroups: Path = _CGROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Cores the process may use: those of its affinity, or as many as a cgroup's quota comes to."""
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in _groups(cgroups, membership, "cpu"):
        with contextlib.suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            limits.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            quota_us = int((folder / "cpu.cfs_quota_us").read_text())
            if quota_us > 0:  # -1: none
                limits.append(quota_us / int((folder / "cpu.cfs_period_us").read_text()))
    return max(1, int(min(limits)))


def _groups(cgroups: Path, membership: Path, controller: str) -> Iterator[Path]:
    """The folders of the process's control group and of all above it, version 2 or 1."""
    with contextlib.suppress(OSError):
        for line in membership.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number != "0" and controller not in controllers.split(","):
                continue
            root = cgroups if number == "0" else cgroups / controller
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder == root or root in folder.parents)


class PeakMemory:
    """The largest memory of this process and all below it, as seen up to ten times a second within the block.

    ``bytes``: resident memory, added up over the processes; what they share is counted in each, so it is never too low
    but for what came and went between two looks.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._look()
        self._watcher.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._watcher.join()
        self._look()

    def _watch(self) -> None:
        took = 0.0
        while not self._over.wait(max(_PAUSE, _PAUSES_PER_LOOK * took)):
            began = time.perf_counter()
            self._look()
            took = time.perf_counter() - began

    def _look(self) -> None:
        total = 0
        for process in processes_below():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += psutil.Process(process).memory_info().rss
        self.bytes = max(self.bytes, total)


def processes_below(folder: Path = Path("/proc")) -> list[int]:
    """The numbers of this process and all below it."""
    found = [os.getpid()]
    for process in found:
        tasks = folder / str(process) / "task"
        try:
            for task in os.listdir(tasks):
                found += map(int, (tasks / task / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            if process == found[0]:  # this kernel has no such list
                return [process, *(child.pid for child in psutil.Process().children(recursive=True))]
    return found
