"""A process that shows no sign of life ends itself while it is watched; one that beats does not."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import threading
import time

from slimpajama.engine.heartbeat import Silence, beat, watched


def test_silence_lasts_from_the_last_change_that_was_seen() -> None:
    silence = Silence(10.0)
    assert silence.seconds(0, 12.0) == 2.0
    assert silence.seconds(3, 15.0) == 0.0
    assert silence.seconds(3, 16.5) == 1.5
    assert silence.seconds(4, 17.0) == 0.0


def test_a_watched_process_that_does_not_beat_is_ended() -> None:
    ended = threading.Event()
    with watched(5.0, clock=itertools.count().__next__, look_seconds=0.001, end=ended.set):
        assert ended.wait(60)


def test_one_that_beats_is_not_ended() -> None:
    looked = threading.Semaphore(0)
    moments = itertools.count()

    def clock() -> float:
        """The process beats between any two looks."""
        beat()
        looked.release()
        return next(moments)

    def end() -> None:
        raise AssertionError

    with watched(1.5, clock=clock, look_seconds=0.001, end=end):
        for _ in range(20):
            assert looked.acquire(timeout=60)


def hang() -> None:
    with watched(0.1):
        time.sleep(3600)


def test_the_end_is_a_kill() -> None:
    process = multiprocessing.get_context("spawn").Process(target=hang)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def test_after_the_block_nobody_watches() -> None:
    calls = itertools.count()
    with watched(0.2, clock=calls.__next__, look_seconds=60.0):
        pass
    seen = next(calls)
    beat()
    assert next(calls) == seen + 1
