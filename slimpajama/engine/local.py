"""Worker processes on this machine; with one worker, no process at all.

Processes, not threads: JSON parsing holds the interpreter lock. They are forked from a clean server process that
has already loaded the kernels (``forkserver`` with preload), so a worker starts in milliseconds, and no thread of
the parent is cloned in mid-flight. Back-pressure: two items per worker are in flight, the rest wait here.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from slimpajama.engine import Item, Result
from slimpajama.errors import WorkerDied

__all__ = ["LocalEngine"]

TRIES = 2


class LocalEngine:
    """Run items in ``workers`` processes of this machine (in this very process when ``workers`` is 1)."""

    def __init__(self, workers: int, preload: str | None = None) -> None:
        """``preload``: a module whose import makes ready what the items need, such as compiled kernels."""
        self.workers = workers
        self._preload = preload
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._close()

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], name: Callable[[Item], str] = str
    ) -> Iterator[tuple[int, Result]]:
        """See :meth:`slimpajama.engine.Engine.map`."""
        if self.workers == 1:
            if items and self._preload is not None:
                importlib.import_module(self._preload)
            for index, item in enumerate(items):
                yield index, function(item)
            return
        tries = [0] * len(items)
        waiting = list(range(len(items) - 1, -1, -1))
        running: dict[Future[Result], int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < 2 * self.workers:
                    index = waiting.pop()
                    running[self._executor().submit(function, items[index])] = index
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    index = running[future]
                    try:
                        result = future.result()
                    except BrokenProcessPool as fault:
                        # One death breaks every future of the pool: all that were in flight are tried again.
                        for lost in running.values():
                            tries[lost] += 1
                            if tries[lost] >= TRIES:
                                raise WorkerDied(
                                    f"a worker process was killed twice while handling {name(items[lost])}; "
                                    "most likely memory ran out: use fewer --workers or set a smaller memory"
                                ) from fault
                        waiting.extend(sorted(running.values(), reverse=True))
                        running.clear()
                        self._close()
                        break
                    del running[future]
                    yield index, result
        except BaseException:
            self._close()
            raise

    def _executor(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("forkserver")
            if self._preload is not None:
                context.set_forkserver_preload([self._preload])
            self._pool = ProcessPoolExecutor(self.workers, mp_context=context)
        return self._pool

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
