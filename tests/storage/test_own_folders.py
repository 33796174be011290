"""Folders that a run needs are found where surroundings are poor."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from slimpajama.errors import ConfigError, OutputError
from slimpajama.storage.own_folders import first_writable, kernel_folder, own_folder, short_folder

IN_THE_WAY = "a file"

NO_KERNEL_FOLDER = (
    "no folder for compiled kernels can be written, so each start compiles them anew, in some 20 seconds; "
    "set NUMBA_CACHE_DIR to a folder that can be written"
)


@pytest.fixture
def unusable(tmp_path: Path) -> Path:
    """A folder that cannot be made, for root either."""
    (tmp_path / IN_THE_WAY).write_bytes(b"")
    return tmp_path / IN_THE_WAY / "below"


def test_the_first_folder_that_can_be_written_is_made(tmp_path: Path, unusable: Path) -> None:
    assert first_writable([unusable, tmp_path / "new" / "deep", tmp_path]) == tmp_path / "new" / "deep"
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    assert first_writable([unusable]) is None


def test_kernels_are_kept_where_something_can_be_written(
    tmp_path: Path, unusable: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert kernel_folder(str(tmp_path / "given"), unusable) == tmp_path / "given" / "slimpajama-kernels"
    assert kernel_folder("", tmp_path) == tmp_path / "__pycache__" / "kernels"
    assert kernel_folder("", unusable) == tmp_path / "cache" / "slimpajama" / "kernels"
    monkeypatch.setenv("XDG_CACHE_HOME", str(unusable))
    below_tmpdir = tmp_path / f"slimpajama-kernels-{os.getuid()}"
    assert kernel_folder("", unusable) == below_tmpdir
    assert caplog.messages == []
    assert kernel_folder(str(unusable), unusable) == below_tmpdir
    below_tmpdir.rmdir()
    below_tmpdir.write_bytes(b"")
    assert kernel_folder("", unusable) is None
    assert caplog.record_tuples == [
        (
            "slimpajama",
            logging.WARNING,
            f"NUMBA_CACHE_DIR={unusable} cannot be written; compiled kernels are kept in {below_tmpdir}",
        ),
        (
            "slimpajama",
            logging.WARNING,
            NO_KERNEL_FOLDER,
        ),
    ]


def test_a_folder_of_this_user_is_not_taken_from_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert own_folder("mine") == own_folder("mine") == tmp_path / f"mine-{os.getuid()}"
    (tmp_path / f"theirs-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(OutputError, match=r"theirs-\d+ is not a folder of this user: set TMPDIR to another folder$"):
        own_folder("theirs")


def test_sockets_lie_where_their_paths_are_short_enough(tmp_path: Path, unusable: Path) -> None:
    short = Path(tempfile.mkdtemp())
    assert short_folder([tmp_path / ("long" * 20), short]) == short
    assert not (tmp_path / ("long" * 20)).exists()
    short.rmdir()
    with pytest.raises(ConfigError, match=r"set TMPDIR to a folder whose path has at most 70 bytes, or use"):
        short_folder([unusable])


WORKERS = """
from operator import neg
from slimpajama.engine.local import LocalEngine
if __name__ == "__main__":
    with LocalEngine(2) as engine:
        print(sorted(engine.map(neg, [1, 2, 3])))
"""


def test_workers_start_below_a_temporary_folder_with_a_long_path(tmp_path: Path) -> None:
    long = tmp_path / ("d" * 120)
    long.mkdir()
    (tmp_path / "workers.py").write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, tmp_path / "workers.py"],
        env={**os.environ, "TMPDIR": str(long)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[(0, -1), (1, -2), (2, -3)]\n", "")
