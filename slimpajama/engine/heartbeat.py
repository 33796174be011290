"""A sign of life from inside a work item, so that one that hangs can be told from one that is long.

Long loops call :func:`beat` once per batch, which costs a clock reading. Where nobody listens it does nothing.
Rejected: a time limit per item (a shard may take hours), and watching the processor time of workers (a loop that
never ends uses plenty).
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["beat", "listen"]


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
