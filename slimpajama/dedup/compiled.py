"""Importing this module makes the kernels of deduplication ready: loaded from numba's cache, or compiled.

The server process that workers are forked from imports it, so that workers start with the kernels in memory; a run in
one process imports it before its first piece.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from slimpajama.corpus.output_lines import load_kernels
from slimpajama.corpus.reading_kernels import read_one_line
from slimpajama.dedup.checking.candidates import buckets_of, candidates_of
from slimpajama.dedup.checking.greedy import NO_PAIRS, Fates, SimilarPairs, decide_fates
from slimpajama.dedup.checking.greedy_in_parts import fates_of_parts, ordered_pairs
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import (
    GLOBAL,
    flatten,
    join,
    join_links,
    keep_smallest,
    places,
    roots_now,
    union,
)
from slimpajama.dedup.grouping import count_sources
from slimpajama.dedup.key_table import KeyedDocuments, links_of_keys
from slimpajama.dedup.lsh import select_range
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.shingle_sets import jaccard, shingle_sets
from slimpajama.dedup.sketcher import Sketcher
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.kernels import compilation_announced

__all__: list[str] = []

pa.array([0])  # at which pyarrow imports pandas, where it may: once for all workers

with compilation_announced(__name__):
    Sketcher(MinHashParams()).sketch(read_one_line().texts)
    _ids, _sources = np.arange(2, dtype=np.uint64), SourceRanges.of(["any"], [0])
    _links = links_of_keys(KeyedDocuments(np.ones(2, dtype=np.uint64), union([_ids])), _sources)
    _true, _flat = np.ones(2, dtype=np.bool_), np.zeros(2, dtype=np.uint16)
    select_range(_links.documents, _links.documents, _true, 0, 1, _ids.copy(), _ids.copy())
    _places, _parents = places(_ids, _ids), np.zeros((2, 2), dtype=np.uint32)
    join(_parents, _places, _places, GLOBAL)
    _anchors = np.zeros((2, 3), dtype=np.uint32)
    roots_now(_parents, _places, _anchors)
    join_links(_ids, _links.documents, _flat, _links.anchor_of, _anchors, _parents, 0, _places)
    flatten(_parents, 0, 2)
    keep_smallest(_ids.copy(), _places, _ids)
    _counts = np.zeros((1, 1), dtype=np.int64)
    _marks, _scratch = _ids.reshape(-1, 1).copy(), np.zeros((3, 1), dtype=np.int64)
    count_sources(_places, _places, _places * 0, _places, _marks, _counts, _counts.copy(), _counts.copy(), _scratch)
    _buckets = buckets_of(_links)
    candidates_of(_buckets, _true.copy(), _true.copy(), _sources, 1)
    _pairs = SimilarPairs(_ids[1:], _ids[:1], np.ones(1))
    _nobody = Fates(NO_PAIRS.documents, NO_PAIRS.candidates, NO_PAIRS.similarities)
    decide_fates(_pairs, NO_PAIRS, _nobody)
    fates_of_parts([[ordered_pairs(_pairs, NO_PAIRS)]], [_nobody], Team(1))
    _sets = shingle_sets(["any text"] * 2, MinHashParams())
    jaccard(_sets[0], _sets[1])
    load_kernels()
