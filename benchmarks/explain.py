"""How long ``slimpajama explain`` takes on a large output: ``python -m benchmarks.explain``.

The output is made of decisions alone, written with the project's own schema, manifest, index and request: a third of
its documents are kept, each for two duplicates. Each command is a process of its own, timed from outside, with its
start and imports; processor seconds tell what it took where other programs ran beside it.
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

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import describe
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES, Config
from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.files.key_index import Index, write_index
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.files.manifest import Manifest, ManifestInput, ManifestPart, ManifestShard
from slimpajama.dedup.files.sketches import BATCH_ROWS, DOCUMENT_ID
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.verdicts import SCHEMA
from slimpajama.evidence.request import DedupRequest, write_request
from slimpajama.storage.atomic import write_json

DOCUMENT_BYTES = 5000
CLUSTER = 3
MOST_SECONDS = 3.0


def table_of(source: str, shard: str, number: int, documents: int, begin: int) -> pa.Table:
    """The decisions on a shard, of which every document of three is kept and the two after it are its duplicates."""
    positions = np.arange(documents, dtype=np.int64) * DOCUMENT_BYTES
    ids = (np.uint64(number) << np.uint64(POSITION_BITS)) + positions.astype(np.uint64)
    places = np.arange(documents)
    survivors = ids[places - places % CLUSTER]
    kept = ids == survivors
    columns: dict[str, pa.Array] = {
        "id": pa.array(ids),
        "source": pa.repeat(source, documents),
        "shard": pa.repeat(shard, documents),
        "position": pa.array(positions),
        "status": pa.array(np.where(kept, "kept", "duplicate")),
        "cluster_global": pa.array(survivors),
        "cluster_local": pa.array(survivors),
        "kept_global": pa.array(kept),
        "kept_local": pa.array(kept),
        "bytes": pa.repeat(pa.scalar(DOCUMENT_BYTES, pa.int64()), documents),
        "cleaned_chars": pa.repeat(pa.scalar(DOCUMENT_BYTES, pa.int64()), documents),
        "match_global": pa.array(np.full(documents, "near"), pa.string(), mask=kept),
        "match_local": pa.array(np.full(documents, "near"), pa.string(), mask=kept),
        "size_global": pa.array(np.where(kept, CLUSTER, 0), pa.int64(), mask=~kept),
        "size_local": pa.array(np.where(kept, CLUSTER, 0), pa.int64(), mask=~kept),
        "document_id": pa.array([f"doc-{begin + place}" for place in range(documents)]),
    }
    schema = SCHEMA.append(DOCUMENT_ID)
    return pa.table([columns.get(one.name, pa.nulls(documents, one.type)) for one in schema], schema)


def write_output(root: Path, documents: int, shards: int) -> None:
    """A finished deduplication of ``documents`` in ``shards`` shards of the seven sources."""
    layout = DedupLayout(root)
    sources = tuple(REDPAJAMA_SET_NAMES)
    per_source = -(-shards // len(sources))
    per_shard = -(-documents // (per_source * len(sources)))
    parts = []
    for number in range(per_source * len(sources)):
        source = sources[number // per_source]
        shard = f"{source}/{number % per_source:05d}.jsonl.zst"
        table = table_of(source, shard, number, per_shard, number * per_shard)
        path = layout.root / "decisions" / source / f"{number % per_source:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", compression_level=1, row_group_size=BATCH_ROWS)
        written = tuple(ManifestShard(source, scope, f"{scope}/{shard}", None) for scope in BOTH)
        name, inputs = shard.removesuffix(".jsonl.zst"), (ManifestInput(shard, (number,)),)
        parts.append(ManifestPart(name, inputs, layout.relative(path), "", 0, None, written))
    layout.work.mkdir(parents=True, exist_ok=True)
    write_json(layout.manifest, msgspec.to_builtins(Manifest(tuple(parts))))
    config = Config(id_field="id")
    ranges = tuple((source, order * per_source) for order, source in enumerate(sources))
    every = per_source * len(sources)
    write_index(Index(root, ranges, 0, every, documents, (), (), MinHashParams.of(config)), [], [])
    write_request(root, DedupRequest(input=str(root / "input"), settings=config.model_dump(mode="json")))


def commands(documents: int, shards: int) -> dict[str, list[str]]:
    """What is asked for, by what it shows."""
    number = shards * 5 // 7
    position = documents // shards // 2 * DOCUMENT_BYTES
    document = (number << POSITION_BITS) + position
    return {
        "an id": [f"{document:#x}"],
        "shard@position": ["arxiv/00000.jsonl.zst@5000"],
        "an id, 3 members of the cluster": [f"{document:#x}", "--members", "3"],
        "the record's own id": [f"doc-{documents // 2}"],
    }


def timed(root: Path, arguments: list[str]) -> tuple[float, float]:
    """Seconds that a command took, and processor seconds."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "slimpajama", "explain", str(root), *arguments]
    subprocess.run(command, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, processor


def main() -> None:
    """Write the output, ask, and print the times."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--documents", type=int, default=10_000_000)
    options.add_argument("--shards", type=int, default=700)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--output", type=Path, help="keep the output there (default: a temporary folder)")
    chosen = options.parse_args()
    print(json.dumps(describe()))
    with tempfile.TemporaryDirectory() as folder:
        root = chosen.output or Path(folder) / "out"
        if not DedupLayout(root).index.exists():
            began = time.perf_counter()
            write_output(root, chosen.documents, chosen.shards)
            wrote = time.perf_counter() - began
            print(f"{chosen.documents:,} decisions in {chosen.shards:,} tables, written in {wrote:.0f} s")
        worst = 0.0
        for what, arguments in commands(chosen.documents, chosen.shards).items():
            took = sorted(timed(root, arguments) for _ in range(chosen.rounds))
            worst = max(worst, took[-1][0])
            seconds, processor = took[len(took) // 2]
            print(f"{what:32} {seconds:.2f} s, slowest {took[-1][0]:.2f} s, {processor:.2f} processor seconds")
    if worst > MOST_SECONDS:
        sys.exit(f"the slowest took {worst:.2f} s, more than {MOST_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
