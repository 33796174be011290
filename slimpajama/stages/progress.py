"""What a user sees of a run while it works: bars on a terminal, a log line every half minute elsewhere, or nothing.

A run tells its :class:`Progress` when a stage starts, how many bytes of it are done, and when it ends. Bytes are those
of the stage's items, which need not be equal, so shares are rough. Log lines come from a thread that sleeps in between.
Rejected: bars in a log file (a line for every change), and lines when an item ends (one may take hours).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from slimpajama.logging import LOGGER

__all__ = ["SILENT", "Bars", "LogLines", "Progress", "StageStart", "progress_for"]

SECONDS_BETWEEN_LINES = 30.0


@dataclass(frozen=True, slots=True)
class StageStart:
    """A stage that begins: the ``number``-th of ``count`` (0: not known), with ``done`` of ``bytes`` from earlier."""

    name: str
    number: int
    count: int
    bytes: int
    done: int

    @property
    def title(self) -> str:
        """Such as "2 of 6 link"."""
        return f"{self.number} of {self.count} {self.name}" if self.count else self.name


class Progress(Protocol):
    """Watches a run, one stage at a time."""

    def started(self, stage: StageStart) -> None:
        """A stage begins."""

    def advanced(self, size: int) -> None:
        """So many more bytes of it are done."""

    def finished(self) -> None:
        """It is over, done or not."""


class _Silent:
    def started(self, stage: StageStart) -> None:
        pass

    def advanced(self, size: int) -> None:
        pass

    def finished(self) -> None:
        pass


SILENT: Progress = _Silent()


class Bars:
    """A bar on standard error for the stage that runs."""

    def __init__(self) -> None:
        self._bar: Any = None

    def started(self, stage: StageStart) -> None:
        """Show a bar."""
        from tqdm import tqdm

        self._bar = tqdm(
            total=stage.bytes,
            initial=stage.done,
            desc=stage.title,
            unit="B",
            unit_scale=True,
            leave=False,
            smoothing=0.1,
        )

    def advanced(self, size: int) -> None:
        """Move it."""
        self._bar.update(size)

    def finished(self) -> None:
        """Remove it."""
        self._bar.close()


class LogLines:
    """A log line every ``seconds`` says where the run is.

    ``wait``: sleeps so many seconds, or until the event is set, and returns whether it is.
    """

    def __init__(
        self,
        seconds: float = SECONDS_BETWEEN_LINES,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._wait = wait

    def started(self, stage: StageStart) -> None:
        """Start to write lines."""
        self._stage = stage
        self._done = stage.done
        self._began = self._clock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def advanced(self, size: int) -> None:
        """Count."""
        self._done += size

    def finished(self) -> None:
        """Write no more lines."""
        self._over.set()
        self._thread.join()

    def line(self) -> str:
        """Where the stage is now."""
        share = f", {self._done / self._stage.bytes:.0%} of {self._stage.bytes / 1e9:,.1f} GB" * bool(self._stage.bytes)
        return f"{self._stage.title}: {self._clock() - self._began:,.0f} s{share}"

    def _write(self) -> None:
        while not self._wait(self._over, self._seconds):
            LOGGER.info("%s", self.line())


def progress_for(wanted: bool | Progress) -> Progress:
    """For ``True``, bars if standard error is a terminal, else log lines; for ``False``, nothing; an observer stays."""
    if not isinstance(wanted, bool):
        return wanted
    if not wanted:
        return SILENT
    return Bars() if sys.stderr is not None and sys.stderr.isatty() else LogLines()
