"""The lock of a run in an object store: one object, written only on condition that nobody else has written it.

It is created on condition that it is not there (``If-None-Match: *``), renewed every 20 seconds on condition that it is
what this run wrote last (``If-Match``), and may be taken over, on the same condition, when it was not renewed for two
minutes; so of two runs that try, one fails. Clocks of machines that share a bucket must agree to about that. A run that
finds its lock in other hands stops at once, and so does one that could not renew it for two minutes. Stores with
conditions are S3 and what behaves like it, which is tried each time. In any other, and where conditions are ignored, a
lock that was left behind is never taken over. Costs three requests, and three a minute. Rejected: a lock without
conditions (two runs took it from each other in turn), and a service beside the store.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from slimpajama.errors import WorkspaceLocked
from slimpajama.logging import LOGGER
from slimpajama.storage.atomic import cannot_write
from slimpajama.storage.fence import Claim, claiming, current_claims
from slimpajama.storage.lock_holder import Holder, held_by_other, lock_lost
from slimpajama.storage.lock_object import LockObject, lock_object

__all__ = ["StoreLock", "is_stale", "locked_in_store"]

BEAT_SECONDS = 20.0
STALE_SECONDS = 120.0
TICK_SECONDS = 1.0
"""How often is looked whether a beat is due, or this process was paused."""

PAUSE_SECONDS = 3.0
"""A process that did not look for so long was paused, and asks at once whether the lock is its own still."""


class StoreLock:
    """The lock ``path``. :meth:`acquire` it, :meth:`tick` it often, :meth:`release` it."""

    def __init__(self, path: Path, file: LockObject, clock: Callable[[], float] = time.time) -> None:
        self.lost: WorkspaceLocked | None = None
        self.claim = Claim(path, secrets.token_hex(8))
        self._path = path
        self._file = file
        self._clock = clock
        self._holder = replace(Holder.this_process(), token=self.claim.token)
        self._version = ""
        self._renewed = 0.0
        self._ticked = 0.0

    def acquire(self) -> None:
        """Raises :class:`WorkspaceLocked`, and :class:`OSError` where the store refuses or does not answer."""
        self._renewed = self._ticked = self._clock()
        for last in (False, False, True):
            version = self._file.create(self._content(self._renewed))
            if version is not None:
                self._version = self._created_again() or version
                return
            try:
                self._version = self._taken_over(self._renewed)
            except FileNotFoundError:  # its holder has just removed it
                if last:
                    raise
            else:
                return

    def _created_again(self) -> str | None:
        """A store that creates what is there already ignores conditions, and the user must know."""
        version = self._file.create(self._content(self._renewed))
        if version is not None:
            LOGGER.warning(
                "the store of %s ignores conditions on writes, so two runs that start there at the same moment do not "
                "notice each other; start one at a time",
                self._path.parent,
            )
        return version

    def _taken_over(self, now: float) -> str:
        found, version = self._file.read()
        other = Holder.parse(found)
        if self._is_mine(other):  # it was created, but the answer was lost and the request made again
            return version
        if not is_stale(other, now):
            raise held_by_other(self._path.parent, other)
        if not self._file.heeds_versions(found):
            raise WorkspaceLocked(
                f"{self._path.parent} was left locked by {other or 'a process'}, which has given no sign of life for "
                f"{STALE_SECONDS:.0f} s, but this store cannot hand a lock over safely; make sure that it has ended, "
                f"then remove {self._path} and run the same command again"
            )
        replaced = self._file.replace(self._content(now), version)
        if replaced is not None:
            return replaced
        found, version = self._file.read()
        other = Holder.parse(found)
        if not self._is_mine(other):
            raise held_by_other(self._path.parent, other)
        return version

    def _is_mine(self, holder: Holder | None) -> bool:
        return holder is not None and holder.token == self.claim.token

    def tick(self) -> None:
        """Renew the lock if it is time; sets ``lost`` if it is in other hands, or could not be renewed for too long."""
        now = self._clock()
        was_paused = not 0 <= now - self._ticked < PAUSE_SECONDS
        self._ticked = now
        if self.lost is None and (was_paused or now - self._renewed >= BEAT_SECONDS):
            self._renew()

    def _renew(self) -> None:
        began = self._clock()
        try:
            version = self._file.replace(self._content(began), self._version)
            if version is None:
                found, version = self._file.read()
                other = Holder.parse(found)
                if not self._is_mine(other):
                    self.lost = lock_lost(self._path.parent, other)
                    return
                # An earlier beat got through, but its answer did not.
                self._version = version
                version = self._file.replace(self._content(began), version)
        except FileNotFoundError:
            self.lost = lock_lost(self._path.parent, None)
            return
        except Exception as fault:  # each store's client has kinds of its own; the next tick may get through
            silent = began - self._renewed
            if silent > STALE_SECONDS:
                self.lost = WorkspaceLocked(
                    f"the lock on {self._path.parent} could not be renewed for {silent:,.0f} s ({fault}), so another "
                    "run may have taken it over, and this run has stopped; when the store answers again, run the same "
                    "command again: finished work is kept"
                )
            return
        if version is not None:
            self._version, self._renewed = version, began

    def release(self) -> None:
        """Remove the lock if it is this run's still; it is renewed first, so that nobody takes it over meanwhile."""
        if self.lost is not None:
            return
        began = self._clock()
        self._renew()
        if self.lost is None and self._renewed >= began:
            with contextlib.suppress(Exception):
                self._file.remove()
                return
        if self.lost is None:
            LOGGER.warning("the lock %s could not be removed; it counts for two minutes more", self._path)

    def _content(self, now: float) -> bytes:
        return replace(self._holder, beat=now).encode()


@contextlib.contextmanager
def locked_in_store(
    path: Path, clock: Callable[[], float] = time.time, tick_seconds: float = TICK_SECONDS
) -> Iterator[None]:
    """Hold the lock ``path``. The block is interrupted if it is lost, and :class:`WorkspaceLocked` raised."""
    lock = StoreLock(path, lock_object(path), clock)
    try:
        lock.acquire()
    except OSError as fault:
        raise cannot_write(path.parent, fault) from fault
    over = threading.Event()
    ending = threading.Lock()
    in_main = threading.current_thread() is threading.main_thread()

    def keep() -> None:
        while not over.wait(tick_seconds):
            lock.tick()
            if lock.lost is not None:
                with ending:
                    if in_main and not over.is_set():
                        _interrupt_main()
                if not over.wait(TICK_SECONDS):  # it is in a long call, after which it may be ended by force
                    LOGGER.warning("%s", lock.lost)
                return

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        try:
            with claiming((*current_claims(), lock.claim)):
                yield
        finally:
            with ending:
                over.set()
            thread.join()
            lock.release()
    except BaseException as fault:
        if lock.lost is not None and fault is not lock.lost:
            raise lock.lost from fault
        raise
    if lock.lost is not None:
        raise lock.lost


def _interrupt_main() -> None:
    """As Ctrl-C does, which also ends a wait; where the program handles that by itself, the next write will tell."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.pthread_kill(cast(int, threading.main_thread().ident), signal.SIGINT)


def is_stale(holder: Holder | None, now: float) -> bool:
    """Whether the holder of a lock gave no sign of life for long; a lock that cannot be read has none."""
    return holder is None or now - holder.beat > STALE_SECONDS
