"""Deduplicate a folder of shards: ``python examples/dedup_folder.py IN OUT``."""

from __future__ import annotations

import sys

import slimpajama


def main(source: str, output: str) -> None:
    """Deduplicate, and print what is kept of each source."""
    summary = slimpajama.deduplicate(source, output, workers=1)
    for name, figures in summary.sources.items():
        print(f"{name}: {figures.global_.kept.documents:,} of {figures.read.documents:,} documents kept")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
