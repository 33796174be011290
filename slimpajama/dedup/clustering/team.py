"""Threads that share the arrays of one task, each with a part of every step's work.

For steps whose work is done by kernels, which run without the interpreter lock; a step ends when all of its parts have.
One thread does everything in the calling one. With ``timed``, the processor seconds of each part are kept, from which
``benchmarks.parallel_clustering`` tells what so many cores would take. Rejected: processes (parents would have to be
shared memory that outlives a worker that is killed), and ranges that each process contracts for itself, with the links
between ranges put aside (in a corpus whose copies lie anywhere, most links are between ranges).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import TypeVar

__all__ = ["FEWEST", "Team", "even_parts"]

FEWEST = 1 << 16
"""Values that are worth a thread."""

Part = TypeVar("Part")
Result = TypeVar("Result")


class Team:
    """``threads`` of them. ``steps``: where ``timed``, the processor seconds of all parts of each step that threads
    shared."""

    def __init__(self, threads: int, *, timed: bool = False, fewest: int = FEWEST) -> None:
        """``fewest``: values that are worth a part."""
        self.threads = threads
        self.fewest = fewest
        self.steps: list[list[float]] = []
        self._timed = timed
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """The results of all parts, in their order."""
        alone = self._pool is None or len(parts) < 2
        run = self._watched(function) if self._timed and not alone else function
        if self._pool is None or alone:
            return [run(part) for part in parts]
        return list(self._pool.map(run, parts))

    def parts(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The values from ``begin`` to ``end``, exclusive, in a part for each thread, or fewer where it is little."""
        return even_parts(begin, end, min(self.threads, (end - begin) // self.fewest))

    def _watched(self, function: Callable[[Part], Result]) -> Callable[[Part], Result]:
        spent: list[float] = []
        self.steps.append(spent)

        def watched(part: Part) -> Result:
            began = time.thread_time()
            try:
                return function(part)
            finally:
                spent.append(time.thread_time() - began)

        return watched


def even_parts(begin: int, end: int, parts: int) -> list[tuple[int, int]]:
    """From ``begin`` to ``end``, exclusive, in so many parts, one at least; none if there is nothing."""
    if begin >= end:
        return []
    cuts = [begin + (end - begin) * part // max(1, parts) for part in range(max(1, parts) + 1)]
    return list(pairwise(cuts))
