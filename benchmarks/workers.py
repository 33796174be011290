"""One worker and two, and what a plan says of it: ``python -m benchmarks.workers``.

Deduplicates the real text ``--copies`` times (as ``benchmarks.head_to_head`` makes it), global shards, with one worker
and with two in turn, and prints the seconds of each stage beside those that ``slimpajama plan`` gives for one worker.
Seconds are those of a clock, so run it on a quiet machine. A first run over one copy compiles the kernels.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from benchmarks.head_to_head import make_copies
from benchmarks.machine import describe
from benchmarks.quality import CORPUS
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.summary import read_summary
from slimpajama.text_table import aligned

COMMAND = [sys.executable, "-m", "slimpajama"]
SCOPE = ["--set", "scope=global"]


def stage_seconds(folder: Path, workers: int) -> dict[str, float]:
    """Of one deduplication, by stage, and in all."""
    with tempfile.TemporaryDirectory() as output:
        paths = ["--input", str(folder), "--output", output]
        subprocess.run([*COMMAND, "dedup", *paths, "--workers", str(workers), "--quiet", *SCOPE], check=True)
        summary = read_summary(DedupLayout(Path(output)))
    return {name: stage.seconds for name, stage in summary.stages.items()} | {"all": summary.seconds}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=11)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        one, folder = Path(name, "one"), Path(name, "input")
        make_copies(CORPUS, one, 1)
        stage_seconds(one, workers=2)
        size = make_copies(CORPUS, folder, options.copies)
        found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        for _ in range(options.runs):
            for workers, runs in found.items():
                runs.append(stage_seconds(folder, workers))
        config = Path(name, "plan.yaml")
        config.write_bytes(orjson.dumps({"input": str(folder), "dedup": {"scope": "global"}}))
        plan = [*COMMAND, "plan", str(config), "--cores", "1"]
        planned = subprocess.run(plan, check=True, capture_output=True, text=True).stdout
    rows = []
    for stage in found[1][0]:
        single, double = (statistics.median(run[stage] for run in runs) for runs in found.values())
        rows.append([stage, f"{single:.2f}", f"{double:.2f}", f"{single / double:.2f}" if double else ""])
    print(f"{size / 1e6:,.0f} MB of text, medians of {options.runs}")
    print(aligned([["stage", "one worker, s", "two", "times faster"], *rows]))
    print(planned[planned.index("stage ") :])


if __name__ == "__main__":
    main()
