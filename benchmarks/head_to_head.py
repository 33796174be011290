"""Whole commands in turn, round by round, on one core: ``python -m benchmarks.head_to_head --environments FOLDER``.

What ``slimpajama dedup`` does with and without shards is timed beside the same commands of an earlier commit
(``--against-commit``), and beside the fastest tools of ``benchmarks.peers``, whose environments must be in FOLDER. A
round runs each once, so that what else goes on falls on all; ratios are of one round each, and their median is told.
Seconds are those of the processor (user and system, of a command and all processes it starts). The text is the real
one ``--copies`` times; in each copy but the first, letters are rotated, so that a copy is no duplicate of another but
as long, as compressible and as repetitive. A first round, which compiles kernels, is not counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import zstandard

from benchmarks.machine import describe
from benchmarks.peers import ONE_THREAD, PEERS, ROOT, make_environment, measured_run
from benchmarks.quality import CORPUS
from benchmarks.truth import documents
from slimpajama.corpus.discovery import discover
from slimpajama.text_table import aligned

OURS = {
    "shards": ("--scope", "global"),
    "both scopes": ("--scope", "both"),
    "decisions": ("--scope", "none"),
    "no look": ("--scope", "global", "--set", "sampled_removals=0"),
    "verified": ("--scope", "global", "--preset", "verified"),
    "quick": ("--scope", "global", "--preset", "quick"),
}
NEW = {"decisions", "quick"}
"""What commands of before do not know."""

LETTERS = string.ascii_lowercase


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to time, in a ``folder``; ``{output}`` in it becomes an empty folder."""

    name: str
    folder: Path
    command: tuple[str, ...]
    environment: dict[str, str]


def make_copies(corpus: Path, folder: Path, copies: int) -> int:
    """Shards of all documents, ``copies`` times; returns the bytes of their texts."""
    by_shard: dict[str, list[tuple[str, str]]] = {}
    for name, text in zip(*documents(discover(corpus)), strict=True):
        by_shard.setdefault(name.rpartition(":")[0], []).append((name, text))
    size = 0
    for copy in range(copies):
        by = 5 * copy % len(LETTERS)
        turned = LETTERS[by:] + LETTERS[:by]
        table = str.maketrans(LETTERS + LETTERS.upper(), turned + turned.upper())
        for shard, pairs in by_shard.items():
            texts = [(f"{copy}:{name}", text.translate(table)) for name, text in pairs]
            size += sum(len(text.encode()) for _, text in texts)
            lines = [orjson.dumps({"text": text, "meta": {"url": name}, "id": name}) for name, text in texts]
            file = folder / Path(shard).parent / f"{copy}-{Path(shard).name.partition('.jsonl')[0]}.jsonl.zst"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(zstandard.ZstdCompressor(3).compress(b"\n".join(lines) + b"\n"))
    return size


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "tree")
        git = shutil.which("git") or "git"
        subprocess.run([git, "worktree", "add", "--quiet", "--detach", str(tree), commit], check=True, cwd=ROOT)
        try:
            yield tree
        finally:
            subprocess.run([git, "worktree", "remove", "--force", str(tree)], check=True, cwd=ROOT)


def ours(tree: Path, label: str, names: list[str], folder: Path) -> list[Contender]:
    """Our commands of the version in ``tree``."""
    command = [sys.executable, "-m", "slimpajama", "dedup", "--input", str(folder), "--output", "{output}", "--quiet"]
    return [Contender(f"{label}{name}", tree, (*command, "--workers", "1", *OURS[name]), ONE_THREAD) for name in names]


def tools(names: list[str], folder: Path, environments: Path) -> list[Contender]:
    """The programs of other tools."""
    found = []
    for peer in PEERS:
        if peer.name in names:
            python, version = make_environment(peer, environments)
            program = f"benchmarks.peer_programs.{peer.program}"
            command = (str(python), "-m", program, str(folder), "{output}/kept", "{output}", peer.variant)
            environment = ONE_THREAD | {"PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}
            found.append(Contender(f"{peer.name} {version}", ROOT, command, environment))
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, help="folder of benchmarks.peers, for other tools")
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to read (default: the shared real text)")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--ours", nargs="*", choices=OURS, default=["shards", "decisions", "verified"])
    parser.add_argument("--against-commit", metavar="COMMIT", help="time an earlier version, too")
    parser.add_argument("--tools", nargs="*", default=["rensa, words"], metavar="NAME", help="of benchmarks.peers")
    options = parser.parse_args()
    print(describe())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "input"
        size = make_copies(options.input, folder, options.copies)
        contenders = ours(ROOT, "", options.ours, folder)
        if options.against_commit:
            tree = stack.enter_context(checked_out(options.against_commit))
            known = [name for name in options.ours if name not in NEW]
            contenders += ours(tree, f"{options.against_commit}, ", known, folder)
        if options.environments:
            contenders += tools(options.tools, folder, options.environments.resolve())
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        seconds: dict[str, list[float]] = {one.name: [] for one in contenders}
        peaks: dict[str, int] = {}
        for number in range(options.runs + 1):
            for one in contenders:
                with tempfile.TemporaryDirectory() as output:
                    command = [part.replace("{output}", output) for part in one.command]
                    measured = measured_run(command, "", one.environment, one.folder)
                if measured.failure:
                    raise SystemExit(f"{one.name}: {measured.failure}")
                if number:
                    seconds[one.name].append(measured.cpu)
                    peaks[one.name] = max(peaks.get(one.name, 0), measured.peak)
    print(f"{size / 1e6:.0f} MB of text, medians of {options.runs} rounds; a ratio is how often faster the column's is")
    table = [["", "CPU s", "peak MiB", *options.ours]]
    for name, own in seconds.items():
        ratios = [
            statistics.median(other / mine for other, mine in zip(own, seconds[column], strict=True))
            for column in options.ours
        ]
        table.append(
            [name, f"{statistics.median(own):.2f}", f"{peaks[name] >> 20:,}", *(f"{ratio:.2f}" for ratio in ratios)]
        )
    print(aligned(table))


if __name__ == "__main__":
    main()
