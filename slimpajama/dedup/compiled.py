"""Importing this module makes the kernels of deduplication ready: loaded from numba's cache, or compiled.

The server process that workers are forked from imports it, so that workers start with the kernels in memory; a run in
one process imports it before its first piece.
"""

from __future__ import annotations

import numpy as np

from slimpajama.compilation import compilation_announced
from slimpajama.dedup.cluster import count_members
from slimpajama.dedup.components import flatten, join, keep_smallest, places, union
from slimpajama.dedup.sketch import Sketcher

__all__: list[str] = []

with compilation_announced():
    Sketcher(num_perm=128, seed=1, bands=9, rows=13, shortest=200, normalisation="nfc").sketch(["any text " * 50])
    _ids = union([np.arange(2, dtype=np.uint64)])
    _places = places(_ids, _ids)
    _parents = np.arange(2, dtype=np.uint32)
    join(_parents, _places, _places[::-1].copy())
    flatten(_parents)
    keep_smallest(_ids, _places, _ids)
    count_members(_places, _places, _parents, _ids.reshape(1, -1))
