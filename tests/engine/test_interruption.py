"""Ctrl-C, SIGTERM and SIGHUP end the process soon, also one that is deep in compiled code."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from slimpajama.engine.interruption import Terminated, interruptible


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)]
)
def test_a_signal_is_an_interrupt_in_the_block_and_what_it_was_after_it(number: int, kind: type) -> None:
    before = signal.getsignal(number)
    with pytest.raises(kind) as interrupt, interruptible("ended by force"):
        signal.raise_signal(number)
    assert getattr(interrupt.value, "number", signal.SIGINT) == number
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible("ended by force"):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_elsewhere_than_in_the_main_thread_it_does_nothing() -> None:
    def block() -> None:
        with interruptible(""):
            done.append(True)

    done: list[bool] = []
    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert done == [True]


DEEP = """
import subprocess, sys, time
from slimpajama.engine.interruption import interruptible
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
try:
    with interruptible("ended by force; run it again", grace=0.5):
        while True:
            try:
                time.sleep(600)  # as compiled code does, it takes no notice
            except KeyboardInterrupt:
                pass
finally:
    child.kill()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_takes_no_notice_is_ended_by_force_with_all_it_started(number: int, code: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", DEEP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors == "ended by force; run it again\n"
    deadline = time.monotonic() + 10  # whoever adopted it has to take notice of its end
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(child)
