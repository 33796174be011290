"""Two deduplications compared: the settings that differ, what each keeps, and the documents that one keeps alone.

Documents are the same where both runs read the same shards in the same order: then their ids are equal. One pass over
three columns of each, and one over what the other run decided on documents that are kept alone. Memory: 16 bytes for
each document that is kept. Rejected: comparing texts by their hashes, which would find the same document in other
shards, but decisions do not hold them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.summary import SourceFigures
from slimpajama.errors import InputError, InputNotFound
from slimpajama.evidence.opened_output import Evidence
from slimpajama.report.figures.comparison import Amount, ComparedRuns, ComparedSource, KeptAlone, SettingDifference
from slimpajama.report.figures.deduplication import EvidencePair, Setting
from slimpajama.report.opened_output import OpenedDedup, OpenedOutput, open_output
from slimpajama.report.sections.evidence import evidence_pair
from slimpajama.report.sections.glance import glance
from slimpajama.report.sections.looked_at import compared_removals
from slimpajama.report.sections.sources import TOTAL, percent
from slimpajama.storage.paths import opened
from slimpajama.storage.reading import reading
from slimpajama.tokens.seeded_order import seeded_hash

__all__ = ["compared"]

MOST_PAIRS = 40
"""Of documents that one run keeps alone."""

SEED = 1

NOTHING = Amount(documents=0, bytes=0)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Ids of documents that a run keeps, ascending, and the bytes of each."""

    ids: NDArray[np.uint64]
    bytes: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> _Kept:
        return _Kept(self.ids[mask], self.bytes[mask])

    @property
    def amount(self) -> Amount:
        return Amount(documents=int(self.ids.size), bytes=int(self.bytes.sum()))


def compared(first: str | Path, second: str | Path) -> ComparedRuns:
    """Compare the finished deduplications in two outputs.

    Raises :class:`~slimpajama.InputNotFound` where there is none in one of them.
    """
    outputs = open_output(first), open_output(second)
    one, other = (_dedup_of(output) for output in outputs)
    glances = glance(outputs[0], one), glance(outputs[1], other)
    why_not = _other_input(one, other)
    parts = {} if why_not else _parts(one, other)
    names = list(dict.fromkeys([*one.summary.overlap.sources, *other.summary.overlap.sources]))
    rows = [_source(name, one, other, parts.get(name)) for name in (*names, TOTAL)]
    everything = parts.get(TOTAL)
    return ComparedRuns(
        title=f"{outputs[0].root.name} and {outputs[1].root.name}",
        first=glances[0],
        second=glances[1],
        settings=_differences(glances[0].settings, glances[1].settings),
        versions=_differences(glances[0].versions, glances[1].versions),
        sources=tuple(rows[:-1]),
        total=rows[-1],
        same_input=not why_not,
        why_not=why_not,
        kept_by_both=everything.both.amount if everything else None,
        first_alone=_alone(everything.first, other) if everything else None,
        second_alone=_alone(everything.second, one) if everything else None,
    )


def _dedup_of(output: OpenedOutput) -> OpenedDedup:
    if output.dedup is None:
        raise InputNotFound(f"{output.root} cannot be compared: {output.missing['dedup']}")
    return output.dedup


def _differences(first: tuple[Setting, ...], second: tuple[Setting, ...]) -> tuple[SettingDifference, ...]:
    one, other = ({setting.name: setting.value for setting in settings} for settings in (first, second))
    return tuple(
        SettingDifference(name=name, first=one.get(name, ""), second=other.get(name, ""))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    )


def _other_input(one: OpenedDedup, other: OpenedDedup) -> str:
    """Why documents of the two runs cannot be told to be the same; empty where they can."""
    mine, theirs = (_shards(dedup.evidence) for dedup in (one, other))
    if mine == theirs and one.summary.total.read == other.summary.total.read:
        return ""
    if mine == theirs:
        return "the shards have the same names, but hold other text"
    return f"{one.root} was made of {len(mine):,} shards and {other.root} of {len(theirs):,}, and not the same ones"


def _shards(evidence: Evidence) -> dict[int, str]:
    """The shards by the numbers that ids begin with."""
    inputs = (one for part in evidence.tables.manifest.parts for one in part.inputs)
    return {number: one.path for one in inputs for number in one.numbers}


@dataclass(frozen=True, slots=True)
class _Parts:
    """What both keep, and what each keeps alone."""

    both: _Kept
    first: _Kept
    second: _Kept


def _parts(one: OpenedDedup, other: OpenedDedup) -> dict[str, _Parts]:
    """By source, and in all."""
    first, second = _kept(one.evidence), _kept(other.evidence)
    shared = _inside(first.ids, second.ids)
    whole = _Parts(
        first.where(shared),
        first.where(~shared),
        second.where(~_inside(second.ids, first.ids)),
    )
    found = {TOTAL: whole}
    ranges = one.evidence.index.ranges
    for place, (name, begin) in enumerate(ranges):
        end = ranges[place + 1][1] if place + 1 < len(ranges) else 1 << (63 - POSITION_BITS)
        found[name] = _Parts(*(_between(own, begin, end) for own in (whole.both, whole.first, whole.second)))
    return found


def _inside(ids: NDArray[np.uint64], ascending: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of ``ids`` are among the others, which are sorted."""
    if not ascending.size:
        return np.zeros(ids.size, dtype=np.bool_)
    places = np.minimum(np.searchsorted(ascending, ids), ascending.size - 1)
    found: NDArray[np.bool_] = ascending[places] == ids
    return found


def _between(kept: _Kept, begin: int, end: int) -> _Kept:
    shards = kept.ids >> np.uint64(POSITION_BITS)
    return kept.where((shards >= begin) & (shards < end))


def _kept(evidence: Evidence) -> _Kept:
    ids, sizes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for path in evidence.tables.tables:
        with reading(path), opened(path) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(columns=["id", "bytes", "kept_global"]):
                own = batch.filter(batch.column("kept_global"))
                ids.append(own.column("id").to_numpy())
                sizes.append(own.column("bytes").to_numpy())
    every, lengths = np.concatenate(ids), np.concatenate(sizes)
    order = np.argsort(every)
    return _Kept(every[order], lengths[order])


def _source(name: str, one: OpenedDedup, other: OpenedDedup, parts: _Parts | None) -> ComparedSource:
    first, second = (_figures(dedup.summary.sources, name) for dedup in (one, other))
    return ComparedSource(
        source=name,
        first_read=first[0],
        second_read=second[0],
        first_kept=first[1],
        second_kept=second[1],
        first_byte_rate=first[2],
        second_byte_rate=second[2],
        both=parts.both.amount if parts else None,
        first_alone=parts.first.amount if parts else None,
        second_alone=parts.second.amount if parts else None,
    )


def _figures(sources: Mapping[str, SourceFigures], name: str) -> tuple[Amount, Amount, float]:
    """What is read and kept of a source, and its byte deduplication rate."""
    own = sources.get(name)
    if own is None:
        return NOTHING, NOTHING, 0.0
    kept = own.global_.kept
    return (
        Amount(documents=own.read.documents, bytes=own.read.bytes),
        Amount(documents=kept.documents, bytes=kept.bytes),
        percent(own.global_.duplicate.bytes + own.short.bytes, own.read.bytes),
    )


def _alone(kept: _Kept, other: OpenedDedup) -> KeptAlone:
    """What one run keeps alone, and what the ``other`` decided on it."""
    statuses, removed = _decided(kept, other.evidence)
    pairs: tuple[EvidencePair, ...] = ()
    missing = ""
    order = np.argsort(seeded_hash(removed, SEED, "documents kept in one run"))
    try:
        found = compared_removals(other.evidence, "global", removed[order][:MOST_PAIRS].tolist())
        pairs = tuple(sorted(map(evidence_pair, found), key=lambda pair: (pair.jaccard, pair.id)))
    except InputError as fault:
        missing = str(fault)
    return KeptAlone(amount=kept.amount, statuses=statuses, pairs=pairs, pairs_missing=missing)


def _decided(kept: _Kept, evidence: Evidence) -> tuple[tuple[tuple[str, int], ...], NDArray[np.uint64]]:
    """How often the run decided what on these documents, and the ids of those that are duplicates to it."""
    counts: Counter[str] = Counter()
    removed = [np.zeros(0, np.uint64)]
    for path in evidence.tables.tables if kept.ids.size else ():
        with reading(path), opened(path) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(columns=["id", "status"]):
                own = batch.filter(pa.array(_inside(batch.column("id").to_numpy(), kept.ids)))
                for one in pc.value_counts(own.column("status")).to_pylist():
                    counts[one["values"]] += one["counts"]
                removed.append(own.filter(pc.equal(own.column("status"), "duplicate")).column("id").to_numpy())
    return tuple(sorted(counts.items())), np.concatenate(removed)
