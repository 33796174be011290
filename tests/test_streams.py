"""Standard streams that are closed, full or broken stop no work and end in a sentence and an exit code."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slimpajama.streams import patient_stream

COMMAND = f"{sys.executable} -m slimpajama"
UNPRINTED = "error: the work is done, but the result could not be printed: "


def shell(line: str, folder: Path) -> tuple[int, str]:
    """The exit code of a line of shell, and what it wrote to standard error."""
    done = subprocess.run(["/bin/sh", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("streams", "code", "errors"),
    [
        (">/dev/full", 4, f"{UNPRINTED}No space left on device\n"),
        (">&-", 4, f"{UNPRINTED}Bad file descriptor\n"),
        (">/dev/full 2>&1", 4, ""),
        ("<&- >&- 2>&-", 4, ""),
        (">/dev/null 2>&-", 0, ""),
        (">/dev/null 2>/dev/full", 0, ""),
    ],
)
def test_a_result_that_cannot_be_printed_is_an_exit_code(streams: str, code: int, errors: str, tmp_path: Path) -> None:
    assert shell(f"{COMMAND} --version {streams}", tmp_path) == (code, errors)


def test_the_work_is_done_without_any_stream(tmp_path: Path) -> None:
    assert shell(f"{COMMAND} sample out --docs 100 --quiet <&- >&- 2>&-", tmp_path) == (0, "")
    assert len(list((tmp_path / "out").rglob("*.zst"))) > 0


def test_a_reader_that_goes_away_is_no_error_to_speak_of(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "slimpajama", "--version"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_current_folder_that_was_removed_is_one_sentence(tmp_path: Path) -> None:
    code, errors = shell(f"mkdir gone; cd gone; rmdir ../gone; {COMMAND} --version", tmp_path)
    assert (code, errors) == (2, "error: the current folder was removed; change to another and run the command again\n")


def test_what_the_encoding_lacks_is_escaped() -> None:
    read, write = os.pipe()
    stream, _ = patient_stream(write, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    stream.write("é \udcff →\n")
    assert os.read(read, 100) == b"\\xe9 \\udcff \\u2192\n"
    os.close(read)
    os.close(write)


def test_the_first_fault_is_kept_and_the_rest_is_dropped() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream, file = patient_stream(full, None)
    for _ in range(3):
        stream.write("x" * 100_000 + "\n")
    stream.flush()
    assert file.fault is not None
    assert file.fault.errno == errno.ENOSPC
    stream.close()
    os.close(full)
