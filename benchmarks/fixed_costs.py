"""What a run costs beside the text: ``python -m benchmarks.fixed_costs``.

Start-up: the seconds until the first marker of a run over one document (a clock; two workers), and the processor
seconds of that whole run. Small shards: the processor milliseconds and the files for each of ``--shards`` shards of
three documents. ``--against-commit`` runs an earlier version in turn, round by round; medians are told, after a round
that is not counted, which compiles kernels. Python keeps its compiled modules in a folder of the benchmark's own, as an
installed program has them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard

from benchmarks.head_to_head import checked_out
from benchmarks.machine import describe
from benchmarks.peers import ROOT, measured_run
from slimpajama.text_table import aligned

DOCUMENTS = 3
WORDS = "the quick brown fox jumps over a lazy dog and then some more words follow to make it long enough"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the program, in the folder ``tree``, and the environment that its processes get."""

    label: str
    tree: Path
    environment: dict[str, str]

    def command(self, folder: Path, output: Path, workers: int) -> list[str]:
        """A deduplication of ``folder``."""
        program = [sys.executable, "-m", "slimpajama", "dedup", "--quiet", "--workers", str(workers)]
        return [*program, "--input", str(folder), "--output", str(output)]

    def seconds_to_marker(self, folder: Path, output: Path) -> float:
        """From the start of a run until its first marker lies there."""
        began = time.perf_counter()
        command = self.command(folder, output, workers=2)
        with subprocess.Popen(command, cwd=self.tree, env=os.environ | self.environment) as process:
            while process.poll() is None:
                if any((output / "work").glob("**/done/**/*.json")):
                    seconds = time.perf_counter() - began
                    process.wait()
                    return seconds
                time.sleep(0.002)
        raise SystemExit(f"{self.label}: no marker was seen")


def make_shards(folder: Path, shards: int, documents: int) -> None:
    """Shards of different texts of about 300 characters."""
    for number in range(shards):
        texts = (f"{number} {row} {WORDS} " * 3 for row in range(documents))
        lines = b"".join(orjson.dumps({"text": text}) + b"\n" for text in texts)
        file = folder / "c4" / f"{number:05d}.jsonl.zst"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(zstandard.ZstdCompressor(3).compress(lines))


def measure(version: Version, one: Path, many: Path, shards: int) -> list[float]:
    """Seconds to the first marker, processor seconds of one document, and of small shards ms and files a shard."""
    with tempfile.TemporaryDirectory() as name:
        first = version.seconds_to_marker(one, Path(name, "first"))
        runs = []
        for folder, output in ((one, Path(name, "one")), (many, Path(name, "many"))):
            run = measured_run(version.command(folder, output, workers=1), "", version.environment, version.tree)
            if run.failure:
                raise SystemExit(f"{version.label}: {run.failure}")
            runs.append(run.cpu)
        files = sum(path.is_file() for path in Path(name, "many").rglob("*"))
    return [first, runs[0], 1000 * (runs[1] - runs[0]) / shards, files / shards]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--against-commit", metavar="COMMIT", help="time an earlier version, too")
    options = parser.parse_args()
    print(describe())
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_shards(folder / "one", 1, 1)
        make_shards(folder / "many", options.shards, DOCUMENTS)
        trees = {"now": ROOT}
        if options.against_commit:
            trees[options.against_commit] = stack.enter_context(checked_out(options.against_commit))
        versions = [
            Version(label, tree, {"PYTHONPATH": str(tree), "PYTHONPYCACHEPREFIX": str(folder / "compiled" / label)})
            for label, tree in trees.items()
        ]
        found: dict[str, list[list[float]]] = {version.label: [] for version in versions}
        for number in range(options.runs + 1):
            for version in versions:
                measured = measure(version, folder / "one", folder / "many", options.shards)
                if number:
                    found[version.label].append(measured)
    table = [["", "s to the first marker", "CPU s, one document", "CPU ms a small shard", "files a small shard"]]
    for label, runs in found.items():
        first, one, shard, files = (statistics.median(column) for column in zip(*runs, strict=True))
        table.append([label, f"{first:.2f}", f"{one:.2f}", f"{shard:.2f}", f"{files:.3f}"])
    print(aligned(table))


if __name__ == "__main__":
    main()
