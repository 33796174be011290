"""Ctrl-C and SIGTERM end a run within two seconds, whatever it is doing.

Both become :class:`KeyboardInterrupt` in the main thread, which unwinds, ends the workers and removes what is half
written. Python hands a signal over only between two of its own steps, and a long call into compiled code has none; so a
thread that hears of the signal at once waits a moment and, if the run is still there, ends the process the hard
way. That is safe at any instant: files are whole or absent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import psutil

__all__ = ["Terminated", "interruptible"]

GRACE = 1.5
"""Seconds the main thread has to unwind."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


@contextlib.contextmanager
def interruptible(message: str, grace: float = GRACE) -> Iterator[None]:
    """Within the block SIGINT raises :class:`KeyboardInterrupt` and SIGTERM :class:`Terminated`.

    ``message``: what is printed if the process has to be ended by force; its exit code is then 128 + signal too.
    Call it from the main thread; from any other it does nothing, as signals are not for those.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(heard, over, message, grace), daemon=True)
    previous = signal.getsignal(signal.SIGTERM)
    previous_wakeup = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _terminate)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGTERM, previous)
        signal.set_wakeup_fd(previous_wakeup)
        os.close(told)  # which ends the watcher
        watcher.join()
        os.close(heard)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _watch(heard: int, over: threading.Event, message: str, grace: float) -> None:
    while True:
        received = os.read(heard, 1)
        if not received:
            return
        number = received[0]
        if number in (signal.SIGINT, signal.SIGTERM):
            break
    if over.wait(grace):
        return
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    os.write(2, f"{message}\n".encode())
    os._exit(128 + number)
