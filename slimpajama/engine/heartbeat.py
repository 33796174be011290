"""A sign of life from inside a work item, so that one that hangs can be told from one that is long.

Long loops call :func:`beat` once per batch, which costs a clock reading. Where nobody listens it does nothing.
Rejected: a time limit per item (a shard may take hours), and watching the processor time of workers (a loop that
never ends uses plenty).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["CHECKS", "STALLED_AFTER", "beat", "listen", "watched"]

STALLED_AFTER = 1800.0
"""Seconds without a sign of life after which a worker is taken to hang. Linking gathered keys gives none."""

CHECKS = 4
"""How often is looked in that time."""


def _unheard(moment: float) -> None:
    pass


_listener: Callable[[float], None] = _unheard


def beat() -> None:
    """Say that the work item of this process has got on."""
    _listener(time.monotonic())


def listen(listener: Callable[[float], None]) -> None:
    """Send each beat of this process, as seconds of the system's monotonic clock, to ``listener``."""
    global _listener
    _listener = listener


@contextlib.contextmanager
def watched(stalled_after: float) -> Iterator[None]:
    """Kill this process if there is no beat for so many seconds while the block runs."""
    last, over = [time.monotonic()], threading.Event()

    def heard(moment: float) -> None:
        last[0] = moment

    def watch() -> None:
        while not over.wait(stalled_after / CHECKS):
            if time.monotonic() - last[0] > stalled_after:
                os.kill(os.getpid(), signal.SIGKILL)

    listen(heard)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        listen(_unheard)
