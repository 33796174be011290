"""Keeps packages that nothing here uses out of the processes of the command line, its workers among them.

pyarrow imports pandas, if it is installed, when it is first given anything to convert, only to see whether that is
pandas' own; numba imports scipy for linear algebra that might come, and whatever package says that it extends numba,
such as awkward. Each costs up to half a second and tens of MB for every process. A process in which somebody else's
code runs, as in a notebook or a script, is left alone, and so are its workers, which run that script's beginning, too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType

__all__ = ["all_ours", "command_does_without", "worker_does_without"]

_commands: list[str] = []


class _NotFound(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"slimpajama does without {name}", name=name)


def command_does_without() -> None:
    """Called first by a command, whose process is all ours."""
    _commands.append(sys.argv[0])
    sys.meta_path.insert(0, _NotFound(["pandas"]))


def all_ours() -> bool:
    """Whether this process is a command's."""
    return bool(_commands)


def worker_does_without() -> None:
    """Called first by the server that the workers of a command are forked from."""
    sys.meta_path.insert(0, _NotFound(["pandas", "scipy"]))
    vars(import_module("numba.core.entrypoints"))["_already_initialized"] = True
