"""Ctrl-C, SIGTERM and SIGHUP end a run within two seconds, whatever it is doing.

All become :class:`KeyboardInterrupt` in the main thread, which unwinds, ends the workers and removes what is half
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

__all__ = ["STOPPING", "Terminated", "interruptible"]

GRACE = 1.5
"""Seconds the main thread has to unwind."""


STOPPING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run besides SIGINT. SIGHUP: the terminal or the connection to it is gone."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end by a signal of :data:`STOPPING`, whose number is ``number``."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def interruptible(message: str, grace: float = GRACE) -> Iterator[None]:
    """Within the block SIGINT raises :class:`KeyboardInterrupt`, and the others :class:`Terminated`.

    ``message``: what is printed if the process has to be ended by force; its exit code is then 128 + signal too.
    A signal that the process ignores stays ignored, as ``nohup`` wants it. Call it from the main thread; from any other
    it does nothing, as signals are not for those.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(heard, over, message, grace), daemon=True)
    heeded = {
        number: signal.getsignal(number)
        for number in STOPPING
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    previous_wakeup = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    for number in heeded:
        signal.signal(number, _terminate)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        for number, handler in heeded.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_wakeup)
        os.close(told)  # which ends the watcher
        watcher.join()
        os.close(heard)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


def _watch(heard: int, over: threading.Event, message: str, grace: float) -> None:
    while True:
        received = os.read(heard, 1)
        if not received:
            return
        number = received[0]
        if number in (signal.SIGINT, *STOPPING):
            break
    if over.wait(grace):
        return
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    with contextlib.suppress(OSError):  # nobody may be there any more to read it
        os.write(2, f"{message}\n".encode())
    os._exit(128 + number)
