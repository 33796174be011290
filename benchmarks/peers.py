"""The same documents through what people use instead, each tool in an environment of its own, one core each.

``python -m benchmarks.peers --environments FOLDER`` makes the input, an environment for each tool (``venv`` and
``pip``), runs one after the other, and prints the table; ``--write`` puts it into ``docs/benchmarks.md``. What was
measured is kept in FOLDER, and not measured again; ``--again NAME`` does one anew. The whole takes more than an hour,
most of it in tools that need ten minutes and more.

Seconds are those of the processor (user and system, of a tool and all processes it starts), so other work on the
machine matters little. Memory is the peak of the largest process. Every removal is judged by the exact truth.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import orjson
import zstandard

from benchmarks.outcomes import Row, judged, of_output, of_written
from benchmarks.pages import rewrite
from benchmarks.quality import CORPUS, DOCS
from benchmarks.truth import Truth, documents, truth_of
from slimpajama.corpus.discovery import discover
from slimpajama.text_table import aligned, markdown_table

ROOT = Path(__file__).parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool: its ``environment`` holds ``packages``, the first of which is the tool; ``program`` is in
    ``peer_programs`` and goes the way ``variant``."""

    name: str
    environment: str
    packages: tuple[str, ...]
    program: str
    settings: str
    variant: str = "-"


READING = ("orjson", "zstandard")
PEERS = (
    Peer(
        "the published loop",
        "datasketch",
        ("datasketch", *READING),
        "published_loop",
        "13 characters, 9 × 13 of 128, components",
    ),
    Peer(
        "datatrove",
        "datatrove",
        ("datatrove[io,processing]", "spacy", *READING),
        "datatrove_minhash",
        "its defaults: word 5-grams, 14 × 8, components",
    ),
    Peer(
        "text-dedup",
        "text_dedup",
        ("text-dedup", *READING),
        "text_dedup_minhash",
        "its defaults: word 5-grams, 250 permutations at 0.7, components",
    ),
    Peer(
        "data-juicer",
        "data_juicer",
        ("py-data-juicer", "aiohttp", *READING),
        "data_juicer_minhash",
        "13 characters, 9 × 13, components",
    ),
    Peer(
        "daft",
        "daft",
        ("daft", *READING),
        "daft_minhash",
        "word 5-grams, 14 × 8, components",
    ),
    Peer(
        "FastSketchLSH, words",
        "fastsketchlsh",
        ("FastSketchLSH", *READING),
        "fastsketch",
        "its README: sets of words, 16 × 8, first come",
        "words",
    ),
    Peer(
        "FastSketchLSH, characters",
        "fastsketchlsh",
        ("FastSketchLSH", *READING),
        "fastsketch",
        "13 characters, 16 × 8, first come",
        "characters",
    ),
    Peer(
        "rensa, words",
        "rensa",
        ("rensa", *READING),
        "rensa_readme",
        "its README: sets of words, 128 permutations, estimate ≥ 0.8, first come",
        "words",
    ),
    Peer(
        "rensa, characters",
        "rensa",
        ("rensa", *READING),
        "rensa_readme",
        "13 characters, 128 permutations, estimate ≥ 0.8, first come",
        "characters",
    ),
)
OURS = {
    "slimpajama": "13 characters, 9 × 13, components",
    "verified": "13 characters, 14 × 8, each removal checked",
    "fineweb": "5 words, 14 × 8, components",
    "dolma3": "5 words, 26 × 11, each removal checked",
    "quick": "13 characters, one permutation, each removal checked",
    "nemo": "24 characters, 20 × 13, components",
}

HEADING = (
    "tool",
    "version",
    "settings",
    "CPU s",
    "MB/s",
    "peak MiB",
    "removed",
    "MB",
    "J < 0.8 with the survivor",
    "nothing left at J ≥ 0.8",
    "left with a twin ≥ 0.8",
)


LAUNCHER = """
import os, subprocess, sys, tempfile
with tempfile.TemporaryFile() as output:
    process = subprocess.Popen(sys.argv[1:], stdout=output, stderr=output)
    _, status, used = os.wait4(process.pid, 0)
    output.seek(0)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status), flush=True)
    sys.stdout.buffer.write(output.read())
"""
"""A small process starts the command: a process counts the peak of the one that it was forked from as its own."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: ``cpu`` seconds, ``peak`` bytes of the largest process; or why there is none."""

    version: str
    cpu: float = 0.0
    peak: int = 0
    failure: str = ""


def cells(name: str, settings: str, measured: Measured, row: Row | None, size: int) -> list[str]:
    """A line of the table; ``size``: bytes of text."""
    start = [name, measured.version or "–", settings]
    if row is None:
        return [*start, measured.failure, *["–"] * (len(HEADING) - len(start) - 1)]
    return [
        *start,
        f"{measured.cpu:,.1f}" if measured.cpu < 100 else f"{measured.cpu:,.0f}",
        f"{size / 1e6 / measured.cpu:,.3g}",
        f"{measured.peak / 2**20:,.0f}",
        f"{row.removed:,}",
        f"{row.bytes / 1e6:.1f}",
        "–" if row.below is None else f"{row.below:,}",
        f"{row.lost:,}",
        f"{row.left:,}",
    ]


def first_line(output: str) -> str:
    """Why something failed, in one line: the first that pip calls an error, or else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    chosen = errors[0] if errors else lines[-1] if lines else "it ended without a word"
    return chosen.removeprefix("ERROR:").strip().replace("|", "/")[:200]


def measured_run(command: Sequence[str], version: str, environment: dict[str, str], folder: Path = ROOT) -> Measured:
    """Run a command in ``folder`` to its end."""
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    finished = subprocess.run(launcher, capture_output=True, text=True, cwd=folder, env=os.environ | environment)
    told, _, output = finished.stdout.partition("\n")
    cpu, peak, code = told.split()
    return Measured(version, float(cpu), int(peak) * 1024, first_line(output) if int(code) else "")


def make_input(corpus: Path, folder: Path) -> None:
    """Shards of the documents that are long enough, with ids, in the folders of their sources."""
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    by_shard: dict[str, list[bytes]] = {}
    for name, text in zip(*documents(discover(corpus)), strict=True):
        by_shard.setdefault(name.rpartition(":")[0], []).append(orjson.dumps({"id": name, "text": text}))
    for shard, lines in by_shard.items():
        file = unfinished / Path(shard).parent / (Path(shard).name.partition(".jsonl")[0] + ".jsonl.zst")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(zstandard.ZstdCompressor(3).compress(b"\n".join(lines) + b"\n"))
    unfinished.rename(folder)


def make_environment(peer: Peer, environments: Path) -> tuple[Path, str]:
    """The interpreter of a tool's environment and the tool's version; or no version and what pip says."""
    folder = environments / peer.environment
    python = folder / "bin" / "python"
    wanted = " ".join(peer.packages)
    mark = folder / "installed.txt"
    if not (mark.exists() and mark.read_text().strip() == wanted):
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages]
        finished = subprocess.run(pip, capture_output=True, text=True)
        if finished.returncode:
            raise NotInstalled(first_line(finished.stderr))
        mark.write_text(wanted + "\n")
    package = peer.packages[0].partition("[")[0]
    code = f"from importlib.metadata import version; print(version({package!r}))"
    version = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    return python, version


class NotInstalled(Exception):
    """The packages of a tool cannot be installed here."""


def run_peer(peer: Peer, folder: Path, environments: Path, result: Path) -> Measured:
    """Install a tool and run its program."""
    try:
        python, version = make_environment(peer, environments)
    except NotInstalled as fault:
        return Measured("", failure=f"not installed: {fault}")
    with tempfile.TemporaryDirectory() as work:
        program = f"benchmarks.peer_programs.{peer.program}"
        command = [str(python), "-m", program, str(folder), str(result), work, peer.variant]
        settings = {"PYTHONPATH": str(ROOT), "HF_HOME": f"{work}/home", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        return measured_run(command, version, ONE_THREAD | settings)


def run_ours(preset: str, folder: Path, truth: Truth, result: Path) -> Measured:
    """Run the command twice, the first time to compile its kernels, and note what it kept."""
    for _ in range(2):
        with tempfile.TemporaryDirectory() as output:
            command = [
                sys.executable,
                "-m",
                "slimpajama",
                "dedup",
                "--input",
                str(folder),
                "--output",
                output,
                "--quiet",
            ]
            command += ["--scope", "global", "--workers", "1", "--set", f"preset={preset}", "--set", "id_field=id"]
            measured = measured_run(command, metadata.version("slimpajama"), ONE_THREAD)
            if measured.failure:
                return measured
            outcome = of_output(Path(output), truth)
    names = truth.names
    survivors = {names[one]: names[outcome.survivors[one]] for one in outcome.removed.nonzero()[0].tolist()}
    kept = [names[one] for one in outcome.kept.nonzero()[0].tolist()]
    result.write_bytes(orjson.dumps({"kept": kept, "survivors": survivors}))
    return measured


def selected(names: Iterable[str]) -> set[str]:
    """Names of tools, all of which must exist."""
    known = {*(peer.name for peer in PEERS), *OURS}
    if wrong := set(names) - known:
        raise SystemExit(f"there is no tool {sorted(wrong)[0]!r}; choose from {', '.join(sorted(known))}")
    return set(names)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="folder for environments, input and results")
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to read (default: the shared real text)")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="NAME", help="measure these alone, if not yet measured"
    )
    parser.add_argument("--again", nargs="*", default=[], metavar="NAME", help="measure these anew")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    again, only = selected(options.again), selected(options.only)
    environments, results = options.environments.resolve(), options.environments.resolve() / "results"
    results.mkdir(parents=True, exist_ok=True)
    truth = truth_of(options.input, environments)
    folder = environments / "input"
    make_input(options.input, folder)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # what this process starts stays on one core, too
    table = [list(HEADING)]
    for name, settings, peer in [
        *((name, settings, None) for name, settings in OURS.items()),
        *((peer.name, peer.settings, peer) for peer in PEERS),
    ]:
        figures, kept = results / f"{name}.json", results / f"{name}.kept.json"
        if name in again or not figures.exists():
            if only and name not in only | again:
                continue
            measured = run_peer(peer, folder, environments, kept) if peer else run_ours(name, folder, truth, kept)
            figures.write_bytes(orjson.dumps(asdict(measured)))
        measured = Measured(**orjson.loads(figures.read_bytes()))
        row = None if measured.failure else judged(of_written(kept, truth), truth)
        label = name if peer else f"slimpajama, `{name}`"
        table.append(cells(label, settings, measured, row, int(truth.bytes.sum())))
        print(aligned([HEADING, table[-1]]), flush=True)
    if options.write:
        rewrite(DOCS / "benchmarks.md", "peers", markdown_table(table))
    else:
        print(aligned(table))


if __name__ == "__main__":
    main()
