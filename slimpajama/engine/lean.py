"""Keeps packages that nothing here uses out of processes that are all ours: workers, and the command line.

pyarrow imports pandas, if it is installed, when it is first given anything to convert, only to see whether that is
pandas' own; numba imports scipy for linear algebra that might come. Each costs a third of a second and tens of MB for
every process. A process in which somebody else's code runs, as in a notebook, is left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

__all__ = ["do_without"]


class _NotFound(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"slimpajama does without {name}", name=name)


def do_without(*packages: str) -> None:
    """Let imports of ``packages`` fail from now on, as where they are not installed."""
    sys.meta_path.insert(0, _NotFound(packages))
