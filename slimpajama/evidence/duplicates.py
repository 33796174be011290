"""Draws removed documents to look at, each beside the one that stays for it.

One pass over the columns of the decisions that are needed keeps the removals with the smallest seeded hashes of their
ids, so the same are drawn whatever the order of tables. Then their rows are looked up and their texts are read, shard
by shard, about ``TEXT_BYTES`` at a time. Rejected: every so many-th removal (neighbours are alike), and comparing all
removals (that is a second pass over the text).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.decision_tables import Decision, OneScope
from slimpajama.errors import ConfigError
from slimpajama.evidence.opened_output import Evidence, Pair, open_evidence
from slimpajama.storage.paths import opened
from slimpajama.storage.reading import reading

__all__ = ["SampledRemovals", "duplicates"]

TEXT_BYTES = 64 << 20

MOST_LOOKED_AT = 1000
"""Pairs that are compared to find those below a similarity; 20 for each that is wanted where that is more."""


@dataclass(frozen=True, slots=True)
class SampledRemovals:
    """``removals``: how many documents were removed that fit the question; ``looked_at``: how many of them were
    compared; ``pairs``: those that were wanted, the least alike first."""

    removals: int
    looked_at: int
    pairs: tuple[Pair, ...]


def duplicates(
    output: str | Path,
    *,
    source: str | None = None,
    kept_in: str | None = None,
    scope: Literal["global", "local"] = "global",
    below: float | None = None,
    match: Literal["exact", "near"] | None = None,
    count: int = 20,
    seed: int = 1,
) -> SampledRemovals:
    """Draw ``count`` removed documents of the deduplication in ``output``, each beside the one that stays for it.

    ``source``: of the removed document; ``kept_in``: of the one that stays. ``below``: only pairs whose exact Jaccard
    similarity is below it; up to 1,000 removals, or 20 for each wanted, are compared to find them. ``match``: only
    equal cleaned texts, or only others. Raises :class:`~slimpajama.ConfigError` for a source that does not exist, and
    :class:`~slimpajama.InputError` where the input has gone or changed.
    """
    evidence = open_evidence(output)
    _check(evidence, source, kept_in, count, below)
    most = count if below is None else max(MOST_LOOKED_AT, 20 * count)
    draw = _Draw(source, kept_in, scope, below, match, most, seed)
    removals, drawn = _drawn(evidence, draw)
    found: list[Pair] = []
    looked_at = 0
    for pair in _pairs(evidence, scope, drawn):
        looked_at += 1
        if below is None or pair.jaccard < below:
            found.append(pair)
        if len(found) == count:
            break
    found.sort(key=lambda pair: (pair.jaccard, pair.document.id))
    return SampledRemovals(removals, looked_at, tuple(found))


def _check(evidence: Evidence, source: str | None, kept_in: str | None, count: int, below: float | None) -> None:
    names = list(dict.fromkeys(name for name, _ in evidence.index.ranges))
    for name in (source, kept_in):
        if name is not None and name not in names:
            raise ConfigError(
                f"there is no source {name!r} in {evidence.layout.root}; the sources are {', '.join(names)}"
            )
    if count < 1:
        raise ConfigError(f"{count} pairs are asked for; give 1 or more")
    if below is not None and not 0 < below <= 1:
        raise ConfigError(f"below is {below}; give a Jaccard similarity above 0, up to 1")


@dataclass(frozen=True, slots=True)
class _Draw:
    source: str | None
    kept_in: str | None
    scope: OneScope
    below: float | None
    match: str | None
    most: int
    seed: int


def _drawn(evidence: Evidence, draw: _Draw) -> tuple[int, list[int]]:
    """How many removals fit, and the ids of those drawn, in the order of their hashes."""
    removals = 0
    ids, hashes = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64)
    for own in _fitting(evidence, draw):
        removals += own.size
        ids = np.concatenate((ids, own))
        hashes = np.concatenate((hashes, _hashed(own, draw.seed)))
        if ids.size > draw.most:
            least = np.argpartition(hashes, draw.most - 1)[: draw.most]
            ids, hashes = ids[least], hashes[least]
    return removals, ids[np.argsort(hashes)].tolist()


def _fitting(evidence: Evidence, draw: _Draw) -> Iterator[NDArray[np.uint64]]:
    """The ids of removed documents that fit, batch by batch."""
    kept, cluster = f"kept_{draw.scope}", f"cluster_{draw.scope}"
    names = np.array([name for name, _ in evidence.index.ranges])
    firsts = np.array([first for _, first in evidence.index.ranges], dtype=np.uint64)
    for path in evidence.tables.tables:
        with reading(path), opened(path) as source, pq.ParquetFile(source) as file:
            columns = ["id", "source", kept, cluster]
            columns += [f"match_{draw.scope}"] if draw.match or draw.below is not None else []
            columns += [f"similarity_{draw.scope}"] if draw.below is not None else []
            for batch in file.iter_batches(columns=columns):
                fits: Any = pc.and_(batch.column(cluster).is_valid(), pc.invert(batch.column(kept)))
                if draw.source is not None:
                    fits = pc.and_(fits, pc.equal(batch.column("source"), draw.source))
                if draw.match:
                    fits = pc.and_(fits, pc.fill_null(pc.equal(batch.column(f"match_{draw.scope}"), draw.match), False))
                if draw.below is not None:  # equal cleaned texts, and similarities of checked removals, are known
                    fits = pc.and_(fits, pc.not_equal(batch.column(f"match_{draw.scope}"), "exact"))
                    near = pc.less(batch.column(f"similarity_{draw.scope}"), pa.scalar(draw.below, pa.float32()))
                    fits = pc.and_(fits, pc.fill_null(near, True))
                chosen = batch.filter(fits)
                ids = chosen.column("id").to_numpy()
                if draw.kept_in is not None and ids.size:
                    shards = chosen.column(cluster).to_numpy() >> np.uint64(POSITION_BITS)
                    ids = ids[names[np.searchsorted(firsts, shards, side="right") - 1] == draw.kept_in]
                if ids.size:
                    yield ids


def _hashed(ids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Splitmix64 of ids and a seed: different ids, different and even values."""
    values: NDArray[np.uint64] = ids + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def _pairs(evidence: Evidence, scope: OneScope, ids: Sequence[int]) -> Iterator[Pair]:
    """The pairs of removed documents and what stays for them, in the order of ``ids``."""
    for begin in range(0, len(ids), 64):
        documents = evidence.decisions(ids[begin : begin + 64])
        survivors = evidence.decisions([one.cluster(scope) or 0 for one in documents])
        waiting: list[tuple[Decision, Decision]] = []
        size = 0
        for pair in zip(documents, survivors, strict=True):
            size += pair[0].bytes + pair[1].bytes
            if waiting and size > TEXT_BYTES:
                yield from _compared(evidence, scope, waiting)
                waiting, size = [], pair[0].bytes + pair[1].bytes
            waiting.append(pair)
        yield from _compared(evidence, scope, waiting)


def _compared(evidence: Evidence, scope: OneScope, pairs: Sequence[tuple[Decision, Decision]]) -> Iterator[Pair]:
    texts = evidence.texts_of([one for pair in pairs for one in pair])
    for document, survivor in pairs:
        yield evidence.pair_of_texts(scope, document, survivor, texts[document.id], texts[survivor.id])
