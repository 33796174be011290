"""A worker process: it takes one item at a time from its pipe and sends back a result or an error.

It leaves with the process that started it, however that ended, so that a killed run leaves nobody writing. Interrupts
from the terminal are left to that process, which ends its workers by killing them: what they write is whole or absent.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from slimpajama.engine.heartbeat import listen
from slimpajama.logging import Line, captured, repeat

__all__ = ["Answer", "RemoteTraceback", "handle", "serve"]


class RemoteTraceback(Exception):
    """Cause of an error that was raised in a worker: its text shows where."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item: its result, or an error and the text of its traceback; and the lines it logged."""

    result: Any
    error: Exception | None
    trace: str
    lines: list[Line]

    def taken(self) -> Any:
        """The result, or the error raised; the lines are logged in this process."""
        repeat(self.lines)
        if self.error is not None:
            raise self.error from RemoteTraceback(f"\n{self.trace}")
        return self.result


def handle(function: Callable[[Any], Any], item: Any, preload: Sequence[str], log_level: int) -> Answer:
    """Import the modules ``preload`` and call ``function(item)``."""
    with captured(log_level) as lines:
        try:
            for module in preload:
                importlib.import_module(module)
            return Answer(function(item), None, "", lines)
        except Exception as error:
            return Answer(None, _sendable(error), traceback.format_exc(), lines)


def serve(tasks: Connection, beats: Any, environment: Mapping[str, str]) -> None:
    """Handle ``(function, item, preload, log level)`` from ``tasks`` until there are no more.

    ``beats[0]`` counts the beats. ``environment``: of the process that started it. Workers are forked from a server
    that may be older than that, and would not know credentials that were set since.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    def heard() -> None:
        beats[0] += 1

    listen(heard)
    while True:
        try:
            task = tasks.recv()
        except (EOFError, OSError):
            return
        try:
            tasks.send(handle(*task))
        except OSError:  # nobody is there any more to take it
            return


def _sendable(error: Exception) -> Exception:
    """The error, or one with its message, if it cannot travel between processes."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - just written
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
