"""How clustering gets faster with threads: ``python -m benchmarks.parallel_clustering``.

Connected components, and the greedy pass over the same links as similar pairs. This machine may have fewer cores than
threads, so the time that so many cores would take is added up: what the calling thread does itself, and of each step
the processor seconds until the last of its parts is done. That leaves out that cores share a memory. What comes out
must be the same, byte for byte, for any number of threads.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.planted import BANDS, Planted, plant_band, plant_clusters
from benchmarks.scale import PLACES
from slimpajama.dedup.checking.greedy import NO_PAIRS, Fates
from slimpajama.dedup.checking.similarity import Means
from slimpajama.dedup.cluster import write_clusters
from slimpajama.dedup.clustering.spill import BATCH
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.files.pairs import JudgedPairs
from slimpajama.dedup.lsh import KeyRange, read_links
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.stages.greedy import GreedyPayload, in_order_of_ids
from slimpajama.dedup.stages.link import LinkPayload, LinkStage
from slimpajama.storage.atomic import fingerprint

Work = Callable[[list[Path], Team, int], str]
"""Some work on the files of links, by a team, within a memory; it returns a digest."""


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


def clustering(files: list[Path], team: Team, memory: int) -> str:
    """Connected components of all links; the digest of their file."""
    opened = [functools.partial(read_links, path) for path in files]
    return write_clusters(opened, PLACES, files[0].parent / "clusters.arrow", memory, BATCH, team).table.blake2b


def greedy(files: list[Path], team: Team, memory: int) -> str:
    """The greedy pass over all links as similar pairs; a digest of who goes."""
    judged = []
    for path in files:
        links = read_links(path)
        count = links.documents.size
        known = np.full(count, 0.9), np.full(count, Means.TEXTS, dtype=np.uint8)
        judged.append(JudgedPairs(links.documents, links.anchors[links.anchor_of], *known))
    nobody = Fates(NO_PAIRS.documents, NO_PAIRS.candidates, NO_PAIRS.similarities)
    payload = GreedyPayload((), (), (), 0.8, False, Path(), Precedence(("source",), PLACES), memory, Path())
    clock.restart()
    found = in_order_of_ids(judged, [], payload, (nobody, nobody), team)
    return fingerprint(*(column.tobytes().hex() for one in found[:2] for column in (one.ids, one.survivors)))


@dataclass(slots=True)
class _Clock:
    """Processor seconds of the calling thread."""

    began: float = 0.0

    def restart(self) -> None:
        """Leave out what was spent so far."""
        self.began = time.thread_time()


clock = _Clock()


def seconds(work: Work, files: list[Path], threads: int, memory: int) -> tuple[float, float, str]:
    """What so many cores would take, how much of that is shared, and the digest of what came out."""
    with Team(threads, timed=True) as team:
        clock.restart()
        digest = work(files, team, memory)
        own = time.thread_time() - clock.began
    shared = sum(makespan(step, threads) for step in team.steps)
    return own + shared, shared, digest


def makespan(parts: list[float], cores: int) -> float:
    """The seconds until the last part is done, if each core takes the next one when it is free."""
    busy = [0.0] * cores
    for part in parts:
        busy[busy.index(min(busy))] += part
    return max(busy)


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
        for work in (clustering, greedy):
            seconds(work, files, 2, int(arguments.memory))  # so that kernels are there
            rounds = [
                [seconds(work, files, number, int(arguments.memory)) for number in numbers]
                for _ in range(arguments.rounds)
            ]
            show(work.__name__, numbers, rounds)


def show(name: str, numbers: list[int], rounds: list[list[tuple[float, float, str]]]) -> None:
    """Print medians. Raises where what came out differs."""
    if len({digest for results in rounds for _, _, digest in results}) > 1:
        raise SystemExit(f"{name}: what comes out differs")
    print(f"\n| {name}: threads | seconds | of that shared | times faster |\n|--:|--:|--:|--:|")
    for at, number in enumerate(numbers):
        whole, shared, _ = sorted(results[at] for results in rounds)[len(rounds) // 2]
        faster = sorted(results[0][0] / results[at][0] for results in rounds)[len(rounds) // 2]
        print(f"| {number} | {whole:.2f} | {shared:.2f} | {faster:.2f} |", flush=True)


if __name__ == "__main__":
    main()
