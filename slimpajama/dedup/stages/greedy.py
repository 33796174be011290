"""Greedy: one task that decides which documents stay, by all pairs that were judged so far.

One process, whose threads share the work (see :mod:`slimpajama.dedup.checking.greedy_in_parts`). Where the
pairs are more than the memory allows, ranges of ids are taken one after the other: what is decided of a range is known
to the later ones. Holds 100 bytes for each pair of a range, and 50 for each document that goes. With an order of
precedence other than that of ids there is one range. Its table names every document that goes, and their survivors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.checking.fates import fates_in
from slimpajama.dedup.checking.greedy import NO_PAIRS, Fates, SimilarPairs, decide_fates, with_more
from slimpajama.dedup.checking.greedy_in_parts import OrderedPairs, fates_of_parts, ordered_pairs
from slimpajama.dedup.checking.rounds import CheckRound, threshold_held
from slimpajama.dedup.checking.similarity import Means
from slimpajama.dedup.clustering.id_ranges import PARTS
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import Links
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.distinct import distinct
from slimpajama.dedup.files.clusters import Clusters, write_clusters_file
from slimpajama.dedup.files.pairs import JudgedPairs, read_pairs
from slimpajama.dedup.files.row_lookup import ranks_of
from slimpajama.dedup.lsh import read_links
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.source_ids import SourceRanges
from slimpajama.engine.heartbeat import beat
from slimpajama.engine.machine import processors
from slimpajama.engine.resources import whole_machine_bytes, worker_count
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.paths import path_of

__all__ = ["GreedyPayload", "GreedyResult", "GreedyStage"]


@dataclass(frozen=True, slots=True)
class GreedyPayload:
    """All judged pairs; ``guess``: those that are unsettled count by their estimates. ``copies_files``: links of
    documents whose text their own source has before; ``earlier``: tables of what earlier runs decided; ``table``: where
    the clusters go; ``threads``: which share the work, where precedence is the order of ids."""

    judged_files: tuple[Path, ...]
    copies_files: tuple[Path, ...]
    earlier: tuple[Path, ...]
    threshold: float
    guess: bool
    rows_list: Path
    precedence: Precedence
    memory: int
    table: Path
    threads: int = 1


class GreedyResult(StageResult, frozen=True, kw_only=True):
    """How many pairs are ``similar``, how many documents go in each scope, and how many the ``table`` names in all."""

    similar: int
    documents: int
    gone_global: int
    gone_local: int
    table: FileRecord


@dataclass(frozen=True)
class GreedyStage(Stage[GreedyPayload, GreedyResult]):
    """The fates by the ``judged`` pairs of all rounds so far, and ``copies`` within sources.

    ``guess``: the texts are not compared yet, and unsettled pairs count by their estimates.
    """

    dedup: DedupRun
    judged: Sequence[FileRecord]
    copies: Sequence[FileRecord]
    guess: bool
    round: CheckRound

    name: ClassVar[str] = "greedy"
    title: ClassVar[str] = "choose survivors"
    version: ClassVar[int] = 2
    result_type = GreedyResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.dedup.compiled",)
    scales_with: ClassVar[Scale] = "links"
    single: ClassVar[bool] = True

    @property
    def label(self) -> str:
        """One for each round."""
        return self.round.work.label(self.title)

    @property
    def memory(self) -> int:
        """As much as all workers may hold together."""
        return whole_machine_bytes(self.dedup.config)

    def tasks(self) -> Sequence[Task[GreedyPayload]]:
        """One."""
        dedup = self.dedup
        earlier = dedup.earlier.tables if dedup.earlier else ()
        inputs = {
            "version": self.version,
            "judged": content_digest(self.judged),
            "copies": content_digest(self.copies),
            "earlier": content_digest(earlier),
            "sources": asdict(dedup.sources),
            "threshold": dedup.config.threshold,
            "guess": self.guess,
            "prefer": list(dedup.config.prefer),
        }
        payload = GreedyPayload(
            judged_files=tuple(path_of(record.path) for record in self.judged),
            # Where the preferred copy need not be the first, copies are in the bands, and are compared there.
            copies_files=() if dedup.precedence.ranks else tuple(path_of(record.path) for record in self.copies),
            earlier=tuple(path_of(record.path) for record in earlier),
            threshold=threshold_held(dedup.config) or 0.0,
            guess=self.guess,
            rows_list=dedup.layout.rows_list,
            precedence=dedup.precedence,
            memory=self.memory,
            table=self.round.work.folder / "fates.arrow",
            threads=worker_count(dedup.config),
        )
        records = [*self.judged, *self.copies]
        weight = sum(record.bytes for record in records)
        return [Task("all", payload, inputs, weight, written_files([*records, *earlier]))]

    @staticmethod
    def run(payload: GreedyPayload) -> GreedyResult:
        """Decide, and write the table."""
        judged = [read_pairs(path, JudgedPairs) for path in payload.judged_files]
        copies = [read_links(path) for path in payload.copies_files]
        known = fates_in(payload.earlier)
        if payload.precedence.ranks:
            in_global, in_local, similar = _by_precedence(judged, payload, known)
        else:
            with Team(min(payload.threads, processors())) as team:
                in_global, in_local, similar = in_order_of_ids(judged, copies, payload, known, team)
        clusters = _clusters(in_global, in_local)
        table = write_clusters_file(payload.table, [clusters])
        return GreedyResult(
            similar=similar,
            documents=clusters.ids.size,
            gone_global=in_global.ids.size,
            gone_local=in_local.ids.size,
            table=table,
        )


BYTES_PER_PAIR = 100
ALL_IDS = (0, (1 << 64) - 1)

Decided = tuple[Fates, Fates, int]
"""Who goes in each scope, and how many pairs are similar."""


def in_order_of_ids(
    judged: Sequence[JudgedPairs],
    copies: Sequence[Links],
    payload: GreedyPayload,
    known: tuple[Fates, Fates],
    team: Team,
) -> Decided:
    """Ranges of ids that fit into memory one after the other; a team shares the work of each."""
    columns = [*(pairs.documents for pairs in judged), *(links.documents for links in copies)]
    most = max(1, payload.memory // BYTES_PER_PAIR)
    share = max(team.fewest, sum(ids.size for ids in columns) // (PARTS * team.threads) + 1)
    ranges = even_ranges(columns, min(most, share))
    together = max(1, most // share)
    in_global, in_local = known
    similar = 0

    def prepared(bounds: tuple[int, int]) -> tuple[int, OrderedPairs, OrderedPairs]:
        pairs, own_copies = _similar(judged, payload, *bounds), _copies(copies, *bounds)
        own = (_of_one_source(one, payload.precedence.sources) for one in (pairs, own_copies))
        return pairs.documents.size, ordered_pairs(pairs, own_copies), ordered_pairs(*own)

    for at in range(0, len(ranges), together):
        beat()
        parts = team.map(prepared, ranges[at : at + together])
        similar += sum(count for count, _, _ in parts)
        scopes = [whole for _, whole, _ in parts], [own for _, _, own in parts]
        in_global, in_local = (
            with_more(before, more)
            for before, more in zip(
                (in_global, in_local), fates_of_parts(scopes, (in_global, in_local), team), strict=True
            )
        )
    return in_global, in_local, similar


def _by_precedence(judged: Sequence[JudgedPairs], payload: GreedyPayload, known_fates: tuple[Fates, Fates]) -> Decided:
    """All at once, as an order other than that of ids needs all ranks. Copies are among the pairs there."""
    precedence = payload.precedence
    pairs = _similar(judged, payload, *ALL_IDS)
    known = distinct(np.concatenate([pairs.documents, pairs.candidates]))
    places = precedence.places(known, ranks_of(payload.rows_list, known, precedence))
    in_global, in_local = (
        with_more(before, decide_fates(one, NO_PAIRS, before, places, known))
        for before, one in zip(known_fates, (pairs, _of_one_source(pairs, precedence.sources)), strict=True)
    )
    return in_global, in_local, pairs.documents.size


def even_ranges(ascending: Sequence[NDArray[np.uint64]], capacity: int) -> list[tuple[int, int]]:
    """Ranges ``[low, high)`` of ids, each with about ``capacity`` of the ids in the arrays, or fewer."""
    total = sum(ids.size for ids in ascending)
    wanted = -(-total // max(1, capacity))
    if wanted <= 1:
        return [ALL_IDS]
    step = max(1, total // (64 * wanted))
    sample = np.sort(np.concatenate([ids[::step] for ids in ascending]))
    cuts = distinct(sample[np.arange(1, wanted) * sample.size // wanted]).tolist()
    bounds = [ALL_IDS[0], *(cut for cut in cuts if cut), ALL_IDS[1]]
    return list(pairwise(bounds))


def _part(ascending: NDArray[np.uint64], low: int, high: int) -> slice:
    begin, end = np.searchsorted(ascending, np.array([low, high], dtype=np.uint64))
    return slice(int(begin), int(end))


def _similar(judged: Sequence[JudgedPairs], payload: GreedyPayload, low: int, high: int) -> SimilarPairs:
    """Pairs that reach the threshold, with documents in a range of ids."""
    parts = [NO_PAIRS]
    for pairs in judged:
        part = _part(pairs.documents, low, high)
        similarities = pairs.similarities[part]
        similar = similarities >= payload.threshold
        if not payload.guess:
            similar &= pairs.means[part] != Means.UNSETTLED
        # What is told of a removal is exact, or nothing.
        known = np.where(pairs.means[part] == Means.ESTIMATE, np.nan, similarities)
        parts.append(SimilarPairs(pairs.documents[part][similar], pairs.candidates[part][similar], known[similar]))
    return _joined(parts)


def _copies(links: Sequence[Links], low: int, high: int) -> SimilarPairs:
    parts = [NO_PAIRS]
    for one in links:
        part = _part(one.documents, low, high)
        documents = one.documents[part]
        parts.append(SimilarPairs(documents, one.anchors[one.anchor_of[part]], np.ones(documents.size)))
    return _joined(parts)


def _joined(parts: Sequence[SimilarPairs]) -> SimilarPairs:
    return SimilarPairs(
        np.concatenate([part.documents for part in parts]),
        np.concatenate([part.candidates for part in parts]),
        np.concatenate([part.similarities for part in parts]),
    )


def _of_one_source(pairs: SimilarPairs, sources: SourceRanges) -> SimilarPairs:
    same = sources.local_of(pairs.documents) == sources.local_of(pairs.candidates)
    return SimilarPairs(pairs.documents[same], pairs.candidates[same], pairs.similarities[same])


def _clusters(in_global: Fates, in_local: Fates) -> Clusters:
    """A row for each document that goes in a scope or is the survivor of one."""
    ids = distinct(np.concatenate([in_global.ids, in_global.survivors, in_local.ids, in_local.survivors]))
    columns = []
    for fates in (in_global, in_local):
        cluster, similarity = ids.copy(), np.full(ids.size, np.nan, dtype=np.float32)
        at = np.searchsorted(ids, fates.ids)
        cluster[at] = fates.survivors
        similarity[at] = fates.similarities
        columns.append((cluster, similarity))
    (cluster_global, similarity_global), (cluster_local, similarity_local) = columns
    return Clusters(ids, cluster_global, cluster_local, similarity_global, similarity_local)
