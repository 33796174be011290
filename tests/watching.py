"""Engines that let a test act when a task runs: interrupt the run there, change a file before it, or change the task.

They run all tasks in this process, as an engine of one worker does, and are given as any engine is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from slimpajama.config.dedup import Config
from slimpajama.engine import Engine, Item, Result, Retry
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.local import LocalEngine
from slimpajama.stages.stage import Stage

Around = Callable[[Callable[[Any], Any], Any], Any]
"""Given the function of a stage and what a task is given, does the task, and what else the test wants."""


class WatchedEngine(LocalEngine):
    """One worker, whose every task goes through ``around``."""

    def __init__(self, around: Around) -> None:
        super().__init__(1)
        self._around = around

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        name: Callable[[Item], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Retry[Item] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        watched: Callable[[Item], Result] = partial(self._around, function)
        return super().map(watched, items, name, preload, memory, retry)


@dataclass(frozen=True)
class Watched(EngineChoice):
    """:class:`WatchedEngine`, for those who take the choice of an engine."""

    around: Around = field(kw_only=True)

    def opened(self, config: Config) -> AbstractContextManager[Engine]:
        return WatchedEngine(self.around)


def before_each(stage: type[Stage[Any, Any]], act: Callable[[], object]) -> Watched:
    """Do ``act`` before each task of ``stage``."""

    def around(function: Callable[[Any], Any], payload: Any) -> Any:
        if function is stage.run:
            act()
        return function(payload)

    return Watched(around=around)


def interrupted_in(stage: type[Stage[Any, Any]], number: int | None, *, done: bool = False) -> Watched:
    """Interrupt the run in task ``number`` of ``stage``, counted from 0, if it is not ``None``.

    ``done``: its files are written by then, but no marker says so.
    """
    numbers = itertools.count()

    def around(function: Callable[[Any], Any], payload: Any) -> Any:
        last = function is stage.run and next(numbers) == number
        if last and not done:
            raise KeyboardInterrupt
        result = function(payload)
        if last:
            raise KeyboardInterrupt
        return result

    return Watched(around=around)
