"""Estimate: the pairs of a round are told apart by what is stored of the documents; the rest needs their texts.

Pairs are spread over tasks by a hash of their documents, so that a pair that agrees in several bands is judged once. A
task holds its pairs, and the minima of their documents; how many tasks there are follows from the memory allowed.
Rejected: ranges of ids (their pairs are uneven), and judging where pairs are found (the same pair in every band).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.checking.rounds import PairWork, threshold_held
from slimpajama.dedup.checking.similarity import Means, judged
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.distinct import distinct
from slimpajama.dedup.files.pairs import (
    JudgedPairs,
    NeededTexts,
    PairsToCompare,
    read_pairs,
    share_of,
    spread,
    write_pairs,
)
from slimpajama.dedup.files.row_lookup import gather
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.stages.all_rows import all_rows, rows_digests
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.engine.heartbeat import beat
from slimpajama.engine.resources import task_bytes
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["EstimatePayload", "EstimateResult", "EstimateStage"]

BYTES_PER_PAIR = 100
"""Held for each pair beside the minima of its two documents."""

PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class EstimatePayload:
    """Share ``number`` of ``shares`` of the pairs in ``pairs_files`` that are not among those judged before.

    ``threshold``: of similarity; where it is ``None``, no minima are stored and nothing is estimated.
    """

    pairs_files: tuple[Path, ...]
    judged_before: tuple[Path, ...]
    number: int
    shares: int
    rows_list: Path
    threshold: float | None
    judged_file: Path
    needed_file: Path


class EstimateResult(StageResult, frozen=True, kw_only=True):
    """How many pairs are known to be copies, how many an estimate settles, and how many are unsettled.

    ``seen_bytes``: the texts of all documents of the pairs; ``needed_bytes``: those of unsettled pairs, as often as
    they are needed, of which ``candidate_bytes`` are of candidates. ``shards``: in which the needed ones lie."""

    copies: int
    estimated: int
    unsettled: int
    seen_bytes: int
    needed_bytes: int
    candidate_bytes: int
    shards: tuple[int, ...]
    judged: FileRecord
    needed: FileRecord


@dataclass(frozen=True)
class EstimateStage(Stage[EstimatePayload, EstimateResult]):
    """The estimates of ``pairs``, unless they were judged ``before``. ``exact``: only copies count as settled."""

    dedup: DedupRun
    sketched: Sequence[SketchResult]
    pairs: Sequence[FileRecord]
    pair_count: int
    before: Sequence[FileRecord]
    work: PairWork
    exact: bool = False

    name: ClassVar[str] = "estimate"
    title: ClassVar[str] = "estimate"
    version: ClassVar[int] = 1
    result_type = EstimateResult
    scales_with: ClassVar[Scale] = "links"

    @property
    def label(self) -> str:
        """As its work is called."""
        return self.work.label(self.title)

    def tasks(self) -> Sequence[Task[EstimatePayload]]:
        """As many as the memory asks for."""
        dedup, layout, params = self.dedup, self.dedup.layout, MinHashParams.of(self.dedup.config)
        held = BYTES_PER_PAIR + 2 * params.values
        shares = max(1, -(-self.pair_count * held // task_bytes(dedup.config)))
        threshold = None if self.exact else threshold_held(dedup.config)
        inputs = {
            "version": self.version,
            "pairs": content_digest(self.pairs),
            "before": content_digest(self.before),
            **rows_digests(dedup, self.sketched),
            "threshold": threshold,
        }
        reads = (*written_files([*self.pairs, *self.before]), *all_rows(dedup, self.sketched))
        return [
            Task(
                str(number),
                EstimatePayload(
                    pairs_files=tuple(path_of(record.path) for record in self.pairs),
                    judged_before=tuple(path_of(record.path) for record in self.before),
                    number=number,
                    shares=shares,
                    rows_list=layout.rows_list,
                    threshold=threshold,
                    judged_file=self.work.folder / f"judged-{number}.arrow",
                    needed_file=self.work.folder / f"needed-{number}.arrow",
                ),
                inputs | {"share": f"{number} of {shares}"},
                sum(record.bytes for record in self.pairs) // shares,
                reads,
            )
            for number in range(shares)
        ]

    @staticmethod
    def run(payload: EstimatePayload) -> EstimateResult:
        """Judge one share of the pairs."""
        documents, candidates = _new_pairs(payload)
        ids = distinct(np.concatenate([documents, candidates]))
        columns = ["hash_low", "hash_high", "bytes", *(["minima"] if payload.threshold is not None else [])]
        low, high, sizes, *minima = gather(payload.rows_list, ids, columns)
        left, right = np.searchsorted(ids, documents), np.searchsorted(ids, candidates)
        similarities, means = np.empty(documents.size), np.empty(documents.size, dtype=np.uint8)
        for begin in range(0, documents.size, PAIRS_AT_ONCE):
            beat()
            some = slice(begin, begin + PAIRS_AT_ONCE)
            one, other = left[some], right[some]
            equal = (low[one] == low[other]) & (high[one] == high[other])
            stored = minima[0] if minima else np.empty((ids.size, 0), dtype=np.uint8)
            similarities[some], means[some] = judged(equal, stored[one], stored[other], payload.threshold)
        unsettled = means == Means.UNSETTLED
        needed = _needed(documents[unsettled], candidates[unsettled])
        needed_sizes = sizes[np.searchsorted(ids, needed.ids)]
        return EstimateResult(
            copies=int(np.count_nonzero(means == Means.COPY)),
            estimated=int(np.count_nonzero(means == Means.ESTIMATE)),
            unsettled=int(np.count_nonzero(unsettled)),
            seen_bytes=int(sizes.sum()),
            needed_bytes=int(needed_sizes.sum()),
            candidate_bytes=int(needed_sizes[needed.is_candidate].sum()),
            shards=tuple(distinct(needed.ids >> np.uint64(POSITION_BITS)).tolist()),
            judged=write_pairs(payload.judged_file, JudgedPairs(documents, candidates, similarities, means)),
            needed=write_pairs(payload.needed_file, needed),
        )


def _new_pairs(payload: EstimatePayload) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The distinct pairs of a share that were not judged before, in order."""
    columns: list[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]] = []
    for path in payload.judged_before:
        known = read_pairs(path, JudgedPairs)
        own = share_of(spread(known.documents), payload.shares) == payload.number
        columns.append((known.documents[own], known.candidates[own], np.zeros(np.count_nonzero(own), dtype=np.bool_)))
    for path in payload.pairs_files:
        beat()
        found = read_pairs(path, PairsToCompare)
        own = share_of(spread(found.documents), payload.shares) == payload.number
        columns.append((found.documents[own], found.candidates[own], np.ones(np.count_nonzero(own), dtype=np.bool_)))
    if not columns:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)
    documents, candidates, is_new = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((is_new, candidates, documents))
    documents, candidates, is_new = documents[order], candidates[order], is_new[order]
    first = np.ones(documents.size, dtype=np.bool_)
    first[1:] = (documents[1:] != documents[:-1]) | (candidates[1:] != candidates[:-1])
    chosen = first & is_new
    return documents[chosen], candidates[chosen]


def _needed(documents: NDArray[np.uint64], candidates: NDArray[np.uint64]) -> NeededTexts:
    """The texts of unsettled pairs, by id: that of a document for each candidate, that of a candidate once."""
    once = distinct(candidates)
    texts = np.concatenate([documents, once])
    spreads = spread(np.concatenate([candidates, once]))
    is_candidate = np.arange(texts.size) >= documents.size
    order = np.lexsort((spreads, is_candidate, texts))
    return NeededTexts(texts[order], spreads[order], is_candidate[order])
