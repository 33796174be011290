"""FastSketchLSH with the settings of its README: sketches of 128, 16 bands; what finds an earlier kept document goes.

Its README ends with ``insert_and_query_duplicates``, which flags every document that has another one, the first of them
too: whoever takes the flags for removals keeps none of them. So each document is looked up, which is a call as well.
"""

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
    matrix = np.concatenate([np.array(one, dtype=np.uint64) for one in sketches])
    index = LSH(num_perm=128, num_bands=16, num_threads=1)
    index.insert(matrix)
    survivors: dict[int, int] = {}
    for number, found in enumerate(index.query(matrix)):
        earlier = [other for other in found if other < number and other not in survivors]
        if earlier:
            survivors[number] = min(earlier)
    kept = (name for number, name in enumerate(names) if number not in survivors)
    finish(request, kept, {names[number]: names[other] for number, other in survivors.items()})


if __name__ == "__main__":
    main()
