"""LSH, connected components and their groups, of up to a billion documents: ``python -m benchmarks.scale``.

Documents are keys alone (see ``planted``), written band by band in the form the first stage leaves them, each band
removed when it is linked; then linking, clustering and grouping run as in a deduplication, each in a process of its
own, within a memory setting, and the clusters found are compared with those planted, document by document. Groups are
counted and removed one after the other. Processor seconds and memory are those of the whole process tree, as seen from
outside (memory ten times a second: RSS, which counts mapped files, and in each process what they share). With
``--keep FOLDER`` a run that was interrupted goes on. A billion documents take 40 GB of disk to link and cluster, 60 to
group.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import describe
from benchmarks.planted import (
    BANDS,
    FIRST_SHARDS,
    SOURCES,
    Planted,
    plant_band,
    plant_clusters,
    plant_sizes,
    wrong_clusters,
)
from slimpajama.config.dedup import Config, load_config
from slimpajama.dedup.files.clusters import cluster_batches
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.lsh import KeyRange, key_ranges
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.dedup.stages.cluster import ClusterPayload, ClusterStage
from slimpajama.dedup.stages.group import GroupPayload, GroupStage, group_ranges
from slimpajama.dedup.stages.link import LinkPayload, LinkStage
from slimpajama.engine.import_guard import all_ours
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.resources import task_bytes, whole_machine_bytes, worker_count

PLACES = SourceRanges.of([str(number) for number in range(SOURCES)], FIRST_SHARDS)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree took; ``disk_bytes``: at most, below a folder."""

    seconds: float
    processor_seconds: float
    peak_bytes: int
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a step took: processor ``seconds`` in its tasks and, ``start_up``, beside them; at most so many bytes of
    memory and of disk. ``figures``: what it found."""

    seconds: float
    start_up: float
    peak_bytes: int
    disk_bytes: int
    figures: dict[str, int]


def observed(command: list[str], folder: Path | None = None) -> tuple[str, Usage]:
    """The output of a command, and what it and all below it took."""
    began = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    spent: dict[int, float] = {}
    peak = disk = looks = 0
    while process.poll() is None:
        total = 0
        for one in (process, *process.children(recursive=True)):
            try:
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                pass
        peak = max(peak, total)
        if folder and looks % 20 == 0:
            disk = max(disk, disk_use(folder))
        looks += 1
        time.sleep(0.1)
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return output, Usage(time.perf_counter() - began, sum(spent.values()), peak, disk)


def disk_use(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def process_of(number: int) -> int:
    """Which process handles an item; so that workers have started before anything is measured."""
    time.sleep(0.5)
    return psutil.Process().pid


def tree_seconds() -> float:
    """Processor seconds of this process and all below it so far."""
    processes = (psutil.Process(), *psutil.Process().children(recursive=True))
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def run_step(name: str, folder: Path, documents: int, config: Config) -> dict[str, Any]:
    """One step, as in a deduplication; returns its figures."""
    all_ours()
    with LocalEngine(worker_count(config)) as engine:
        list(engine.map(process_of, range(engine.workers), str, ["slimpajama.dedup.compiled"]))
        spent = tree_seconds()
        if name.startswith("link"):
            figures = link(engine, int(name.partition("-")[2]), folder, documents, config)
        elif name == "cluster":
            figures = cluster(engine, folder, config)
        else:
            figures = group(engine, folder, config)
        return {"seconds": tree_seconds() - spent, **figures}


def link(engine: LocalEngine, band: int, folder: Path, documents: int, config: Config) -> dict[str, int]:
    """Link one band, range by range."""
    ranges = key_ranges(documents, task_bytes(config))
    payloads = [
        LinkPayload(
            KeyRange(f"band_{band}", number, ranges),
            documents,
            folder / "band/rows.json",
            PLACES,
            folder / f"links/{band}-{number}.arrow",
        )
        for number in range(ranges)
    ]
    results = [result for _, result in engine.map(LinkStage.run, payloads)]
    return {"ranges": ranges, "links": sum(result.linked for result in results)}


def cluster(engine: LocalEngine, folder: Path, config: Config) -> dict[str, int]:
    """Turn all links into clusters."""
    files = tuple(sorted((folder / "links").iterdir()))
    payload = ClusterPayload(files, PLACES, folder / "clusters.arrow", whole_machine_bytes(config))
    ((_, clusters),) = engine.map(ClusterStage.run, [payload])
    return {"linked": clusters.linked}


def group(engine: LocalEngine, folder: Path, config: Config) -> dict[str, int]:
    """Make groups of all clusters."""
    linked = sum(batch.ids.size for batch in cluster_batches(folder / "clusters.arrow"))
    parts = group_ranges(linked, SOURCES, 0, task_bytes(config))
    payloads = [
        GroupPayload(
            scope,
            number,
            parts,
            folder / "clusters.arrow",
            folder / "sizes/rows.json",
            PLACES,
            Precedence(("source",), PLACES),
            folder / f"groups/{scope}-{number}.arrow",
        )
        for scope in BOTH
        for number in range(parts)
    ]
    clusters = largest = 0
    for number, result in engine.map(GroupStage.run, payloads):
        payloads[number].groups_file.unlink()
        if result.scope == "global":
            clusters += result.clusters
            largest = max(largest, *(one.documents for one in result.largest))
    return {"clusters": clusters, "largest": largest}


def measure(
    documents: int, memory: str, workers: int | None, folder: Path, groups: bool = True
) -> Iterator[tuple[str, Step]]:
    """All steps in their order, without that of ``groups`` if they are not wanted.

    Raises where a document is in another cluster than planted.
    """
    planted = Planted.of(documents)
    command = [sys.executable, "-m", "benchmarks.scale", "--folder", str(folder), "--documents", str(documents)]
    command += ["--memory", memory, *(["--workers", str(workers)] if workers else [])]

    def step(name: str) -> Step:
        done = folder / f"{name}.json"
        if done.exists():
            return Step(**json.loads(done.read_text()))
        if name.startswith("link"):
            if not (folder / "planted").exists():
                plant_clusters(folder / "planted.part", planted)
                (folder / "planted.part").rename(folder / "planted")
            plant_band(folder / "band", planted, int(name.partition("-")[2]), folder / "planted")
        if name == "group":
            plant_sizes(folder / "sizes", planted)
        output, usage = observed([*command, "--step", name], folder)
        figures = json.loads(output)
        seconds = figures.pop("seconds")
        start_up = usage.processor_seconds - seconds
        found = Step(seconds, start_up, usage.peak_bytes, max(usage.disk_bytes, disk_use(folder)), figures)
        if name == "cluster":
            wrong = wrong_clusters(planted, cluster_batches(folder / "clusters.arrow"))
            if wrong:
                raise SystemExit(f"{documents:,} documents: {wrong}")
        done.write_text(json.dumps(asdict(found)))
        return found

    for band in range(BANDS):
        yield "link", step(f"link-{band}")
        shutil.rmtree(folder / "band", ignore_errors=True)
    (folder / "planted").unlink(missing_ok=True)
    yield "cluster", step("cluster")
    shutil.rmtree(folder / "links", ignore_errors=True)
    if groups:
        yield "group", step("group")


def row(documents: int, steps: list[tuple[str, Step]]) -> str:
    """A row of the table."""
    planted = Planted.of(documents)
    figures = {"links": 0, "clusters": int(planted.clusters[-1]), "largest": int(planted.sizes[0])}
    nanoseconds = {"link": 0.0, "cluster": 0.0, "group": 0.0}
    for name, step in steps:
        figures |= {**step.figures, "links": figures["links"] + step.figures.get("links", 0)}
        nanoseconds[name] += 1e9 * step.seconds / documents
    whole = [nanoseconds["link"] + nanoseconds["cluster"], sum(nanoseconds.values())]
    cells = [
        *(f"{number:,}" for number in (documents, *(figures[name] for name in FIGURES))),
        *(f"{value:,.0f}" for value in (*nanoseconds.values(), *whole)),
        *(f"{value * documents / 6e10:,.2f}" for value in whole),
        f"{sum(step.start_up for _, step in steps):.1f}",
        f"{max(step.peak_bytes for _, step in steps) / 1e9:.2f}",
        f"{max(step.disk_bytes for _, step in steps) / 1e9:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


FIGURES = ("ranges", "links", "linked", "clusters", "largest")
HEADS = (
    *("documents", *FIGURES, "link ns a document", "cluster ns", "group ns", "link + cluster ns", "all ns"),
    *("core-minutes of link + cluster", "of all", "start-up core-s", "peak RSS GB", "disk GB"),
)


def main() -> None:
    """Print a row of the table for each number of documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default="1e7,1e8", help="numbers, with commas between")
    parser.add_argument("--memory", default="8GB")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--no-groups", action="store_true", help="link and cluster alone, for which 40 GB of disk do")
    parser.add_argument("--keep", type=Path, help="a folder of intermediates, from which a later call goes on")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        config = load_config(memory=arguments.memory, workers=arguments.workers)
        print(json.dumps(run_step(arguments.step, arguments.folder, int(arguments.documents), config)))
        return
    print(describe())
    print(f"| {' | '.join(HEADS)} |\n|{'--:|' * len(HEADS)}", flush=True)
    for documents in (int(float(number)) for number in arguments.documents.split(",")):
        folder = arguments.keep / str(documents) if arguments.keep else Path(tempfile.mkdtemp(prefix="scale-"))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            steps = list(
                measure(documents, arguments.memory, arguments.workers, folder, groups=not arguments.no_groups)
            )
        finally:
            if not arguments.keep:
                shutil.rmtree(folder)
        print(row(documents, steps), flush=True)


if __name__ == "__main__":
    main()
