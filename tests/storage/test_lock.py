"""One run at a time in a folder; a lock ends with its holder, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from slimpajama import OutputError
from slimpajama.errors import WorkspaceLocked
from slimpajama.storage.lock import LOCK_FILE, locked, locked_for_reading


def hold(how: Callable[[Path], contextlib.AbstractContextManager[None]], folder: Path, pipe: Connection) -> None:
    with how(folder):
        pipe.send(os.getpid())
        pipe.recv()


@contextlib.contextmanager
def holder(
    folder: Path, how: Callable[[Path], contextlib.AbstractContextManager[None]] = locked
) -> Iterator[multiprocessing.process.BaseProcess]:
    """Another process that holds ``folder``."""
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=hold, args=(how, folder, other))
    process.start()
    mine.recv()
    yield process
    process.kill()
    process.join()


def test_the_second_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path / "out") as process, pytest.raises(WorkspaceLocked) as refusal, locked(tmp_path / "out"):
        pass
    assert re.fullmatch(
        rf"{re.escape(str(tmp_path))}/out is in use by process {process.pid} on {re.escape(socket.gethostname())} "
        r"\(.*, since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\); wait until it is done or stop it, "
        r"or choose another output",
        str(refusal.value),
    )


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.join()
        assert (tmp_path / LOCK_FILE).exists(), "it could not remove it"
        with locked(tmp_path):
            assert f'"pid":{os.getpid()}' in (tmp_path / LOCK_FILE).read_text()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_given_back_also_by_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), locked(tmp_path):
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_readers_share_a_folder_and_keep_writers_out(tmp_path: Path) -> None:
    with (
        holder(tmp_path, locked_for_reading),
        locked_for_reading(tmp_path),
        pytest.raises(WorkspaceLocked, match="in use by a process that reads it"),
        locked(tmp_path),
    ):
        pass
    with holder(tmp_path), pytest.raises(WorkspaceLocked, match="in use by process"), locked_for_reading(tmp_path):
        pass


def test_what_is_not_there_or_cannot_be_written_can_be_read(tmp_path: Path) -> None:
    with locked_for_reading(tmp_path / "absent"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    out = tmp_path / "file" / "out"
    with (
        pytest.raises(
            OutputError, match=r"^cannot write .*file/out: Not a directory; a file or a link to nothing is in the way"
        ),
        locked(out),
    ):
        pass


OTHER_USER = 12345


def try_as_other(
    how: Callable[[Path], contextlib.AbstractContextManager[None]], folder: Path, pipe: Connection
) -> None:
    if os.getuid() == 0:  # whom no permission stops
        os.setgroups([])
        os.setgid(OTHER_USER)
        os.setuid(OTHER_USER)
    try:
        with how(folder):
            pipe.send("held")
    except OutputError as error:
        pipe.send(str(error))


def as_other(how: Callable[[Path], contextlib.AbstractContextManager[None]], folder: Path) -> str:
    """What becomes of locking ``folder`` for a user who is not root, nor the owner if root runs the tests."""
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe()
    process = context.Process(target=try_as_other, args=(how, folder, other))
    process.start()
    answer = mine.recv()
    process.join()
    return str(answer)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that other users reach, with a lock that they can only read."""
    folder = Path(tempfile.mkdtemp())
    (folder / LOCK_FILE).write_bytes(b'{"pid": 7, "host": "there"}')
    (folder / LOCK_FILE).chmod(0o444)
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_the_lock_of_another_user_is_noticed_by_readers_and_writers(shared: Path) -> None:
    assert as_other(locked_for_reading, shared) == "held"
    with (shared / LOCK_FILE).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for how in (locked_for_reading, locked):
            assert as_other(how, shared).startswith(f"{shared} is in use by process 7 on there (, since ); wait until")


def test_a_lock_that_another_user_left_behind_is_replaced_where_it_may_be(shared: Path) -> None:
    shared.chmod(0o777)
    assert as_other(locked, shared) == "held"
    assert list(shared.iterdir()) == []


def test_a_lock_that_can_be_neither_replaced_nor_read_is_named(shared: Path) -> None:
    shared.chmod(0o555)
    assert re.fullmatch(
        rf"{shared}/\.lock was left behind by the user with number \d+ and cannot be removed: Permission denied; "
        "have it removed, or choose another output",
        as_other(locked, shared),
    )
    (shared / LOCK_FILE).chmod(0)
    assert as_other(locked_for_reading, shared) == (
        f"cannot tell whether a run is writing into {shared}: {shared}/.lock cannot be read (Permission denied); "
        "have it removed if none is"
    )


def test_what_is_no_file_under_the_name_of_a_lock_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(OutputError, match=r"^cannot write .*/\.lock: Is a directory"), locked(tmp_path):
        pass
