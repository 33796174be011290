"""LSH, connected components and their groups, of up to 100 million documents: ``python -m benchmarks.scale``.

Documents are keys alone (see ``planted``), written beforehand in the form the first stage leaves them; then linking,
clustering and grouping run as in a deduplication, in worker processes, within a memory setting, and the clusters found
are compared with those planted, document by document. The processor seconds and the memory are those of the whole
process tree, as seen from outside (memory ten times a second: RSS, which counts in each process what they share).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import describe
from benchmarks.planted import BANDS, FIRST_SHARDS, SOURCES, expected_clusters, plant
from slimpajama.config.dedup import load_config
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


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process tree took."""

    seconds: float
    processor_seconds: float
    peak_bytes: int


def observed(command: list[str]) -> tuple[str, Usage]:
    """The output of a command, and what it and all below it took."""
    began = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    spent: dict[int, float] = {}
    peak = 0
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
        time.sleep(0.1)
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return output, Usage(time.perf_counter() - began, sum(spent.values()), peak)


def process_of(number: int) -> int:
    """Which process handles an item; so that workers have started before anything is measured."""
    time.sleep(0.5)
    return psutil.Process().pid


def tree_seconds() -> float:
    """Processor seconds of this process and all below it so far."""
    processes = (psutil.Process(), *psutil.Process().children(recursive=True))
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def link_and_cluster(folder: Path, documents: int, memory: str) -> dict[str, Any]:
    """The stages, as in a deduplication; returns their figures."""
    config = load_config(memory=memory)
    workers = worker_count(config)
    ranges = key_ranges(documents, task_bytes(config))
    sources = SourceRanges.of([str(number) for number in range(SOURCES)], FIRST_SHARDS)
    payloads = [
        LinkPayload(
            KeyRange(f"band_{band}", number, ranges),
            documents,
            folder / "rows.json",
            sources,
            folder / f"links-{band}-{number}.arrow",
        )
        for band in range(BANDS)
        for number in range(ranges)
    ]
    with LocalEngine(workers) as engine:
        list(engine.map(process_of, range(workers), str, ["slimpajama.dedup.compiled"]))
        spent = tree_seconds()
        began = time.perf_counter()
        links = [result for _, result in engine.map(LinkStage.run, payloads)]
        linked = time.perf_counter()
        files = tuple(one.links_file for one in payloads)
        payload = ClusterPayload(files, sources, folder / "clusters.arrow", whole_machine_bytes(config))
        ((_, clusters),) = engine.map(ClusterStage.run, [payload])
        clustered = time.perf_counter()
        parts = group_ranges(clusters.linked, SOURCES, 0, task_bytes(config))
        grouping = [
            GroupPayload(
                scope,
                number,
                parts,
                payload.clusters_file,
                folder / "rows.json",
                sources,
                Precedence(("source",), sources),
                folder / f"{scope}-{number}.arrow",
            )
            for scope in BOTH
            for number in range(parts)
        ]
        groups = [result for _, result in engine.map(GroupStage.run, grouping)]
        ended = time.perf_counter()
        spent = tree_seconds() - spent
    return {
        "processor_seconds": spent,
        "workers": workers,
        "ranges": ranges,
        "links": sum(result.linked for result in links),
        "linked": clusters.linked,
        "clusters": sum(result.clusters for result in groups if result.scope == "global"),
        "largest": max(one.documents for result in groups for one in result.largest),
        "link_seconds": linked - began,
        "cluster_seconds": clustered - linked,
        "group_seconds": ended - clustered,
    }


def measure(documents: int, memory: str, folder: Path) -> tuple[dict[str, Any], Usage]:
    """Plant, run in a process of its own, and compare; raises where a document is in another cluster."""
    planted = plant(folder, documents)
    command = [sys.executable, "-m", "benchmarks.scale", "--folder", str(folder), "--documents", str(documents)]
    output, usage = observed([*command, "--memory", memory])
    figures = json.loads(output)
    batches = list(cluster_batches(folder / "clusters.arrow"))
    for name, expected in zip(("ids", "cluster_global", "cluster_local"), expected_clusters(planted), strict=True):
        found = np.concatenate([getattr(batch, name) for batch in batches])
        if not np.array_equal(found, expected):
            raise SystemExit(f"{documents:,} documents: the {name} differ from those planted")
    return figures, usage


def main() -> None:
    """Print a row of the table for each number of documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default="1_000_000,10_000_000,100_000_000", help="numbers, with commas between")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        all_ours()
        print(json.dumps(link_and_cluster(arguments.folder, int(arguments.documents), arguments.memory)))
        return
    print(describe())
    heads = ("documents", "ranges", "links", "linked", "clusters", "largest", "link s", "cluster s", "group s")
    costs = ("core-minutes", "start-up core-s", "ns a document", "peak RSS")
    print(f"| {' | '.join(heads + costs)} |\n|{'--:|' * len(heads + costs)}")
    for documents in map(int, arguments.documents.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="scale-"))
        try:
            figures, usage = measure(documents, arguments.memory, folder)
        finally:
            shutil.rmtree(folder)
        numbers = [documents, *(figures[name] for name in ("ranges", "links", "linked", "clusters", "largest"))]
        print(
            "| "
            + " | ".join(f"{number:,}" for number in numbers)
            + f" | {figures['link_seconds']:.1f} | {figures['cluster_seconds']:.1f} | {figures['group_seconds']:.1f}"
            + f" | {usage.processor_seconds / 60:.2f} | {usage.processor_seconds - figures['processor_seconds']:.1f}"
            + f" | {1e9 * figures['processor_seconds'] / documents:,.0f}"
            + f" | {usage.peak_bytes / 1e9:.2f} GB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
