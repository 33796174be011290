"""A study that is interrupted, killed or out of space ends soon with one line, and the same command goes on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from slimpajama.config.study import load_study_config
from slimpajama.errors import ConfigError, WorkspaceLocked
from slimpajama.storage.lock import LOCK_FILE, locked
from slimpajama.storage.paths import path_of
from slimpajama.study.command import do_study
from slimpajama.study.training.checkpoint import CHECKPOINT_FILE
from tests.study.made_mixtures import made_output

CONFIG = """
tokens: 2k
window: 16
batch_tokens: 16
learning_rate: 0.004
seeds: [1]
mixtures: [both, letters]
checkpoint_steps: 10
"""
GO_ON = "interrupted; finished work is kept: run the same command again to go on\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ``mixtures``, ``study.yaml``, and what a study that nobody interrupts writes into ``whole``."""
    folder = tmp_path_factory.mktemp("interruption")
    made_output(folder / "mixtures")
    (folder / "study.yaml").write_text(CONFIG)
    finish(folder, folder / "whole")
    return folder


def finish(folder: Path, output: Path) -> None:
    settings = load_study_config(folder / "study.yaml", (), input=str(folder / "mixtures"), processes=1)
    assert do_study(settings, output, told=lambda line: None) is not None


def started(
    folder: Path, output: Path, *launcher: str, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    """The command, alone in its process group, with two worker processes."""
    command = ["slimpajama", "study", "study.yaml", "--input", "mixtures", "--output", str(output), "--processes", "2"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=before,
    )


def wait_for(found: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not found():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=30)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def same_results(one: Path, other: Path) -> bool:
    return all(
        pq.read_table(one / name).equals(pq.read_table(other / name)) for name in ("losses.parquet", "curves.parquet")
    )


def trains(output: Path) -> Callable[[], bool]:
    return lambda: any(output.glob(f"runs/*/{CHECKPOINT_FILE}"))


@pytest.mark.parametrize(
    ("number", "group", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143), (signal.SIGKILL, False, -signal.SIGKILL)],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL"],
)
def test_a_study_that_is_ended_leaves_no_process_and_goes_on_to_the_same_results(
    folder: Path, tmp_path: Path, number: signal.Signals, group: bool, code: int
) -> None:
    output = tmp_path / "out"
    process = started(folder, output)
    wait_for(trains(output), process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3  # two workers, and the server they are forked from
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert (text, errors) == ("", "" if number == signal.SIGKILL else GO_ON)
    assert all_gone(children)
    assert not (output / "losses.parquet").exists()
    finish(folder, output)
    assert same_results(output, folder / "whole")
    assert not [path for path in output.rglob("*") if path.suffix == ".tmp" or path.name == LOCK_FILE]


def test_an_interrupt_while_workers_start_shows_no_traceback(folder: Path, tmp_path: Path) -> None:
    process = started(folder, tmp_path / "out")
    wait_for((tmp_path / "out" / LOCK_FILE).exists, process)
    time.sleep(0.3)  # the server imports PyTorch
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == ("", GO_ON)
    assert process.returncode == 130


def test_the_run_of_a_worker_that_was_killed_is_tried_again(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = started(folder, output)
    wait_for(trains(output), process)
    server = next(child for child in psutil.Process(process.pid).children() if child.children())
    server.children()[-1].kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "was killed by SIGKILL; it is tried again" in errors
    assert "Traceback" not in errors
    assert same_results(output, folder / "whole")


def test_a_full_disk_ends_with_the_file_and_the_remedy(folder: Path, tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600 << 10, 600 << 10))

    process = started(folder, tmp_path / "out", before=little_room)
    text, errors = process.communicate(timeout=120)
    assert process.returncode == 4
    assert text == ""
    assert errors.startswith("error: cannot write ")
    assert "free some space" in errors
    assert errors.count("\n") == 1
    finish(folder, tmp_path / "out")
    assert same_results(tmp_path / "out", folder / "whole")


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_trained(folder: Path, tmp_path: Path) -> None:
    settings = load_study_config(folder / "study.yaml", (), input=str(folder / "mixtures"), processes=1)
    with locked(tmp_path), pytest.raises(WorkspaceLocked, match=str(tmp_path)):
        do_study(settings, tmp_path, told=lambda line: None)
    with pytest.raises(ConfigError, match="a folder on a disk"):
        do_study(settings, path_of("memory://study"), told=lambda line: None)
    (tmp_path / "file").write_text("")
    process = started(folder, tmp_path / "file" / "out")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "a file or a link to nothing is in the way" in errors
    assert not list(tmp_path.glob("*/runs"))
