"""A sign of life from inside a work item, so that one that hangs can be told from one that is long.

Long loops call :func:`beat` once per batch, which costs an addition. Whoever watches reads the number of beats now and
then, by a clock of its own. Where nobody listens it does nothing.
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

__all__ = ["CHECKS", "STALLED_AFTER", "Silence", "beat", "listen", "watched"]

STALLED_AFTER = 1800.0
"""Seconds without a sign of life after which a worker is taken to hang. Linking gathered keys gives none."""

CHECKS = 4
"""How often is looked in that time."""


def _unheard() -> None:
    pass


_listener: Callable[[], None] = _unheard


def beat() -> None:
    """Say that the work item of this process has got on."""
    _listener()


def listen(listener: Callable[[], None]) -> None:
    """Call ``listener`` at each beat of this process."""
    global _listener
    _listener = listener


class Silence:
    """How long the number of beats has stayed the same, by the clock of whoever watches."""

    def __init__(self, now: float) -> None:
        self._beats = 0
        self._since = now

    def seconds(self, beats: int, now: float) -> float:
        """Seconds since ``beats`` was last seen to change, when it is read at ``now``."""
        if beats != self._beats:
            self._beats, self._since = beats, now
        return now - self._since


def _end_by_force() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def watched(
    stalled_after: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    look_seconds: float | None = None,
    end: Callable[[], None] = _end_by_force,
) -> Iterator[None]:
    """Kill this process, or call ``end``, if there is no beat for so many seconds while the block runs.

    ``look_seconds``: how often to look, instead of ``CHECKS`` times in that time.
    """
    beats, over, silence = [0], threading.Event(), Silence(clock())

    def heard() -> None:
        beats[0] += 1

    def watch() -> None:
        while not over.wait(stalled_after / CHECKS if look_seconds is None else look_seconds):
            if silence.seconds(beats[0], clock()) > stalled_after:
                end()
                return

    listen(heard)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        listen(_unheard)
