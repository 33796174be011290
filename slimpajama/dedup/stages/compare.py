"""Compare: the exact similarity of the pairs of one share, from their texts.

The sets of shingles of the share's candidates are held (4 bytes a shingle); the other documents stream by, one at a
time. How many shares there are follows from the memory allowed. The Jaccard similarity is that of the sets of 32-bit
shingle hashes, in which a shingle is taken for another of a document of n shingles once in 2^32 / n times. Rejected:
sorting pairs so that both texts come by together (a text has many pairs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.checking.rounds import PairWork, ReadingPass
from slimpajama.dedup.checking.similarity import Means
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.pairs import JudgedPairs, read_pairs, share_of, spread, write_pairs
from slimpajama.dedup.files.spilled_texts import spilled_texts
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.shingle_sets import jaccard, shingle_sets
from slimpajama.dedup.stages.estimate import EstimateResult
from slimpajama.dedup.stages.texts import TextsResult
from slimpajama.errors import ConservationError
from slimpajama.stages.stage import Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of
from slimpajama.versions import versions

__all__ = ["ComparePayload", "CompareResult", "CompareStage"]


@dataclass(frozen=True, slots=True)
class ComparePayload:
    """Share ``number`` of ``shares`` of the unsettled pairs in ``judged_files``, and all texts put aside."""

    judged_files: tuple[Path, ...]
    texts_files: tuple[Path, ...]
    number: int
    shares: int
    params: MinHashParams
    compared_file: Path


class CompareResult(StageResult, frozen=True, kw_only=True):
    """How many pairs were compared."""

    pairs: int
    judged: FileRecord


@dataclass(frozen=True)
class CompareStage(Stage[ComparePayload, CompareResult]):
    """The exact similarities of what was ``estimated`` and is unsettled, in one ``reading`` pass over ``sources``.

    ``texts``: what that pass put aside; it may be gone where all pairs were compared before.
    """

    dedup: DedupRun
    sources: Sequence[TextSource]
    estimated: Sequence[EstimateResult]
    reading: ReadingPass
    work: PairWork
    texts: Sequence[TextsResult] = ()

    name: ClassVar[str] = "compare"
    title: ClassVar[str] = "compare texts"
    version: ClassVar[int] = 1
    result_type = CompareResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)

    @property
    def label(self) -> str:
        """One for each round and pass."""
        return self.work.label(self.reading.label(self.title))

    def tasks(self) -> Sequence[Task[ComparePayload]]:
        """One for each share."""
        judged = [result.judged for result in self.estimated]
        texts = [result.spilled for result in self.texts]
        inputs = {
            "version": self.version,
            "judged": content_digest(judged),
            "texts": fingerprint([list(source.content) for source in self.sources]),
            "unicode": versions()["unicode"],
            "params": asdict(MinHashParams.of(self.dedup.config)),
        }
        reads, shares = written_files([*judged, *texts]), self.reading.shares
        return [
            Task(
                str(number),
                ComparePayload(
                    judged_files=tuple(path_of(record.path) for record in judged),
                    texts_files=tuple(path_of(record.path) for record in texts),
                    number=number,
                    shares=shares,
                    params=MinHashParams.of(self.dedup.config),
                    compared_file=self.work.folder / f"compared-{number}.arrow",
                ),
                inputs | {"share": f"{number} of {shares}"},
                sum(record.bytes for record in texts) // shares,
                reads,
            )
            for number in range(self.reading.first, self.reading.last)
        ]

    @staticmethod
    def run(payload: ComparePayload) -> CompareResult:
        """Compare the pairs of one share."""
        documents, candidates = _pairs_of(payload)
        sets: dict[int, NDArray[np.uint32]] = {}
        for ids, texts in spilled_texts(payload.texts_files, payload.number, are_candidates=True):
            found = shingle_sets(texts, payload.params)
            sets.update((document, found[number]) for number, document in enumerate(ids.tolist()))
        similarities = np.full(documents.size, np.nan)
        for ids, texts in spilled_texts(payload.texts_files, payload.number, are_candidates=False):
            found = shingle_sets(texts, payload.params)
            firsts, lasts = np.searchsorted(documents, ids), np.searchsorted(documents, ids, side="right")
            for number, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
                for at in range(first, last):
                    similarities[at] = jaccard(found[number], sets[int(candidates[at])])
        if np.isnan(similarities).any():
            raise ConservationError(
                f"{int(np.isnan(similarities).sum()):,} of {documents.size:,} pairs were not compared, as a text is "
                "missing; nothing of this run may be used: please report it"
            )
        means = np.full(documents.size, Means.TEXTS, dtype=np.uint8)
        judged = JudgedPairs(documents, candidates, similarities, means)
        return CompareResult(pairs=documents.size, judged=write_pairs(payload.compared_file, judged))


def _pairs_of(payload: ComparePayload) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The unsettled pairs of a share, in order of documents."""
    parts = [(np.empty(0, dtype=np.uint64),) * 2]
    for path in payload.judged_files:
        pairs = read_pairs(path, JudgedPairs)
        own = pairs.means == Means.UNSETTLED
        own &= share_of(spread(pairs.candidates), payload.shares) == payload.number
        parts.append((pairs.documents[own], pairs.candidates[own]))
    documents, candidates = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((candidates, documents))
    return documents[order], candidates[order]
