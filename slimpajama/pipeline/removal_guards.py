"""What stops or warns of a run that would throw a source away, and how the largest clusters begin.

A template, a banner or a wrong ``text_field`` makes unlike documents one cluster. That shows in the share of a source
that is removed, and in the texts that the largest clusters keep. The counts are there once all is decided; of texts at
most ``LARGEST`` are read, none of them far into a compressed shard unless the run is stopped for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slimpajama.config.dedup import Scope
from slimpajama.corpus.document_text import TextReader
from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.run_summary import largest_clusters
from slimpajama.dedup.stages.group import GroupResult, LargeCluster
from slimpajama.dedup.tally import Tally
from slimpajama.errors import InputError, TooMuchRemoved
from slimpajama.logging import LOGGER
from slimpajama.printable import printable_text

__all__ = ["beginnings_of", "refuse_too_much_removed", "warn_of_lost_sources"]

BEGINNING = 100
"""Characters of a text that are kept of its beginning."""

NAMED = 3
"""Clusters that an error names."""

MANY_DOCUMENTS = 1000
NEARLY_ALL = 0.9
"""A source of at least so many documents that loses more than this share is warned of."""

FAR_BYTES = 256 << 20
"""Decoded bytes before a document in a compressed shard beyond which it is not read only to show how it begins."""


@dataclass(frozen=True, slots=True)
class _Loss:
    source: str
    scope: Scope
    removed: int
    documents: int

    @property
    def share(self) -> float:
        return self.removed / self.documents

    @property
    def where(self) -> str:
        return "across all sources" if self.scope == "global" else "within the source"


def refuse_too_much_removed(dedup: DedupRun, tally: Tally, groups: Sequence[GroupResult]) -> None:
    """Raise :class:`TooMuchRemoved` where a source would lose more than ``max_removed_fraction``, the worst first."""
    most = dedup.config.max_removed_fraction
    if most is None:
        return
    losses = [loss for loss in _losses(dedup, tally) if loss.share > most]
    if not losses:
        return
    worst, *others = sorted(losses, key=lambda loss: -loss.share)
    large = _clusters_of(dedup, worst, groups)
    beginnings = beginnings_of(dedup, large, far=True)
    named = ", ".join(
        f"{one.documents:,} documents kept as '{beginnings[one.cluster]}…'"
        if beginnings.get(one.cluster)
        else f"{one.documents:,} documents of cluster {one.cluster:#x}"
        for one in large
    )
    clusters = f"its largest clusters are {named}" if large else "none of the largest clusters keeps a document of it"
    also = "; so would " + ", ".join(f"{loss.source} {loss.where} ({loss.share:.1%})" for loss in others[:NAMED])
    raise TooMuchRemoved(
        f"source {worst.source!r} would lose {worst.removed:,} of {worst.documents:,} documents ({worst.share:.1%}) as "
        f"duplicates {worst.where}, more than max_removed_fraction ({most:g}) allows{also if others else ''}; "
        f"{clusters}: if these are no duplicates, set preset=verified or take out the "
        "template they share, else raise max_removed_fraction; no shard was written"
    )


def _clusters_of(dedup: DedupRun, loss: _Loss, groups: Sequence[GroupResult]) -> list[LargeCluster]:
    """The largest clusters whose survivor is of the source, if they are among the largest of all."""
    large = largest_clusters(groups, loss.scope)
    number = dedup.source_names.index(loss.source)
    survivors = dedup.sources.reported_of(np.array([one.cluster for one in large], dtype=np.uint64)).tolist()
    return [one for one, source in zip(large, survivors, strict=True) if source == number][:NAMED]


def warn_of_lost_sources(dedup: DedupRun, tally: Tally) -> None:
    """Warn of each large source that is nearly all removed."""
    for loss in _losses(dedup, tally):
        if loss.documents >= MANY_DOCUMENTS and loss.share > NEARLY_ALL:
            scope = "" if loss.scope == "global" else " --scope local"
            LOGGER.warning(
                f"{loss.source}: {loss.removed:,} of {loss.documents:,} documents ({loss.share:.1%}) are removed as "
                f"duplicates {loss.where}; look at some: slimpajama duplicates {dedup.layout.root} --source "
                f"{loss.source}{scope}; max_removed_fraction stops such a run"
            )


def _losses(dedup: DedupRun, tally: Tally) -> Iterator[_Loss]:
    """What is removed of each source that has documents, in the scopes that are written, or in both if none is."""
    for name, counts in zip(dedup.source_names, tally.counts[:, :, 0].tolist(), strict=True):
        _, _, _, kept_global, kept_local, sound, *_ = counts
        for scope in dedup.scopes or BOTH:
            if sound:
                yield _Loss(name, scope, sound - (kept_global if scope == BOTH[0] else kept_local), sound)


def beginnings_of(dedup: DedupRun, clusters: Sequence[LargeCluster], far: bool = False) -> dict[int, str]:
    """How the survivors of ``clusters`` begin, by id: their first printable characters.

    Left out are survivors of earlier runs, those that cannot be read, and, unless ``far``, those far into a compressed
    shard: to get there costs as much as reading all that precedes them.
    """
    corpus = dedup.corpus
    reader = TextReader(corpus.root, dedup.config)
    found = {}
    for cluster in clusters:
        number, position = cluster.cluster >> POSITION_BITS, cluster.cluster & ((1 << POSITION_BITS) - 1)
        if number < corpus.first_shard:
            continue
        file = corpus.files[corpus.shards[number - corpus.first_shard].file]
        if not far and not file.codec.plain and position > FAR_BYTES:
            continue
        try:
            text = reader.texts(file, [position])[0][: 4 * BEGINNING]
        except InputError:  # what is wrong with the shard is told where it is read for its documents
            continue
        found[cluster.cluster] = printable_text(" ".join(text.split()))[:BEGINNING]
    return found
