"""Worker processes on this machine; with one worker, no process at all.

Processes, not threads: JSON parsing holds the interpreter lock. They are forked from a clean server process that
has already loaded the kernels (``forkserver`` with preload), so a worker starts in milliseconds, and no thread of
the parent is cloned in mid-flight. Each worker has a pipe of its own and one item at a time, so a worker that dies or
hangs takes nothing with it but that item, which is tried once more. Rejected: ``ProcessPoolExecutor``, where one
death breaks the pool and all items in flight are lost, it cannot be said which was the culprit, workers outlive a
parent that was killed, and an interrupt waits for what is running.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from slimpajama.engine import Item, Result
from slimpajama.engine.heartbeat import CHECKS, STALLED_AFTER
from slimpajama.engine.lean import is_all_ours
from slimpajama.engine.worker import Answer, serve
from slimpajama.errors import WorkerDied
from slimpajama.logging import LOGGER
from slimpajama.own_folders import prepare_socket_folder

__all__ = ["LocalEngine"]

TRIES = 2


class _Worker:
    """One process, its pipe, and the item it has."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self.pipe, other = context.Pipe()
        self._beats = context.RawArray("d", 1)
        arguments = (other, self._beats, dict(os.environ))
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        other.close()
        self.index = -1

    def give(self, index: int, function: Callable[[Any], Any], item: Any, preload: Sequence[str]) -> None:
        self.index = index
        self._beats[0] = time.monotonic()
        self.pipe.send((function, item, tuple(preload), LOGGER.getEffectiveLevel()))

    @property
    def last_beat(self) -> float:
        return float(self._beats[0])

    def kill(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class LocalEngine:
    """Run items in ``workers`` processes of this machine (in this very process when ``workers`` is 1)."""

    def __init__(self, workers: int, *, stalled_after: float = STALLED_AFTER) -> None:
        self.workers = workers
        self._stalled_after = stalled_after
        self._idle: list[_Worker] = []

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exception: Any) -> None:
        while self._idle:
            self._idle.pop().kill()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        name: Callable[[Item], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """See :meth:`slimpajama.engine.Engine.map`; a stage of one item has the machine, so ``memory`` is there."""
        if self.workers == 1:
            for module in preload if items else ():
                importlib.import_module(module)
            for index, item in enumerate(items):
                yield index, function(item)
            return
        # If the server is not there yet, it loads what is needed now, once for all workers.
        prepare_socket_folder()
        first = ["slimpajama.engine.first"] if is_all_ours() else []
        forkserver.set_forkserver_preload([*first, function.__module__, *preload])
        waiting = list(range(len(items) - 1, -1, -1))
        deaths = [0] * len(items)
        busy: dict[Connection, _Worker] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    self._start(busy, waiting.pop(), function, items, preload)
                ready = cast("list[Connection]", wait(list(busy), timeout=self._stalled_after / CHECKS))
                fates = dict.fromkeys(ready, "")
                fates.update(self._stalled(busy))
                for pipe, fate in fates.items():
                    worker = busy.pop(pipe)
                    answer = None if fate else _answer(pipe)
                    if answer is None:
                        worker.kill()
                        deaths[worker.index] += 1
                        if deaths[worker.index] == TRIES:
                            raise _died(name(items[worker.index]), fate or _ending(worker.process.exitcode))
                        waiting.append(worker.index)
                        continue
                    self._idle.append(worker)
                    yield worker.index, answer.taken()
        finally:
            for worker in busy.values():  # left early: by an error, an interrupt, or whoever took the results
                worker.kill()

    def _start(
        self,
        busy: dict[Connection, _Worker],
        index: int,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        preload: Sequence[str],
    ) -> None:
        """Give an item to an idle worker, or to a new one; a worker that died idle is no item's fault."""
        while self._idle:
            worker = self._idle.pop()
            try:
                worker.give(index, function, items[index], preload)
            except OSError:
                worker.kill()
                continue
            busy[worker.pipe] = worker
            return
        worker = _Worker()
        busy[worker.pipe] = worker
        with contextlib.suppress(OSError):  # it died at once, which its pipe will tell
            worker.give(index, function, items[index], preload)

    def _stalled(self, busy: dict[Connection, _Worker]) -> dict[Connection, str]:
        latest = time.monotonic() - self._stalled_after
        fate = f"showed no sign of life for {self._stalled_after:,.0f} s"
        return {pipe: fate for pipe, worker in busy.items() if worker.last_beat < latest and not pipe.poll()}


def _answer(pipe: Connection) -> Answer | None:
    try:
        return cast(Answer, pipe.recv())
    except (EOFError, OSError):  # it ended, maybe in the middle of an answer
        return None


def _ending(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


def _died(item: str, fate: str) -> WorkerDied:
    if "SIGKILL" in fate:
        advice = "most likely memory ran out: use fewer --workers or set a smaller memory"
    elif "sign of life" in fate:
        advice = "look whether the disk or the network it reads from still answers, or leave that input out"
    else:
        advice = "most likely the file is damaged in a way that its reader does not survive: mend it or leave it out"
    return WorkerDied(f"a worker process that handled {item} {fate}, twice; {advice}; finished work is kept")
