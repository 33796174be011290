"""Let every file call of a small run fail, one after the other: ``python -m benchmarks.faults``.

A whole run (five shards of three sources in four formats, a broken record, a shard in parts, a token store and a
mixture) is made once undisturbed, counting the calls that open, write, flush, close, rename, remove and read. Then for
each kind of call and each n, the n-th such call fails (with ENOSPC, EIO, EACCES, by writing half, or with all that
follow, as on a disk that stays full). Each time the run must either succeed with the right bytes or end with one of the
program's own errors, that names the file; what lies in the output must be right as far as it goes; and the same run
without a fault must then give the right bytes and leave nothing behind. Calls are intercepted by ``faults.c``, which is
compiled and preloaded, so the system's own paths are taken; see there. Costs about 0.3 s for each case.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
import zstandard

from slimpajama.config.run import load_run_config
from slimpajama.errors import SlimpajamaError
from slimpajama.pipeline.run import run_all

KINDS = ("open to write", "write", "fsync", "close", "rename", "unlink", "mkdir", "open to read", "read")
SHORT = -1
CASES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("open to write", (errno.ENOSPC, errno.EACCES)),
    ("write", (errno.ENOSPC, errno.EIO, SHORT)),
    ("fsync", (errno.EIO,)),
    ("close", (errno.EIO,)),
    ("rename", (errno.EIO,)),
    ("unlink", (errno.EACCES,)),
    ("mkdir", (errno.ENOSPC,)),
    ("open to read", (errno.EIO,)),
    ("read", (errno.EIO,)),
)
LASTING = (("write", errno.ENOSPC), ("fsync", errno.EIO))
BETWEEN = {"work", "runs", "surveys"}
RESULTS = (".parquet", ".zst", ".npy", ".jsonl")


@dataclass(frozen=True, slots=True)
class Case:
    """The ``number``-th call of a ``kind`` fails with ``error``; with ``lasting``, so do all after it."""

    kind: str
    error: int
    lasting: bool
    number: int

    @property
    def group(self) -> str:
        """What the table shows."""
        how = "half written" if self.error == SHORT else errno.errorcode[self.error]
        return f"{self.kind}, {how}{', from there on' if self.lasting else ''}"


def write_corpus(folder: Path) -> Path:
    """A corpus in many formats and the config of a run over it; returns the config."""
    rng = random.Random(1)

    def text() -> str:
        return " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(60))

    shared = [text() for _ in range(6)]
    lines = {
        name: [
            json.dumps({"text": one, "meta": {"n": number}}).encode()
            for number, one in enumerate([*(text() for _ in range(size)), *rng.sample(shared, 3)])
        ]
        for name, size in (("web", 200), ("more", 9), ("code", 9), ("wiki", 9), ("table", 9))
    }
    for source in ("web", "code", "wiki"):
        (folder / "in" / source).mkdir(parents=True)
    lines["web"].insert(3, b'{"text": broken')
    joined = {name: b"\n".join(own) + b"\n" for name, own in lines.items()}
    (folder / "in" / "web" / "a.jsonl.zst").write_bytes(zstandard.compress(joined["web"]))
    (folder / "in" / "web" / "b.jsonl").write_bytes(joined["more"])
    (folder / "in" / "code" / "a.jsonl.gz").write_bytes(gzip.compress(joined["code"], mtime=0))
    (folder / "in" / "wiki" / "a.jsonl.zst").write_bytes(zstandard.compress(joined["wiki"]))
    texts = [json.loads(line)["text"] for line in lines["table"]]
    pq.write_table(pa.table({"text": texts}), folder / "in" / "wiki" / "b.parquet")
    recipe = {"name": "mixture", "weights": {"web": 60, "code": 40}, "tokens": 3000, "sequence_length": 32}
    (folder / "mixture.yaml").write_text(yaml.safe_dump({**recipe, "max_epochs": 100, "file_tokens": 2000}))
    config = {
        "input": "in",
        "dedup": {"workers": 1, "part_bytes": "64KiB", "max_bad_fraction": 0.5},
        "tokens": {"holdout": 0.1, "vocabulary": 512},
        "mixtures": {"recipes": ["mixture.yaml"]},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    return folder / "run.yaml"


def run(config: Path, out: Path) -> None:
    """A whole run in this process."""
    run_all(load_run_config(config), config.parent, out)


def results(out: Path) -> dict[str, str]:
    """Digests of all files that are results, by path."""
    files = (
        path for path in out.rglob("*") if path.suffix in RESULTS and not BETWEEN & set(path.relative_to(out).parts)
    )
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class Faults:
    """The preloaded library."""

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faults_failed.restype = self._library.faults_count.restype = ctypes.c_long
        self._folder = str(folder).encode()

    def arm(self, case: Case | None) -> None:
        """Fail from now on as ``case`` says; count only, without one."""
        kind = KINDS.index(case.kind) if case else len(KINDS)
        number, lasting, error = (case.number, case.lasting, case.error) if case else (0, False, 0)
        self._library.faults_arm(
            self._folder, kind, ctypes.c_long(number), max(error, 0), int(lasting), int(error == SHORT)
        )

    def disarm(self) -> tuple[dict[str, int], int]:
        """Calls of each kind since armed, and how many failed."""
        self._library.faults_disarm()
        counts = {kind: self._library.faults_count(number) for number, kind in enumerate(KINDS)}
        return counts, self._library.faults_failed()


def outcome(case: Case, faults: Faults, config: Path, out: Path, expected: dict[str, str]) -> tuple[str, str]:
    """What became of the case, in a word, and what was wrong, if anything."""
    said = ""
    faults.arm(case)
    try:
        run(config, out)
    except SlimpajamaError as error:
        said = str(error)
    except BaseException as error:
        faults.disarm()
        return "crash", f"{type(error).__name__}: {error}"
    _, failed = faults.disarm()
    found = results(out)
    wrong = sorted(name for name, digest in found.items() if expected.get(name) != digest)
    if wrong or (not said and found != expected):
        return "wrong result", f"{wrong or sorted(set(expected) - set(found))}; {said or 'no error'}"
    if said and (str(config.parent) not in said or "\n" in said):
        return "unclear error", said
    try:
        run(config, out)
    except Exception as error:
        return "not resumable", f"{type(error).__name__}: {error}; after: {said}"
    if results(out) != expected:
        return "wrong result after resuming", said
    left = [str(path) for path in out.rglob("*.tmp")]
    if left:
        return "left behind", left[0]
    return ("error" if said else "no effect" if failed else "not reached"), said


def cases(counts: dict[str, int], every: int) -> Iterator[Case]:
    """All of them, or every so many-th."""
    wanted = [(kind, error, False) for kind, errors in CASES for error in errors]
    wanted += [(kind, error, True) for kind, error in LASTING]
    place = 0
    for kind, error, lasting in wanted:
        for number in range(1, counts[kind] + 1):
            place += 1
            if place % every == 0:
                yield Case(kind, error, lasting, number)


def sweep(every: int, share: int, shares: int) -> dict[str, list[list[str]]]:
    """Outcomes of this share of the cases, as [outcome, what was wrong] by group; in a process with the library."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        config = write_corpus(folder)
        faults = Faults(folder)
        run(config, folder / "expected")
        expected = results(folder / "expected")
        faults.arm(None)
        run(config, folder / "out")
        counts, _ = faults.disarm()
        if results(folder / "out") != expected:
            raise SystemExit("two undisturbed runs differ")
        found: dict[str, list[list[str]]] = {}
        for place, case in enumerate(cases(counts, every)):
            if place % shares == share:
                shutil.rmtree(folder / "out")
                told = outcome(case, faults, config, folder / "out", expected)
                found.setdefault(case.group, []).append([told[0], f"call {case.number}: {told[1]}"])
        return found


def compiled(folder: Path) -> Path:
    """The library, compiled into ``folder``. Raises where there is no compiler."""
    library = folder / "faults.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)  # noqa: S607
    return library


def swept(every: int, processes: int) -> dict[str, list[list[str]]]:
    """All cases, in some processes."""
    with tempfile.TemporaryDirectory() as name:
        environment = {**os.environ, "LD_PRELOAD": str(compiled(Path(name)))}
        command = [sys.executable, "-m", "benchmarks.faults", "--every", str(every)]
        running = [
            subprocess.Popen([*command, "--share", f"{share}/{processes}"], env=environment, stdout=subprocess.PIPE)
            for share in range(processes)
        ]
        found: dict[str, list[list[str]]] = {}
        for process in running:
            output, _ = process.communicate()
            if process.returncode:
                raise SystemExit(f"a process of the sweep ended with {process.returncode}")
            for group, outcomes in json.loads(output).items():
                found.setdefault(group, []).extend(outcomes)
        return found


GOOD = ("error", "no effect", "not reached")


def main() -> None:
    """Print a table of outcomes; exit 1 for any that is not good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th case")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--share", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.share:
        share, shares = map(int, arguments.share.split("/"))
        print(json.dumps(sweep(arguments.every, share, shares)))
        return
    found = swept(arguments.every, arguments.processes)
    print(f"{'the call that failed':<34}{'cases':>7}{'error':>7}{'no effect':>11}{'not reached':>13}{'bad':>5}")
    bad = []
    for group, outcomes in found.items():
        counts = Counter(kind for kind, _ in outcomes)
        wrong = [(group, kind, what) for kind, what in outcomes if kind not in GOOD]
        bad += wrong
        numbers = [counts[kind] for kind in GOOD]
        print(f"{group:<34}{len(outcomes):>7}{numbers[0]:>7}{numbers[1]:>11}{numbers[2]:>13}{len(wrong):>5}")
    print(f"{sum(map(len, found.values())):,} cases, {len(bad)} bad")
    for case in bad[:40]:
        print("  ", *(part[:400] for part in case))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
