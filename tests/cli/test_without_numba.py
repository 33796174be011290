"""Every command works where numba cannot be imported, once its kernels are compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from slimpajama.cli.main import main; main()"

COMMANDS = """\
run run.yaml --output ran --quiet
verify ran/dedup
duplicates ran/dedup
dedup --input ran/sample --output out --workers 2 --preset verified --quiet
"""

CONFIG = "sample: {docs: 300}\ndedup: {workers: 1}\nmixtures: {recipes: [dc-6], tokens: 20k, sequence_length: 128}\n"


def called(folder: Path, arguments: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", MAIN, *arguments.split()]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=300)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"


@pytest.mark.slow
def test_every_command_works_without_numba_once_its_kernels_are_compiled(tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "numba.py").write_text("raise ImportError('numba was imported')\n")
    package = str(Path(__file__).parents[2])
    with_numba = {**os.environ, "PYTHONPATH": package}
    without = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "blocked"), package])}
    for name, environment in (("first", with_numba), ("second", without)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.yaml").write_text(CONFIG)
        for arguments in COMMANDS.splitlines():
            called(tmp_path / name, arguments, environment)
