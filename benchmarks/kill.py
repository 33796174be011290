"""Kill a run a hundred times, anywhere, and compare what is left in the end: ``python -m benchmarks.kill``.

A run over a sample of about 50 MB goes through undisturbed first. Then the same command is started again and again,
in a few fresh folders, and its whole process group killed by SIGKILL at a random instant (after a random item; every
fourth time only its main process, whose workers must then leave by themselves), ten times in a folder, and at last let
through. Every byte of decisions, shards, quarantine, token store and mixtures must be that of the undisturbed run;
summaries hold times, and ``work/`` and markers bookkeeping, which is not compared. The work is the processor time of
all starts together; it is also given less that of ten starts with nothing to do (a run of terabytes does not notice
those; one of 50 MB does).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.machine import describe
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.status import run_status
from slimpajama.sample import write_sample

CONFIG = """\
input: {sample}
dedup: {{workers: 2}}
mixtures: {{recipes: [{recipes}], tokens: 4M, sequence_length: 512}}
"""

PAUSE = 0.3
"""Seconds after an item was finished within which a kill falls."""

COMPARED = ("decisions", "global", "local", "quarantine", "sources")
"""Folders whose every file is compared, wherever they lie; and Parquet files of mixtures."""


def command(config: Path, out: Path) -> list[str]:
    """A whole run."""
    return [sys.executable, "-m", "slimpajama", "run", str(config), "--output", str(out), "--quiet"]


def digests(out: Path) -> dict[str, str]:
    """Of every file that is a result."""
    found = {}
    for path in sorted(out.rglob("*")):
        parts = path.relative_to(out).parts
        is_result = any(part in COMPARED for part in parts) or path.suffix == ".parquet"
        if path.is_file() and is_result and not {"work", "done", ".done"} & set(parts):
            found["/".join(parts)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Watch:
    """Processor seconds of a process and all below it, looked at 50 times a second: killed ones tell nobody else."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._seen: dict[int, float] = {}

    def until(self, over: Callable[[], bool]) -> None:
        """Look until it is ``over``, or until the process ends."""
        while self._process.poll() is None and not over():
            try:
                root = psutil.Process(self._process.pid)
                for one in [root, *root.children(recursive=True)]:
                    times = one.cpu_times()
                    self._seen[one.pid] = times.user + times.system
            except psutil.NoSuchProcess:
                pass
            time.sleep(0.02)

    @property
    def seconds(self) -> float:
        """So far."""
        return sum(self._seen.values())


def start(config: Path, out: Path) -> subprocess.Popen[bytes]:
    """In a session of its own, with bytecode cached as in any installation."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.Popen(command(config, out), start_new_session=True, env=environment)


def whole_run(config: Path, out: Path) -> tuple[float, float]:
    """Let a run through; returns its wall and processor seconds."""
    began = time.perf_counter()
    process = start(config, out)
    watch = Watch(process)
    watch.until(lambda: False)
    if process.wait():
        raise SystemExit(f"a run ended with exit code {process.returncode}")
    return time.perf_counter() - began, watch.seconds


def stage_of(out: Path) -> str:
    """Where a killed run was, by its markers."""
    try:
        status = run_status(out)
    except Exception:  # nothing was asked yet
        return "starting"
    unfinished = [name for name, record in status.stages.items() if record.reused < record.items]
    return unfinished[0] if unfinished else "finishing"


def leavers(group: int) -> list[psutil.Process]:
    """Processes of a session that still live."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            pass
    return found


def finished_items(out: Path) -> int:
    """Markers that lie there."""
    return sum(
        name.endswith(".json")
        for folder, _, names in os.walk(out)  # goes over folders that vanish meanwhile
        if {"done", ".done", "parts"} & set(Path(folder).relative_to(out).parts)
        for name in names
    )


def killed_run(config: Path, out: Path, items: int, delay: float, whole_group: bool) -> float:
    """Start, kill ``delay`` seconds after ``items`` are finished; returns the processor seconds that were spent.

    Raises where workers outlive their parent.
    """
    process = start(config, out)
    watch = Watch(process)
    watch.until(lambda: finished_items(out) >= items)
    moment = time.monotonic() + delay
    watch.until(lambda: time.monotonic() >= moment)
    if process.poll() is None and whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 5
    while leavers(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = leavers(process.pid)
    if left:
        raise SystemExit(f"still there five seconds after their parent was killed: {left}")
    return watch.seconds


def main() -> None:
    """Print where the kills fell, the work, and the verdict; exit 1 if a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--each", type=int, default=10, help="kills of one run before it is let through")
    parser.add_argument("--docs", type=int, default=13_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(describe())
    rng = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    try:
        with LocalEngine(2) as engine:
            write_sample(folder / "sample", docs=arguments.docs, seed=1, engine=engine, progress=lambda size: None)
        recipes = ", ".join(str(Path("configs/mixtures", f"dc-{number}.yaml").resolve()) for number in (1, 4, 6))
        config = folder / "run.yaml"
        config.write_text(CONFIG.format(sample=folder / "sample", recipes=recipes))
        runs = [whole_run(config, folder / f"whole-{attempt}") for attempt in range(3)]
        whole, work = (sorted(figure)[1] for figure in zip(*runs, strict=True))
        idle, idle_work = whole_run(config, folder / "whole-0")
        expected, total = digests(folder / "whole-0"), finished_items(folder / "whole-0")
        print(
            f"undisturbed: {whole:.1f} s, {work:.1f} processor seconds (median of 3), {len(expected)} files compared; "
            f"a start with nothing to do: {idle:.1f} s, {idle_work:.1f} processor seconds"
        )
        where: Counter[str] = Counter()
        gross, net, times, different = [], [], [], 0
        for number in range(-(-arguments.kills // arguments.each)):
            out = folder / f"killed-{number}"
            spent = wall = 0.0
            for items in sorted(rng.sample(range(total), arguments.each)):
                began = time.perf_counter()
                spent += killed_run(config, out, items, rng.uniform(0, PAUSE), whole_group=rng.random() < 0.75)
                wall += time.perf_counter() - began
                where[stage_of(out)] += 1
            last_wall, last_work = whole_run(config, out)
            wall, spent = wall + last_wall, spent + last_work
            gross.append(spent / work)
            net.append((spent - arguments.each * idle_work) / work)
            times.append(wall / whole)
            found = digests(out)
            wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            left = list(out.rglob("*.tmp"))
            different += len(wrong) + len(left)
            print(
                f"run {number + 1}: {arguments.each} kills, {net[-1]:.2f} times the work "
                f"({gross[-1]:.2f} with start-ups, "
                f"{times[-1]:.2f} times the time), {len(wrong)} files differ, {len(left)} half written",
                flush=True,
            )
            for name in [*wrong, *left][:5]:
                print(f"  {name}")
            shutil.rmtree(out)
        print("kills by the stage they fell into:")
        for name, count in where.most_common():
            print(f"  {name:<18}{count:>4}")
        middle = [sorted(figures)[len(figures) // 2] for figures in (net, gross, times)]
        print(
            f"{sum(where.values())} kills, {different} differences; for {arguments.each} kills {middle[0]:.2f} times "
            f"the work of one run (median; {min(net):.2f} to {max(net):.2f}), {middle[1]:.2f} with {arguments.each} "
            f"more start-ups, and {middle[2]:.2f} times the time"
        )
        sys.exit(1 if different else 0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
