"""How clustering gets faster with threads: ``python -m benchmarks.parallel_clustering``.

This machine may have fewer cores than threads, so the time that so many cores would take is added up: what the calling
thread does itself, and of each step the processor seconds of the part that took longest. That leaves out that cores
share a memory. The file of clusters must be the same, byte for byte, for any number of threads.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.planted import BANDS, Planted, plant_band, plant_clusters
from benchmarks.scale import PLACES
from slimpajama.dedup.cluster import write_clusters
from slimpajama.dedup.clustering.spill import BATCH
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.lsh import KeyRange, read_links
from slimpajama.dedup.stages.link import LinkPayload, LinkStage


def planted_links(folder: Path, documents: int) -> list[Path]:
    """The files of all links between so many documents."""
    planted = Planted.of(documents)
    plant_clusters(folder / "planted", planted)
    files = []
    for band in range(BANDS):
        rows = plant_band(folder / "band", planted, band, folder / "planted")
        files.append(folder / f"links-{band}.arrow")
        LinkStage.run(LinkPayload(KeyRange(f"band_{band}", 0, 1), documents, rows, PLACES, files[-1]))
    return files


def seconds(files: list[Path], threads: int, memory: int) -> tuple[float, float, str]:
    """What so many cores would take, what the longest parts of all steps are of that, and the digest of the file."""
    opened = [functools.partial(read_links, path) for path in files]
    team = Team(threads, timed=True)
    began = time.thread_time()
    found = write_clusters(opened, PLACES, files[0].parent / "clusters.arrow", memory, BATCH, team)
    own = time.thread_time() - began
    # A step of one part is done by the calling thread.
    own -= sum(sum(step) for step in team.steps if len(step) == 1)
    longest = sum(max(step) for step in team.steps if step)
    return own + longest, longest, found.table.blake2b


def main() -> None:
    """Print a row for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=float, default=1e7)
    parser.add_argument("--memory", type=float, default=4e9)
    parser.add_argument("--threads", default="1,2,4,8")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(describe())
    with tempfile.TemporaryDirectory(prefix="parallel-") as name:
        files = planted_links(Path(name), int(arguments.documents))
        numbers = [int(number) for number in arguments.threads.split(",")]
        seconds(files, 2, int(arguments.memory))  # so that kernels are there
        rounds = [
            [seconds(files, number, int(arguments.memory)) for number in numbers] for _ in range(arguments.rounds)
        ]
    if len({digest for results in rounds for _, _, digest in results}) > 1:
        raise SystemExit("the files differ")
    print("| threads | seconds | of that in parts | times faster |\n|--:|--:|--:|--:|")
    for at, number in enumerate(numbers):
        whole, longest, _ = sorted(results[at] for results in rounds)[len(rounds) // 2]
        faster = sorted(results[0][0] / results[at][0] for results in rounds)[len(rounds) // 2]
        print(f"| {number} | {whole:.2f} | {longest:.2f} | {faster:.2f} |")


if __name__ == "__main__":
    main()
