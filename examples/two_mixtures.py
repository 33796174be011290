"""Build two mixtures from one deduplication: ``python examples/two_mixtures.py DEDUP OUT``."""

from __future__ import annotations

import sys

import slimpajama


def main(deduplicated: str, output: str) -> None:
    """Give one source more weight in the second mixture; both share the token store."""
    recipes = [
        slimpajama.Recipe(
            name=f"c4-{share}", weights={"c4": share, "arxiv": 100 - share}, tokens=4096, sequence_length=64
        )
        for share in (50, 80)
    ]
    made = slimpajama.mix(deduplicated, output, recipes, workers=1, vocabulary=512, holdout=0.1)
    for name in made.manifests:
        train = slimpajama.load_mixture(f"{output}/{name}")
        print(f"{name}: {train.count_rows():,} sequences")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
