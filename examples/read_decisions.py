"""Print the largest cluster of a deduplication: ``python examples/read_decisions.py OUT``."""

from __future__ import annotations

import sys

import slimpajama


def main(output: str) -> None:
    """Count the members of each cluster and print those of the largest."""
    decisions = slimpajama.open_decisions(output)
    linked = decisions.dataset.to_table(columns=["cluster_global"]).drop_null()
    sizes = linked.group_by("cluster_global").aggregate([("cluster_global", "count")])
    if not sizes.num_rows:
        print("no duplicates")
        return
    largest = sizes.sort_by([("cluster_global_count", "descending")])["cluster_global"][0].as_py()
    for row in decisions.cluster(largest, columns=["source", "shard", "position", "status"]).to_pylist():
        print(f"{row['status']}: position {row['position']} of {row['shard']}")


if __name__ == "__main__":
    main(sys.argv[1])
