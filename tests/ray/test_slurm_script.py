"""The batch script for Slurm runs a command on a Ray cluster of all nodes of its job.

``srun`` is one that starts what it is given on this machine, once for each task.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from slimpajama import deduplicate
from tests.corpus.shards import files_below, jsonl, put

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm_ray.sbatch"
SRUN = """\
#!/bin/bash
for option; do
    case $option in
        --ntasks=*) tasks=${option#--ntasks=} ;;
        --*) ;;
        *) break ;;
    esac
    shift
done
trap 'kill $(jobs -p); wait' TERM
for ((task = 0; task < tasks; task++)); do "$@" & done
wait
"""


@pytest.mark.slow
def test_the_script_runs_a_command_across_its_nodes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    lines = [
        {"text": f"Line {number % 40} of this page is about the number {number % 40}. " * 8} for number in range(60)
    ]
    put(tmp_path / "in", {"c4/a.jsonl": jsonl(lines[:30]), "github/b.jsonl": jsonl(lines[30:])})
    deduplicate(tmp_path / "in", tmp_path / "here", workers=1)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "srun").write_text(SRUN)
    (programs / "srun").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    job = {"SLURM_CPUS_PER_TASK": "1", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": str(os.getpid()), "PATH": path}
    command = [
        str(SCRIPT),
        "dedup",
        "--input",
        str(tmp_path / "in"),
        "--output",
        str(tmp_path / "there"),
        "--json",
    ]
    finished = subprocess.run(command, env={**os.environ, **job}, capture_output=True, text=True, timeout=240)
    assert finished.returncode == 0, finished.stderr
    assert orjson.loads(finished.stdout)["settings"]["workers"] == 2
    kinds = ("decisions/", "global/", "local/")
    here, there = (
        {path: content for path, content in files_below(tmp_path / out).items() if path.startswith(kinds)}
        for out in ("here", "there")
    )
    assert here == there
    assert len(here) >= 4


def test_the_script_needs_a_job_of_slurm() -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    finished = subprocess.run([str(SCRIPT), "dedup"], env=without, capture_output=True, text=True, timeout=60)
    assert finished.returncode != 0
    assert "start this script by sbatch" in finished.stderr
