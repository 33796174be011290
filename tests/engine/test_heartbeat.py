"""A process that shows no sign of life ends itself while it is watched; one that beats does not."""

from __future__ import annotations

import multiprocessing
import signal
import time

import pytest

from slimpajama.engine.heartbeat import beat, watched


def live(beating: bool) -> None:
    with watched(2.0):
        for _ in range(6):
            time.sleep(0.5)
            if beating:
                beat()


@pytest.mark.parametrize(("beating", "ending"), [(True, 0), (False, -signal.SIGKILL)])
def test_a_watched_process_that_does_not_beat_is_killed(beating: bool, ending: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=live, args=(beating,))
    process.start()
    process.join(60)
    assert process.exitcode == ending


def test_after_the_block_nobody_watches() -> None:
    with watched(0.2):
        pass
    time.sleep(0.5)
    beat()
