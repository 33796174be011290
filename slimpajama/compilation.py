"""Says so when kernels are being compiled, which happens once per installation and takes some seconds.

numba compiles a kernel when it is first called and keeps the result on disk; without a word the first run of a fresh
installation just seems slow. Rejected: guessing from the files in the cache (where they lie depends on who may write).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from numba.core import event

__all__ = ["compilation_announced"]


class _Notice(event.Listener):
    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        if not self.said:
            self.said = True
            print("compiling kernels (once per installation, some seconds) ...", file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


@contextlib.contextmanager
def compilation_announced() -> Iterator[None]:
    """Within the block, the first compilation that no cache spares is announced on standard error."""
    with event.install_listener("numba:compile", _Notice()):
        yield
