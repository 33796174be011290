"""FastSketchLSH by its README: sketches of 128, 16 bands, and every document that finds an earlier one goes."""

from __future__ import annotations

from typing import Any

import numpy as np
from FastSketchLSH import LSH, FastSimilaritySketch

from benchmarks.peer_programs.shards import TOKENS, Request, documents, finish

BATCH = 64
"""Documents sketched at a time; more would hold the shingles of too many at once."""


def main() -> None:
    """Run FastSketchLSH."""
    request = Request.of_command_line()
    tokens = TOKENS[request.variant]
    sketcher = FastSimilaritySketch(size=128, seed=42)
    names: list[str] = []
    sketches: list[Any] = []
    batch: list[list[str]] = []
    for name, text in documents(request.folder):
        names.append(name)
        batch.append(tokens(text))
        if len(batch) == BATCH:
            sketches.append(sketcher.batch(batch, num_threads=1))
            batch = []
    sketches.append(sketcher.batch(batch, num_threads=1))
    index = LSH(num_perm=128, num_bands=16, num_threads=1)
    flags = index.insert_and_query_duplicates(np.concatenate([np.array(one, dtype=np.uint64) for one in sketches]))
    finish(request, (name for name, duplicate in zip(names, flags.tolist(), strict=True) if not duplicate))


if __name__ == "__main__":
    main()
