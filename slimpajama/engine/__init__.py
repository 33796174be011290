"""Where work items run. One idea: ``engine.map(function, items)`` yields ``(index, result)`` as items finish.

``function`` is a top-level function and items and results are small plain values: what is big travels in files.
No code outside this folder knows which engine it is on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

__all__ = ["Engine", "Item", "Result"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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
    ) -> Generator[tuple[int, Result], None, None]:
        """Yield ``(position in items, function(item))`` in order of completion.

        ``preload``: modules whose import makes ready what the items need, such as compiled kernels. ``memory``: bytes
        that an item may hold, where that is not what the engine was opened for.

        An exception of the function is raised here; a worker that dies has its item tried once more, then
        :class:`~slimpajama.errors.WorkerDied` names it through ``name``.
        """
        ...

    def __enter__(self) -> Engine: ...

    def __exit__(self, *exception: Any) -> None: ...
