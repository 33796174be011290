"""Importing this module makes the kernels of deduplication ready: loaded from numba's cache, or compiled.

The server process that workers are forked from imports it, so that workers start with the kernels in memory; a run in
one process imports it before its first piece.
"""

from __future__ import annotations

import numpy as np

from slimpajama.compilation import compilation_announced
from slimpajama.dedup.components import forest_of_links, links_of_pairs
from slimpajama.dedup.sketch import Sketcher
from slimpajama.dedup.source_ranges import SourceRanges

__all__: list[str] = []

with compilation_announced():
    Sketcher(num_perm=128, seed=1, bands=9, rows=13, shortest=200, normalisation="nfc").sketch(["any text " * 50])
    _pair = np.arange(2, dtype=np.uint64)
    forest_of_links(lambda: [links_of_pairs(_pair[1:], _pair[:1])], SourceRanges.of(["any"], [0])).local_sizes()
