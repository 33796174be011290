"""Keeps what nothing here uses out of the processes of the command line, its workers among them.

pyarrow imports pandas, if it is installed, when it is first given anything to convert, only to see whether that is
pandas' own; numba imports scipy for linear algebra that might come, and whatever package says that it extends numba,
such as awkward; pydantic looks through all installed packages for plugins; numpy's OpenBLAS starts a thread for each
core. Each costs a tenth to half a second and tens of MB for every process. Python looks for cycles of garbage after
every 700 new objects, which is a tenth of the time of importing: here it waits for 50,000. A process in which somebody
else's code runs, as in a notebook or a script, is left alone, and so are its workers, which run that script's
beginning, too.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

__all__ = ["admit_all", "all_ours", "imported_numba", "is_all_ours"]


class _NotFound(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"slimpajama does without {name}", name=name)


def all_ours(*needless: str) -> None:
    """Called first in a process that is all ours and does without some packages, pandas at least: a command's,
    where datasketch may integrate by scipy, and the server that its workers are forked from."""
    sys.meta_path.insert(0, _NotFound(("pandas", *needless)))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(50_000, 20, 20)


def is_all_ours() -> bool:
    """Whether this process is."""
    return any(isinstance(finder, _NotFound) for finder in sys.meta_path)


def admit_all() -> None:
    """Let a command import everything after all: Transformers imports pandas, where it is, to see what it is given."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _NotFound)]


def imported_numba() -> Any:
    """numba, which does not look for packages that extend it if this process is all ours."""
    numba = import_module("numba")
    if is_all_ours():
        vars(import_module("numba.core.entrypoints"))["_already_initialized"] = True
    return numba
