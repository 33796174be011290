"""What the figures of a report take on a large output: ``python -m benchmarks.report``.

The output is that of :mod:`benchmarks.explain`, decisions alone of ten million documents, with a summary beside them.
The input is not there, so evidence is told to be missing: reading texts is bounded by settings of its own, whatever
the corpus. A process of its own measures all figures; its processor seconds and largest memory are printed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.explain import CLUSTER, DOCUMENT_BYTES, write_output
from benchmarks.machine import describe
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES, Config
from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.stages.group import LARGEST, LargeCluster
from slimpajama.dedup.summary import (
    ClusterFigures,
    Count,
    DedupSummary,
    LshFigures,
    Overlap,
    ScopeFigures,
    ShardFigures,
    SourceFigures,
    StageFigures,
)
from slimpajama.storage.atomic import write_json
from slimpajama.versions import versions

MOST_SECONDS = 60.0
MOST_BYTES = 1 << 30

MEASURE = "import sys; from slimpajama.report.measured import measured; print(len(measured(sys.argv[1]).missing))"


def count(documents: int) -> Count:
    """So many documents of the size that all have."""
    return Count(documents, documents * DOCUMENT_BYTES)


def figures(documents: int, clusters: int) -> SourceFigures:
    """Of a source in which one document of each cluster is kept."""
    removed = count(documents - clusters)
    scope = ScopeFigures(count(clusters), removed, count(0), removed)
    return SourceFigures(count(documents), count(0), count(0), scope, scope, 0)


def summary_of(root: Path, documents: int, shards: int) -> DedupSummary:
    """The summary of the decisions that ``write_output`` writes."""
    names = tuple(REDPAJAMA_SET_NAMES)
    per_source = -(-shards // len(names))
    per_shard = -(-documents // (per_source * len(names)))
    own = figures(per_source * per_shard, per_source * -(-per_shard // CLUSTER))
    removed, size = own.global_.duplicate, len(names)
    total = figures(own.read.documents * size, own.global_.kept.documents * size)

    def diagonal(value: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(value if i == j else 0 for j in range(size)) for i in range(size))

    return DedupSummary(
        input=str(root / "input"),
        sources={**dict.fromkeys(names, own), "total": total},
        overlap=Overlap(
            names,
            names,
            diagonal(removed.documents),
            diagonal(removed.bytes),
            diagonal(own.read.documents),
            diagonal(own.read.bytes),
            diagonal(own.global_.kept.documents),
        ),
        clusters=ClusterFigures(
            total.read.documents,
            total.global_.kept.documents,
            tuple(LargeCluster(place << POSITION_BITS, CLUSTER, "beginning") for place in range(LARGEST)),
        ),
        lsh=LshFigures(9, 13, {}),
        versions=versions(),
        shards=ShardFigures(per_source * size, per_source * size, (), {}),
        stages={"read and sketch": StageFigures(1.0, 1, 0)},
        seconds=1.0,
        compile_seconds=0.0,
        mb_per_second=None,
        settings=Config(id_field="id", workers=1),
        peak_memory_bytes=0,
    )


def main() -> None:
    """Write the output, measure it, and print what that took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--documents", type=int, default=10_000_000)
    options.add_argument("--shards", type=int, default=700)
    options.add_argument("--output", type=Path, help="keep the output there (default: a temporary folder)")
    chosen = options.parse_args()
    print(json.dumps(describe()))
    with tempfile.TemporaryDirectory() as folder:
        root = chosen.output or Path(folder) / "out"
        layout = DedupLayout(root)
        if not layout.index.exists():
            write_output(root, chosen.documents, chosen.shards)
            write_json(layout.summary, summary_of(root, chosen.documents, chosen.shards).as_dict())
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", MEASURE, str(root)], check=True)
        wall, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    print(f"{chosen.documents:,} decisions: {seconds:.1f} processor seconds, {wall:.1f} s, {memory / 2**20:.0f} MiB")
    if seconds > MOST_SECONDS or memory > MOST_BYTES:
        sys.exit(f"more than {MOST_SECONDS:.0f} processor seconds or {MOST_BYTES / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
