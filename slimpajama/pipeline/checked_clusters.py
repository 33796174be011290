"""The rounds that check removals, until no pair is new: candidates → estimate → choose survivors.

In each round, documents that stay are compared with others of their buckets that stay; what is similar enough goes, and
whatever was removed for a document that goes itself is looked at again. At first, pairs that an estimate cannot settle
count by it, and no text is read. When nothing is new, the texts of all those pairs are read, in one pass where the disk
allows, and compared; then rounds go on with what that changed, and read what is new, until nothing is. Rejected:
reading texts in each round from the first (three to four passes over the input instead of one).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from slimpajama.dedup.checking.rounds import CHECK, GUESSES, ROUNDS, CheckRound, PairWork, ReadingPass
from slimpajama.dedup.checking.text_sources import TextSource
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.stages.candidates import CandidatesStage
from slimpajama.dedup.stages.checked import CheckedResult, CheckedStage, CheckFigures
from slimpajama.dedup.stages.compare import CompareResult, CompareStage
from slimpajama.dedup.stages.estimate import EstimateResult, EstimateStage
from slimpajama.dedup.stages.exact import ExactResult
from slimpajama.dedup.stages.greedy import GreedyResult, GreedyStage
from slimpajama.dedup.stages.link import LinkResult
from slimpajama.dedup.stages.sketch import SketchResult
from slimpajama.dedup.stages.texts import TextsStage
from slimpajama.engine.resources import task_bytes
from slimpajama.pipeline.text_sources import own_text_sources
from slimpajama.stages.runner import Stages
from slimpajama.storage.file_record import FileRecord

__all__ = ["checked_clusters", "compared_texts"]

BYTES_PER_TEXT_BYTE = 8
"""Held of a candidate's text while it is compared: its shingles, and as much again while they are sorted."""

COMPRESSED = 0.25
"""What a text takes on the disk when it is put aside with what it is similar to, of its size: 0.24 of the real
sample."""

DISK_SHARE = 0.1
"""Of the text of all documents of a round's pairs, so much may be put aside at a time, or ``LITTLE`` bytes."""

LITTLE = 1 << 20


def checked_clusters(
    dedup: DedupRun,
    stages: Stages,
    sketched: Sequence[SketchResult],
    links: Sequence[LinkResult],
    exact: Sequence[ExactResult],
) -> CheckedResult:
    """The clusters of checked removals. ``exact``: links of documents whose text their own source has before."""
    copies = [result.links for result in exact]
    whole = CheckedStage(dedup, sketched, links, copies)
    markers = dedup.markers(whole)
    known = stages.finished(whole.label, markers, "all", whole.inputs)
    if known is not None:
        return known
    rounds = _Rounds(dedup, stages, sketched, links, copies)
    last = rounds.run()
    figures = CheckFigures(
        rounds=rounds.number,
        copies=sum(result.copies for result in rounds.estimated),
        estimated=sum(result.estimated for result in rounds.estimated),
        compared=sum(result.unsettled for result in rounds.estimated),
        similar=last.similar,
        left_out=rounds.left_out,
    )
    done = CheckedStage(dedup, sketched, links, copies, last.table, last.documents, figures)
    result = stages.run_one(done, markers)
    stages.remove_tree(dedup.layout.check)
    return result


@dataclass(slots=True)
class _Rounds:
    """The rounds so far: the ``number`` of the last one, what was ``estimated`` and ``judged`` in all, and how many
    comparisons within buckets the last one ``left_out``."""

    dedup: DedupRun
    stages: Stages
    sketched: Sequence[SketchResult]
    links: Sequence[LinkResult]
    copies: Sequence[FileRecord]
    number: int = 0
    left_out: int = 0
    estimated: list[EstimateResult] = field(default_factory=list)
    judged: list[FileRecord] = field(default_factory=list)

    def run(self) -> GreedyResult:
        """All rounds; the last result."""
        fates: GreedyResult | None = None
        for guess, most in ((True, GUESSES), (False, ROUNDS)):
            if not guess:
                self.number += 1
                fates = self._settle(self.estimated, fates)
            for _ in range(most):
                fates, is_new = self._round(fates, guess)
                if not is_new and (self._current(fates).widest or not self.left_out):
                    break
        if fates is None:
            raise ValueError("there is no round")
        return fates

    def _round(self, fates: GreedyResult | None, guess: bool) -> tuple[GreedyResult, bool]:
        """One more round, and whether it found a pair that is new."""
        self.number += 1
        dedup, stages = self.dedup, self.stages
        current = self._current(fates)
        listing = CandidatesStage(dedup, self.links, current)
        candidates = stages.run(listing, current.work.markers(listing))
        self.left_out = sum(result.left_out for result in candidates)
        pairs, count = [result.table for result in candidates], sum(result.pairs for result in candidates)
        estimating = EstimateStage(dedup, self.sketched, pairs, count, tuple(self.judged), current.work)
        estimated = stages.run(estimating, current.work.markers(estimating))
        is_new = any(result.copies + result.estimated + result.unsettled for result in estimated)
        self.estimated += estimated
        self.judged += [result.judged for result in estimated]
        if fates is not None and not is_new:
            return fates, False
        return (self._choose(fates, guess) if guess else self._settle(estimated, fates)), is_new

    def _settle(self, estimated: Sequence[EstimateResult], fates: GreedyResult | None) -> GreedyResult:
        """Compare the texts of unsettled pairs, and choose survivors."""
        sources = [*own_text_sources(self.dedup, self.sketched), *self.dedup.earlier_texts]
        seen = max(result.seen_bytes for result in self.estimated)
        compared = compared_texts(self.dedup, self.stages, sources, estimated, seen, self._current(fates).work)
        self.judged += [result.judged for result in compared]
        return self._choose(fates, guess=False)

    def _choose(self, fates: GreedyResult | None, guess: bool) -> GreedyResult:
        current = self._current(fates)
        choosing = GreedyStage(self.dedup, tuple(self.judged), self.copies, guess, current)
        return self.stages.run_one(choosing, current.work.markers(choosing))

    def _current(self, fates: GreedyResult | None) -> CheckRound:
        layout, earlier = self.dedup.layout, self.dedup.earlier.tables if self.dedup.earlier else ()
        folder = layout.check / f"round-{self.number}"
        work = PairWork(f"{CHECK} {self.number}", folder, folder / "done", layout.root)
        return CheckRound(self.number, (*earlier, *([fates.table] if fates else [])), work)


def compared_texts(
    dedup: DedupRun,
    stages: Stages,
    sources: Sequence[TextSource],
    estimated: Sequence[EstimateResult],
    text_bytes: int,
    work: PairWork,
) -> list[CompareResult]:
    """The exact similarities of all pairs that are unsettled; so much of ``text_bytes`` is put aside at a time."""
    compared: list[CompareResult] = []
    for reading in _passes(dedup, estimated, text_bytes, stages.engine.workers):
        comparing = CompareStage(dedup, sources, estimated, reading, work)
        if not stages.is_done(comparing, work.markers(comparing)):
            texts = TextsStage(dedup, sources, estimated, reading, work)
            comparing = replace(comparing, texts=stages.run(texts, work.markers(texts)))
        compared += stages.run(comparing, work.markers(comparing))
        stages.remove_tree(work.texts)
    return compared


def _passes(dedup: DedupRun, estimated: Sequence[EstimateResult], text_bytes: int, workers: int) -> list[ReadingPass]:
    """The passes over the texts of unsettled pairs, each small enough for the disk, and its shares for the memory."""
    needed, candidates = (
        sum(getattr(result, name) for result in estimated) for name in ("needed_bytes", "candidate_bytes")
    )
    if not needed:
        return []
    passes = max(1, math.ceil(needed * COMPRESSED / max(LITTLE, DISK_SHARE * text_bytes)))
    shares = max(workers, -(-candidates * BYTES_PER_TEXT_BYTE // (passes * task_bytes(dedup.config))))
    return [ReadingPass(number, number * shares, (number + 1) * shares, passes * shares) for number in range(passes)]
