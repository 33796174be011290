"""The lock of a run in a store has one holder, and a run that lost it changes nothing more."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from slimpajama.errors import WorkspaceLocked
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.fence import Claim, Fenced, claiming
from slimpajama.storage.lock import LOCK_FILE, locked, locked_for_reading
from slimpajama.storage.lock_holder import Holder
from slimpajama.storage.lock_object import lock_object
from slimpajama.storage.paths import path_of, remove_file, remove_tree
from slimpajama.storage.store_lock import BEAT_SECONDS, STALE_SECONDS, StoreLock, locked_in_store

FOLDER = Path("folder")
OTHER = Holder(7, "there", "today", "slimpajama dedup", beat=1e12, token="other")  # noqa: S106 - no password
TAKEN_OVER = r"^process 7 on there \(slimpajama dedup, since today\) took memory://.*/out/? over while this run was"
SECONDS = 1000.0


class Store:
    """An object in memory. ``heeds``: whether it keeps conditions; ``loses``: answers that do not arrive."""

    def __init__(self, *, heeds: bool = True) -> None:
        self.content: bytes | None = None
        self.version = 0
        self.heeds = heeds
        self.loses = 0
        self.before_write: Callable[[], None] = lambda: None

    def _write(self, content: bytes) -> str:
        self.content, self.version = content, self.version + 1
        if self.loses:
            self.loses -= 1
            raise OSError("no answer")
        return str(self.version)

    def create(self, content: bytes) -> str | None:
        return None if self.heeds and self.content is not None else self._write(content)

    def read(self) -> tuple[bytes, str]:
        if self.content is None:
            raise FileNotFoundError
        return self.content, str(self.version)

    def replace(self, content: bytes, version: str) -> str | None:
        self.before_write()
        if self.heeds and (self.content is None or version != str(self.version)):
            return None
        return self._write(content)

    def heeds_versions(self, content: bytes) -> bool:
        return self.replace(content, "none") is None

    def remove(self) -> None:
        self.content = None

    def holder(self) -> Holder | None:
        return None if self.content is None else Holder.parse(self.content)


class Clock:
    def __init__(self) -> None:
        self.now = SECONDS

    def __call__(self) -> float:
        return self.now


def lock_on(store: Store, clock: Clock) -> StoreLock:
    return StoreLock(FOLDER / LOCK_FILE, store, clock)


def held(store: Store, clock: Clock) -> StoreLock:
    lock = lock_on(store, clock)
    lock.acquire()
    return lock


def test_a_lock_is_renewed_in_time_and_removed_in_the_end() -> None:
    store, clock = Store(), Clock()
    lock = held(store, clock)
    for second in range(1, 61):
        clock.now = SECONDS + second
        lock.tick()
    assert store.version == 1 + 60 // BEAT_SECONDS
    holder = store.holder()
    assert holder is not None
    assert (holder.beat, holder.token) == (SECONDS + 60, lock.claim.token)
    with pytest.raises(WorkspaceLocked, match=r"^folder is in use by process \d+ on "):
        lock_on(store, clock).acquire()
    lock.release()
    assert store.content is None


def test_a_stale_lock_is_taken_over_and_the_run_that_wakes_up_stops() -> None:
    store, clock = Store(), Clock()
    asleep = held(store, clock)
    clock.now += STALE_SECONDS
    with pytest.raises(WorkspaceLocked):
        lock_on(store, clock).acquire()
    clock.now += 1
    second = held(store, clock)
    asleep.tick()
    assert str(asleep.lost).startswith("process ")
    assert " took folder over while this run was paused or cut off from the store, so this run has" in str(asleep.lost)
    asleep.release()
    assert second.claim.token == getattr(store.holder(), "token", None), "it removed the other's lock"
    second.tick()
    assert second.lost is None


def test_of_two_that_take_over_at_the_same_moment_one_fails() -> None:
    store, clock = Store(), Clock()
    held(store, clock)
    clock.now += STALE_SECONDS + 1
    first, second = lock_on(store, clock), lock_on(store, clock)
    calls = iter(range(10))

    def between() -> None:
        if next(calls) == 1:  # after the trial whether conditions are kept
            first.acquire()

    store.before_write = between
    with pytest.raises(WorkspaceLocked, match=r"^folder is in use by process"):
        second.acquire()
    assert first.claim.token == getattr(store.holder(), "token", None)


def test_a_pause_is_noticed_before_a_beat_is_due() -> None:
    store, clock = Store(), Clock()
    lock = held(store, clock)
    store._write(OTHER.encode())
    clock.now += 2
    lock.tick()
    assert lock.lost is None
    clock.now += 3
    lock.tick()
    assert str(lock.lost).startswith("process 7 on there (slimpajama dedup, since today) took folder over while")


def test_a_lock_that_somebody_removed_is_lost() -> None:
    store, clock = Store(), Clock()
    lock = held(store, clock)
    store.remove()
    clock.now += BEAT_SECONDS
    lock.tick()
    assert str(lock.lost).startswith("the lock on folder was removed while this run was paused")


def test_answers_that_get_lost_lose_no_lock() -> None:
    store, clock = Store(), Clock()
    lock = held(store, clock)
    for _ in range(4):
        store.loses = 1
        clock.now += BEAT_SECONDS
        lock.tick()
        lock.tick()
        assert lock.lost is None
    # The client asked twice to create it: the first request got through, the second is told that it is there.
    store.remove()
    lock = lock_on(store, clock)
    store.create(replace(Holder(1), token=lock.claim.token).encode())
    lock.acquire()


def test_a_lock_that_could_not_be_renewed_for_long_is_lost() -> None:
    def unreachable() -> None:
        raise OSError("unreachable")

    store, clock = Store(), Clock()
    lock = held(store, clock)
    store.before_write = unreachable
    for _ in range(int(STALE_SECONDS)):
        clock.now += 1
        lock.tick()
    assert lock.lost is None
    clock.now += 1
    lock.tick()
    assert str(lock.lost) == (
        "the lock on folder could not be renewed for 121 s (unreachable), so another run may have taken it over, and "
        "this run has stopped; when the store answers again, run the same command again: finished work is kept"
    )


def test_a_store_without_conditions_is_named_and_no_lock_is_taken_over_there(caplog: pytest.LogCaptureFixture) -> None:
    store, clock = Store(heeds=False), Clock()
    held(store, clock)
    (warning,) = caplog.messages
    assert warning.startswith(
        "the store of folder ignores conditions on writes, so two runs that start there at the same"
    )
    store = Store()
    held(store, clock)
    clock.now += STALE_SECONDS + 1
    before = store.content
    store.heeds_versions = lambda content: False  # type: ignore[method-assign]
    with pytest.raises(
        WorkspaceLocked,
        match=r"^folder was left locked by process .* make sure that it has ended, then remove folder/\.lock and run",
    ):
        lock_on(store, clock).acquire()
    assert store.content == before


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """A folder of a store in memory."""
    return path_of(f"memory://{request.node.name}/out")


def test_other_stores_create_a_lock_once_and_keep_one_that_is_left(folder: Path) -> None:
    with locked(folder):
        with pytest.raises(WorkspaceLocked, match="is in use by process"), locked(folder):
            pass
        with pytest.raises(WorkspaceLocked, match="is in use by process"), locked_for_reading(folder):
            pass
    assert lock_object(folder / LOCK_FILE).create(b"") is not None, "it was not removed"
    with pytest.raises(WorkspaceLocked, match="this store cannot hand a lock over safely"), locked(folder):
        pass


def test_who_lost_the_lock_is_interrupted(folder: Path) -> None:
    def lose() -> None:
        clock = Clock()
        with locked_in_store(folder / LOCK_FILE, clock, tick_seconds=0.01):
            (folder / LOCK_FILE).write_bytes(OTHER.encode())
            clock.now += BEAT_SECONDS
            threading.Event().wait(60)
            pytest.fail("it was not interrupted")

    with pytest.raises(WorkspaceLocked, match=TAKEN_OVER):
        lose()
    assert (folder / LOCK_FILE).read_bytes() == OTHER.encode()


def test_who_lost_the_lock_changes_nothing(folder: Path) -> None:
    def lose() -> None:
        with locked(folder):
            (folder / LOCK_FILE).write_bytes(OTHER.encode())
            with pytest.raises(WorkspaceLocked, match=TAKEN_OVER):
                write_one(folder / "work" / "file")
            with pytest.raises(WorkspaceLocked, match=TAKEN_OVER):
                remove_file(folder / "theirs")
            write_one(folder.parent / "elsewhere")  # which that lock is not for
            remove_tree(folder / "work")

    (folder / "theirs").write_bytes(b"theirs")
    (folder / "work" / "theirs").write_bytes(b"theirs")
    with pytest.raises(WorkspaceLocked, match=TAKEN_OVER):
        lose()
    assert (folder / "theirs").read_bytes() == (folder / "work" / "theirs").read_bytes() == b"theirs"
    assert not (folder / "work" / "file").exists()
    remove_file(folder / "theirs")  # the claim ended with the block


def write_one(path: Path) -> None:
    with atomic_file(path) as file:
        file.write(b"content")


def test_a_worker_knows_the_claims(folder: Path) -> None:
    claim = Claim(folder / LOCK_FILE, "mine")
    (folder / LOCK_FILE).write_bytes(OTHER.encode())
    travelled = pickle.loads(pickle.dumps(Fenced(write_one, (claim,))))  # noqa: S301 - just written
    with pytest.raises(WorkspaceLocked):
        travelled(folder / "file")
    write_one(folder / "file")
    (folder / LOCK_FILE).write_bytes(replace(OTHER, token="mine").encode())  # noqa: S106 - no password
    with claiming((claim,)):
        write_one(folder / "file")
