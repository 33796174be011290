"""Drawn removals compared with what stays for them, by their texts: the ground of evidence, alarms and the LSH curve.

Texts are read from the input in one go, at most ``TEXT_BYTES`` of them, and kept while the report is made. A shard is
decompressed up to the last text that is wanted of it, so of a large corpus fewer pairs are read: about ``READ_BYTES``
are gone through. Costs a comparison of about 2 ms for a pair beside that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest

from slimpajama.dedup.decision_tables import Decision, OneScope
from slimpajama.evidence.opened_output import Evidence, Pair
from slimpajama.report.opened_output import OpenedDedup
from slimpajama.report.sections.removals import DrawnRemovals

__all__ = ["LookedAt", "compared_removals", "look_at"]

TEXT_BYTES = 96 << 20
PAIR_BYTES = 6 << 20
"""A larger pair is left out."""

READ_BYTES = 16 << 30
LEAST_PAIRS = 60


@dataclass(frozen=True, slots=True)
class LookedAt:
    """``sampled``: as many pairs of each source, drawn from all its removals; ``members``: of the largest clusters, by
    cluster; ``pairs``: all of these, and more that are not of equal text."""

    sampled: tuple[Pair, ...]
    pairs: tuple[Pair, ...]
    members: dict[int, tuple[Pair, ...]]


def look_at(dedup: OpenedDedup, drawn: DrawnRemovals) -> LookedAt:
    """Compare the drawn removals.

    Raises :class:`~slimpajama.InputError` where the input has gone or changed.
    """
    most = _most_pairs(dedup)
    sampled, near, members = (_in_turn(own.values())[:most] for own in (drawn.by_source, drawn.near, drawn.by_cluster))
    wanted = list(dict.fromkeys([*sampled, *members, *near]))
    pairs = {pair.document.id: pair for pair in compared_removals(dedup.evidence, drawn.scope, wanted)}
    return LookedAt(
        tuple(pairs[one] for one in sampled if one in pairs),
        tuple(pairs.values()),
        {cluster: tuple(pairs[one] for one in own if one in pairs) for cluster, own in drawn.by_cluster.items()},
    )


def _most_pairs(dedup: OpenedDedup) -> int:
    """So many that going through the shards of both documents of each stays within bounds."""
    shard_bytes = dedup.summary.total.read.bytes // max(1, dedup.summary.shards.files)
    return max(LEAST_PAIRS, READ_BYTES // (2 * max(1, shard_bytes)))


def _in_turn(lists: Iterable[list[int]]) -> list[int]:
    """The first of each, then the second of each, and so on."""
    return [one for turn in zip_longest(*lists) for one in turn if one is not None]


def compared_removals(evidence: Evidence, scope: OneScope, ids: list[int]) -> list[Pair]:
    """Removed documents, each with what stays for it, compared by their texts; what is too large is left out."""
    documents = evidence.decisions(ids)
    survivors = evidence.decisions([one.cluster(scope) or 0 for one in documents])
    chosen: list[tuple[Decision, Decision]] = []
    total = 0
    for document, survivor in zip(documents, survivors, strict=True):
        size = document.bytes + survivor.bytes
        if size <= PAIR_BYTES and total + size <= TEXT_BYTES:
            total += size
            chosen.append((document, survivor))
    texts = evidence.texts_of([one for pair in chosen for one in pair])
    return [
        evidence.pair_of_texts(scope, document, survivor, texts[document.id], texts[survivor.id])
        for document, survivor in chosen
    ]
