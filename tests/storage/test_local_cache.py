"""Copies of files in a store: which make room for others, and which are left alone."""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import pytest

from slimpajama.errors import OutputError
from slimpajama.storage.local_cache import local_copy, make_room
from slimpajama.storage.paths import path_of

Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four of 100 bytes, used four, three and two hours ago, and now; 400 bytes are free: 400 may be taken in all."""
    for number, hours in enumerate((4, 3, 2, 0)):
        path = tmp_path / f"{number}"
        path.write_bytes(bytes(100))
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1000, 600, 400))
    return tmp_path


@pytest.mark.parametrize(
    ("size", "left"), [(0, "0123"), (1, "123"), (100, "123"), (101, "23"), (300, "3"), (301, "3"), (10_000, "3")]
)
def test_the_least_recently_used_make_room_but_not_those_in_use(copies: Path, size: int, left: str) -> None:
    make_room(copies, size)
    assert sorted(path.name for path in copies.iterdir()) == list(left)


def test_what_another_process_removes_meanwhile_is_passed_over(copies: Path) -> None:
    (copies / "removed").symlink_to("nothing")  # listed, and then there is no such file
    make_room(copies, 100)
    assert sorted(path.name for path in copies.iterdir()) == ["1", "2", "3", "removed"]


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path_of("memory://copied/file").write_bytes(b"content")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    copy = local_copy(path_of("memory://copied/file"))
    assert (copy.read_bytes(), copy.parent) == (b"content", tmp_path / f"slimpajama-{os.getuid()}")
    copy.parent.rename(tmp_path / "elsewhere")
    copy.parent.symlink_to("elsewhere")
    with pytest.raises(OutputError, match="is not a folder of this user: set TMPDIR"):
        local_copy(path_of("memory://copied/file"))
