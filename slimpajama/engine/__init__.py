"""Where work items run. One idea: ``engine.map(function, items)`` yields ``(index, result)`` as items finish.

``function`` is a top-level function and items and results are small plain values: what is big travels in files.
No code outside this folder knows which engine it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Death", "Engine", "Item", "Result", "Retry", "Trial"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Death:
    """How a worker ended while it handled an item.

    ``tries``: of that item so far. ``fate``: such as "was killed by SIGSEGV". ``by_item``: the item itself is the
    cause, as it crashed the worker or never got on; not where memory ran out or a node was lost. ``may_repeat``: the
    engine would try the same item once more.
    """

    tries: int
    fate: str
    by_item: bool
    may_repeat: bool


@dataclass(frozen=True)
class Trial(Generic[Item]):
    """What to try next of an item whose worker died.

    ``stalled_after``: seconds without a sign of life after which that hangs, instead of the engine's.
    """

    item: Item
    stalled_after: float | None = None


Retry = Callable[[Item, Death], Trial[Item] | None]
"""What to try next of an item whose worker died, or ``None`` to give up. Called where ``map`` was called."""


class Engine(Protocol):
    """Runs independent work items, in any order, at most ``workers`` at a time."""

    workers: int

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        name: Callable[[Item], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Retry[Item] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """Yield ``(position in items, function(item))`` in order of completion.

        ``preload``: modules whose import makes ready what the items need, such as compiled kernels. ``memory``: bytes
        that an item may hold, where that is not what the engine was opened for.

        An exception of the function is raised here. A worker that dies has its item tried once more, or whatever
        ``retry`` says; then :class:`~slimpajama.errors.WorkerDied` names it through ``name``.
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *exception: Any) -> None: ...
