"""The ground truth: every planted pair, where both lines are, and how similar they truly are.

One row per (original, copy), a being the original; pairs of two copies of the same original are not listed,
though they resemble each other too. Rows are in the order of the copies. A row group per shard of copies:
memory does not grow with the number of pairs. Rejected: JSON lines (ten times the size, and positions lose
their type).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.sample.layout import SampleShard
from slimpajama.sample.shard import ShardResult
from slimpajama.sample.sources import KINDS
from slimpajama.storage.atomic import atomic_file

__all__ = ["SCHEMA", "pair_counts", "write_pairs"]

SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("jaccard", pa.float64()),
        ("target", pa.float64()),
        ("source_a", pa.string()),
        ("shard_a", pa.string()),
        ("position_a", pa.int64()),
        ("source_b", pa.string()),
        ("shard_b", pa.string()),
        ("position_b", pa.int64()),
    ]
)
"""``kind``: ``exact`` (equal texts) or ``near``. Shards are paths below the sample's folder, positions byte
offsets of the line in the decompressed shard. ``target`` is what the copy was made for, ``jaccard`` what it
came to."""

_BIN = 0.05


def write_pairs(path: Path, planned: list[SampleShard], results: list[ShardResult]) -> None:
    """Write all pairs of the shards ``planned``, whose ``results`` are in the same order."""
    firsts = [[shard.start for shard in planned if shard.kind == kind] for kind in range(len(KINDS))]
    offsets = [next(shard.number for shard in planned if shard.kind == kind) for kind in range(len(KINDS))]
    with atomic_file(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for shard, result in zip(planned, results, strict=True):
            pairs = result.pairs
            if pairs.size == 0:
                continue
            numbers = np.empty(pairs.size, dtype=np.int64)
            for kind in np.unique(pairs["kind"]).tolist():
                members = pairs["kind"] == kind
                run = np.searchsorted(firsts[kind], pairs["original"][members].astype(np.int64), side="right") - 1
                numbers[members] = offsets[kind] + run
            positions = [
                results[number].positions[original - planned[number].start]
                for number, original in zip(numbers.tolist(), pairs["original"].tolist(), strict=True)
            ]
            own = result.positions[pairs["copy"].astype(np.int64) - shard.start]
            writer.write_table(
                pa.table(
                    {
                        "kind": pa.array(np.where(pairs["exact"], "exact", "near").tolist()),
                        "jaccard": pairs["jaccard"],
                        "target": pairs["target"],
                        "source_a": pa.array([KINDS[kind].name for kind in pairs["kind"].tolist()]),
                        "shard_a": pa.array([planned[number].path for number in numbers.tolist()]),
                        "position_a": np.array(positions, dtype=np.int64),
                        "source_b": pa.array([KINDS[shard.kind].name] * pairs.size),
                        "shard_b": pa.array([shard.path] * pairs.size),
                        "position_b": own,
                    },
                    schema=SCHEMA,
                )
            )


def pair_counts(results: list[ShardResult]) -> dict[str, int]:
    """Pairs by kind and by similarity, in bins of 0.05 named by their lower edge; ``1.00`` is similarity
    1."""
    similarity: NDArray[np.float64] = np.concatenate([result.pairs["jaccard"] for result in results])
    exact = int(sum(result.pairs["exact"].sum() for result in results))
    counts = {"exact": exact, "near": similarity.size - exact}
    bins = np.floor(similarity / _BIN + 1e-9).astype(np.int64)
    for number, count in zip(*np.unique(bins, return_counts=True), strict=True):
        counts[f"jaccard {number * _BIN:.2f}"] = int(count)
    return counts
