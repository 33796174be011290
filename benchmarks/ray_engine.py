"""Is a run on Ray the same, and how much slower: ``python -m benchmarks.ray_engine``.

First a whole run over the shared real text (deduplication, token store, three mixtures), on this machine's processes
and on a Ray cluster of two nodes of one CPU each with object stores of their own: every byte of decisions, shards,
token store and mixtures must be the same. Then runs over a built-in sample of about 500 MB, on two worker processes and
on a Ray cluster of two CPUs that is there already, in turn: whole command, start to exit, and the ratio of each pair.
The first run on the cluster is not counted; its workers stay, as in a cluster that is in use.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.dedup import CORPUS
from benchmarks.kill import digests
from benchmarks.machine import describe
from slimpajama.engine.local import LocalEngine
from slimpajama.sample import write_sample

CONFIG = """\
input: {input}
dedup: {{workers: 2}}
mixtures: {{recipes: [{recipes}], tokens: {tokens}}}
"""


@contextmanager
def cluster(nodes: Sequence[int]) -> Iterator[str]:
    """The address of a Ray cluster of nodes with so many CPUs each."""
    from ray.cluster_utils import Cluster

    started: Any = Cluster(
        initialize_head=True, head_node_args={"num_cpus": nodes[0], "include_dashboard": False, **STORE}
    )
    try:
        for cpus in nodes[1:]:
            started.add_node(num_cpus=cpus, **STORE)
        started.wait_for_nodes()
        yield started.address
    finally:
        started.shutdown()


STORE = {"object_store_memory": 80 << 20}


def run(config: Path, out: Path, *engine: str) -> float:
    """Seconds of a whole run into a fresh folder."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "slimpajama", "run", str(config), "--output", str(out), "--quiet", *engine]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - began


def written(folder: Path, name: str, input: Path, tokens: str) -> Path:
    """The config of a run."""
    recipes = ", ".join(str(Path("configs/mixtures", f"dc-{number}.yaml").resolve()) for number in (1, 4, 6))
    file = folder / f"{name}.yaml"
    file.write_text(CONFIG.format(input=input.resolve(), recipes=recipes, tokens=tokens))
    return file


def main() -> None:
    """Print both; exit 1 if a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=int, default=140_000, help="documents of the sample")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    print(describe())
    folder = Path(tempfile.mkdtemp(prefix="ray-engine-"))
    different: list[str] = []
    try:
        real = written(folder, "real", CORPUS, "2M")
        run(real, folder / "local")
        with cluster([1, 1]) as address:
            run(real, folder / "ray", "--engine", "ray", "--ray-address", address)
        expected, found = digests(folder / "local"), digests(folder / "ray")
        different = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        print(f"real text: {len(expected)} files, {len(different)} differ {different[:5] or ''}", flush=True)
        with LocalEngine(2) as engine:
            write_sample(folder / "in", docs=arguments.docs, seed=1, engine=engine, progress=lambda size: None)
        config = written(folder, "sample", folder / "in", "30M")
        with cluster([2]) as address:
            on_ray = ("--engine", "ray", "--ray-address", address)
            run(config, folder / "ray", *on_ray)
            pairs = [
                (run(config, folder / "local"), run(config, folder / "ray", *on_ray)) for _ in range(arguments.runs)
            ]
        local, ray = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratios = sorted(one / other for other, one in pairs)
        print(
            f"sample: {local:.1f} s on two processes, {ray:.1f} s on Ray; {statistics.median(ratios):.2f} times "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}), {arguments.runs} pairs"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
