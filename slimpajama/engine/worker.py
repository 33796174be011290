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
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from slimpajama.engine.heartbeat import listen

__all__ = ["RemoteTraceback", "sendable", "serve"]


class RemoteTraceback(Exception):
    """Cause of an error that was raised in a worker: its text shows where."""


def serve(tasks: Connection, beats: Any, environment: Mapping[str, str]) -> None:
    """Handle ``(function, item, preload)`` from ``tasks`` until there are no more; beats go to ``beats[0]``.

    ``environment``: of the process that started it. Workers are forked from a server that may be older than that, and
    would not know credentials that were set since.
    """
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()

    def heard(moment: float) -> None:
        beats[0] = moment

    listen(heard)
    while True:
        try:
            function, item, preload = tasks.recv()
        except (EOFError, OSError):
            return
        try:
            for module in preload:
                importlib.import_module(module)
            answer: tuple[Any, BaseException | None, str] = (function(item), None, "")
        except Exception as error:
            answer = (None, sendable(error), traceback.format_exc())
        try:
            tasks.send(answer)
        except OSError:  # nobody is there any more to take it
            return


def sendable(error: Exception) -> Exception:
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
