"""Worker processes on this machine; with one worker, no process at all.

Processes, not threads: JSON parsing holds the interpreter lock. They are forked from a clean server process that
has already loaded the kernels (``forkserver`` with preload), so a worker starts in milliseconds, and no thread of
the parent is cloned in mid-flight. Back-pressure: two items per worker are in flight, the rest wait here. One
worker's death breaks the whole pool, so what was in flight is then run again item by item, and only a death
that an item met alone counts against it.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any

from slimpajama.engine import Item, Result
from slimpajama.errors import WorkerDied

__all__ = ["LocalEngine"]

TRIES = 2


class LocalEngine:
    """Run items in ``workers`` processes of this machine (in this very process when ``workers`` is 1)."""

    def __init__(self, workers: int, preload: Sequence[str] = ()) -> None:
        """``preload``: modules whose import makes ready what the items need, such as compiled kernels."""
        self.workers = workers
        self._preload = tuple(preload)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalEngine:
        if self.workers > 1:
            # The server loads what it must while this process plans.
            forkserver.set_forkserver_preload(list(self._preload))
            forkserver.ensure_running()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._close()

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str] = str
    ) -> Iterator[tuple[int, Result]]:
        """See :meth:`slimpajama.engine.Engine.map`."""
        if self.workers == 1:
            for module in self._preload if items else ():
                importlib.import_module(module)
            for index, item in enumerate(items):
                yield index, function(item)
            return
        deaths = [0] * len(items)
        suspects: set[int] = set()  # items in flight when a worker died: run alone, so that the culprit shows
        waiting = list(range(len(items) - 1, -1, -1))
        running: dict[Future[Result], int] = {}
        try:
            while waiting or running:
                try:
                    while waiting and len(running) < self._room(waiting, running, suspects):
                        running[self._executor().submit(function, items[waiting[-1]])] = waiting[-1]
                        waiting.pop()
                    finished = [
                        (running[future], future.result())
                        for future in wait(running, return_when=FIRST_COMPLETED).done
                        if not isinstance(future.exception(), BrokenProcessPool)
                    ]
                    broken = any(
                        isinstance(future.exception(), BrokenProcessPool) for future in running if future.done()
                    )
                except BrokenProcessPool:
                    finished, broken = [], True
                for index, result in finished:
                    yield index, result
                done = {index for index, _ in finished}
                suspects -= done
                running = {future: index for future, index in running.items() if index not in done}
                if broken:
                    lost = sorted(running.values(), reverse=True)
                    if len(lost) == 1:  # nobody else can have done it
                        deaths[lost[0]] += 1
                        if deaths[lost[0]] == TRIES:
                            raise _died(name(items[lost[0]]))  # noqa: TRY301
                    suspects.update(lost)
                    waiting.extend(lost)
                    running.clear()
                    self._close()
        except BaseException:
            self._close()
            raise

    def _room(self, waiting: list[int], running: dict[Future[Result], int], suspects: set[int]) -> int:
        """How many items may be in flight before the next is added: just one while a suspect is, or is next."""
        if waiting[-1] in suspects or not suspects.isdisjoint(running.values()):
            return 1
        return 2 * self.workers

    def _executor(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, mp_context=multiprocessing.get_context("forkserver"))
        return self._pool

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _died(item: str) -> WorkerDied:
    return WorkerDied(
        f"a worker process was killed twice while handling {item}; "
        "most likely memory ran out: use fewer --workers or set a smaller memory"
    )
