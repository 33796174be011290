"""Importing this module makes the hot kernels ready: loaded from numba's cache, or compiled and said so.

The server process that workers are forked from imports it, so that workers start with the kernels in memory; a run in
one process imports it before its first piece. Compiling takes about 20 seconds and happens once per installation.
"""

from __future__ import annotations

import sys
from typing import Any

from numba.core import event

from slimpajama.dedup.sketch import Sketcher

__all__: list[str] = []


class _Notice(event.Listener):
    """Says, once, that something is being compiled."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        if not self.said:
            self.said = True
            print(
                "compiling the kernels (once per installation, about 20 seconds) ...",
                file=sys.stderr,
                flush=True,
            )

    def on_end(self, event: Any) -> None:
        pass


with event.install_listener("numba:compile", _Notice()):
    Sketcher(num_perm=128, seed=1, bands=9, rows=13, shortest=200, normalisation="nfc").sketch(
        ["the text that kernels are called with to load them " * 5]
    )
