"""Worker processes on this machine; with one worker, no process at all.

Processes, not threads: kernels, which run without the interpreter lock, are 60 % of the processor time of reading and
sketching, and 6 % of writing, so threads would wait for each other. They are forked from a clean server process that
has already loaded the kernels (``forkserver`` with preload), so a worker starts in milliseconds, and no thread of
the parent is cloned in mid-flight. Each worker has a pipe of its own and one item at a time, so a worker that dies or
hangs takes nothing with it but that item, which is tried once more, or as its stage says. Rejected:
``ProcessPoolExecutor``, where one death breaks the pool and all items in flight are lost, it cannot be said which was
the culprit, workers outlive a parent that was killed, and an interrupt waits for what is running.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from slimpajama.engine import Death, Item, Result, Retry, Trial
from slimpajama.engine.heartbeat import CHECKS, STALLED_AFTER, Silence
from slimpajama.engine.import_guard import is_all_ours
from slimpajama.engine.worker import Answer, serve
from slimpajama.errors import WorkerDied
from slimpajama.logging import LOGGER
from slimpajama.storage.own_folders import prepare_socket_folder

__all__ = ["GUARD", "LocalEngine", "start_server"]

TRIES = 2
GUARD = 'put the calls of slimpajama below `if __name__ == "__main__":`, as worker processes import the script'
"""What a script must do that starts several workers: multiprocessing runs it again in each of them."""

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT}


def start_server(preload: Sequence[str]) -> None:
    """Start the process that workers are forked from, unless there is one; it imports ``preload`` once for them all.

    It does so while this process imports what it needs itself.
    """
    prepare_socket_folder()
    first = ["slimpajama.engine.worker_server"] if is_all_ours() else []
    forkserver.set_forkserver_preload([*first, *preload])
    resource_tracker.ensure_running()  # it lets interrupts through when it starts
    with _interrupts_held():
        forkserver.ensure_running()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from whatever is started within the block: while it imports, it would print a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One process, its pipe, and the item it has."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        self.pipe, other = context.Pipe()
        self._beats = context.RawArray("Q", 1)
        arguments = (other, self._beats, dict(os.environ))
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        other.close()
        self.index = -1
        self.stalled_after = STALLED_AFTER
        self._silence = Silence(0.0)

    def give(self, index: int, function: Callable[[Any], Any], item: Any, preload: Sequence[str]) -> None:
        self.index = index
        self.pipe.send((function, item, tuple(preload), LOGGER.getEffectiveLevel()))

    def watch_from(self, now: float, stalled_after: float) -> None:
        self.stalled_after = stalled_after
        self._silence = Silence(now)
        self._silence.seconds(int(self._beats[0]), now)

    def is_stalled(self, now: float) -> bool:
        return self._silence.seconds(int(self._beats[0]), now) > self.stalled_after

    def kill(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


class LocalEngine:
    """Run items in ``workers`` processes of this machine (in this very process when ``workers`` is 1)."""

    def __init__(
        self,
        workers: int,
        *,
        stalled_after: float = STALLED_AFTER,
        clock: Callable[[], float] = time.monotonic,
        look_seconds: float | None = None,
    ) -> None:
        """``stalled_after``: seconds of ``clock`` without a sign of life after which an item is taken to hang.

        ``look_seconds``: how often to look, instead of ``CHECKS`` times in that time.
        """
        self.workers = workers
        self._stalled_after = stalled_after
        self._clock = clock
        self._look_seconds = look_seconds
        self._idle: list[_Worker] = []

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *exception: Any) -> None:
        while self._idle:
            self._idle.pop().kill()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        name: Callable[[Item], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Retry[Item] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """See :meth:`slimpajama.engine.Engine.map`; a stage of one item has the machine, so ``memory`` is there."""
        if self.workers == 1:
            for module in preload if items else ():
                importlib.import_module(module)
            for index, item in enumerate(items):
                yield index, function(item)
            return
        if items:
            start_server([function.__module__, *preload])
        waiting = list(range(len(items) - 1, -1, -1))
        trials: dict[int, Trial[Item]] = {}
        deaths = [0] * len(items)
        busy: dict[Connection, _Worker] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    index = waiting.pop()
                    self._start(busy, index, function, trials.get(index) or Trial(items[index]), preload)
                ready = cast("list[Connection]", wait(list(busy), timeout=self._seconds_to_wait(busy)))
                fates = dict.fromkeys(ready, "")
                fates.update(self._stalled(busy))
                for pipe, fate in fates.items():
                    worker = busy.pop(pipe)
                    answer = None if fate else _answer(pipe)
                    if answer is None:
                        worker.kill()
                        index = worker.index
                        deaths[index] += 1
                        exit_code = worker.process.exitcode or 0
                        by_item = bool(fate) or -exit_code in _CRASHES
                        death = Death(deaths[index], fate or _ending(exit_code), by_item, deaths[index] < TRIES)
                        item = trials[index].item if index in trials else items[index]
                        trial = (retry or _once_more)(item, death)
                        if trial is None:
                            raise _died(name(items[index]), death)
                        LOGGER.warning(
                            "a worker process that handled %s %s; it is tried again", name(items[index]), death.fate
                        )
                        trials[index] = trial
                        waiting.append(index)
                        continue
                    self._idle.append(worker)
                    yield worker.index, answer.taken()
        finally:
            for worker in busy.values():  # left early: by an error, an interrupt, or whoever took the results
                worker.kill()

    def _start(
        self,
        busy: dict[Connection, _Worker],
        index: int,
        function: Callable[[Any], Any],
        trial: Trial[Any],
        preload: Sequence[str],
    ) -> None:
        """Give an item to an idle worker, or to a new one; a worker that died idle is no item's fault."""
        while self._idle:
            worker = self._idle.pop()
            worker.watch_from(self._clock(), trial.stalled_after or self._stalled_after)
            try:
                worker.give(index, function, trial.item, preload)
            except OSError:
                worker.kill()
                continue
            busy[worker.pipe] = worker
            return
        worker = _Worker()
        worker.watch_from(self._clock(), trial.stalled_after or self._stalled_after)
        busy[worker.pipe] = worker
        with contextlib.suppress(OSError):  # it died at once, which its pipe will tell
            worker.give(index, function, trial.item, preload)

    def _seconds_to_wait(self, busy: dict[Connection, _Worker]) -> float:
        if self._look_seconds is not None:
            return self._look_seconds
        return min(worker.stalled_after for worker in busy.values()) / CHECKS

    def _stalled(self, busy: dict[Connection, _Worker]) -> dict[Connection, str]:
        now = self._clock()
        return {
            pipe: f"showed no sign of life for {worker.stalled_after:,g} s"
            for pipe, worker in busy.items()
            if worker.is_stalled(now) and not pipe.poll()
        }


def _once_more(item: Item, death: Death) -> Trial[Item] | None:
    return Trial(item) if death.may_repeat else None


def _answer(pipe: Connection) -> Answer | None:
    try:
        return cast(Answer, pipe.recv())
    except (EOFError, OSError):  # it ended, maybe in the middle of an answer
        return None


def _ending(exit_code: int) -> str:
    if exit_code < 0:
        return f"was killed by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"


def _died(item: str, death: Death) -> WorkerDied:
    fate = death.fate
    if "SIGKILL" in fate:
        advice = "most likely memory ran out: use fewer --workers or set a smaller memory"
    elif fate.endswith("exit code 1"):
        advice = f"if its traceback above is one of your script, {GUARD}; else the file may be damaged: leave it out"
    elif "sign of life" in fate:
        advice = "look whether the disk or the network it reads from still answers, or leave that input out"
    else:
        advice = "most likely the file is damaged in a way that its reader does not survive: mend it or leave it out"
    times = {1: "once", 2: "twice"}.get(death.tries) or f"{death.tries} times"
    return WorkerDied(f"a worker process that handled {item} {fate}, {times}; {advice}; finished work is kept")
