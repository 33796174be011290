"""What a person should look at before trusting a deduplication, in words, with the setting that changes it.

Each rule is one function with its bound beside it. Bounds are chosen so that a healthy run of real text raises few:
they ask for a look and decide nothing. A chain and a template look alike in size; members that are mostly like the
survivor with some that are not, or that contain it, are a chain; members that are mostly unlike it share only a
template. Costs nothing beside what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from slimpajama.dedup.summary import DedupSummary
from slimpajama.evidence.opened_output import Pair
from slimpajama.printable import printable_text
from slimpajama.report.figures.deduplication import Alarm, LargeClusterRow
from slimpajama.report.opened_output import OpenedDedup
from slimpajama.report.sections.sources import PUBLISHED, percent

__all__ = ["alarms"]

MUCH_REMOVED = 80.0
"""Percent of a source's bytes."""

NEARLY_ALL_REMOVED = 95.0

ABOVE_PUBLISHED = 25.0
"""Percent points above SlimPajama's rate for a source of this name."""

MUCH_SHORT = 50.0
"""Percent of a source's documents."""

FEW = 100
"""Documents of a source that a share of it means little for."""

BELOW_SHARE, MUCH_BELOW_SHARE = 0.05, 0.25
"""Of a source's compared removals that are less alike than the threshold."""

LARGE = 8
"""Documents of a cluster that is looked into."""

CHAIN_GAP = 0.2
"""How far below the threshold the least alike member of a chain is."""

CONTAINED = 0.8
"""Of the shorter of two texts that the longer one has, where one grew out of the other."""

FEW_MEMBERS = 3
MOST_CLUSTERS = 5

HUGE_SHARE = 0.02
"""Of all documents, in one cluster."""

SHOWN = 60

MOST_SOURCES = 8
"""Sources that one alarm tells of; it counts the others."""

SOURCE = "SOURCE"
"""Stands in a remedy for the name of a source."""


@dataclass(frozen=True, slots=True)
class _OfSource:
    """What is wrong with one source."""

    source: str
    severity: str
    what: str
    remedy: str


def alarms(
    dedup: OpenedDedup, largest: Sequence[LargeClusterRow], members: Mapping[int, Sequence[Pair]], threshold: float
) -> tuple[Alarm, ...]:
    """All alarms, the serious ones first."""
    output = str(dedup.root)
    found = [
        *_sources(dedup.summary, output),
        *_less_alike(dedup.summary, threshold, output),
        *_huge(dedup.summary, largest, output),
        *_large(dedup.summary, largest, members, threshold, output),
    ]
    return tuple(sorted(found, key=lambda one: one.severity != "serious"))


def _sources(summary: DedupSummary, output: str) -> Iterator[Alarm]:
    """Sources that lose an absurd share, one alarm for those that lose alike."""
    found: list[_OfSource] = []
    for name in summary.overlap.sources:
        own = summary.sources[name]
        if own.read.documents < FEW:
            continue
        scope = own.local if summary.settings.scope == "local" else own.global_
        rate = percent(scope.duplicate.bytes + own.short.bytes, own.read.bytes)
        published = PUBLISHED[name].bytes if name in PUBLISHED else None
        remedy = (
            f"slimpajama duplicates {output} --source {SOURCE} shows what goes; if these are no duplicates, --preset "
            "verified removes only what is alike, and --set max_removed_fraction=0.8 stops a run before it writes"
        )
        if rate >= MUCH_REMOVED:
            severity = "serious" if rate >= NEARLY_ALL_REMOVED else "look"
            found.append(_OfSource(name, severity, f"{name} loses {rate:.1f} % of its bytes", remedy))
        elif published is not None and rate > published + ABOVE_PUBLISHED:
            what = f"{name} loses {rate:.1f} % of its bytes; SlimPajama's {name} lost {published:.2f} %"
            found.append(_OfSource(name, "look", what, remedy))
        short = percent(own.short.documents, own.read.documents)
        if short >= MUCH_SHORT:
            bound = summary.settings.min_cleaned_characters
            what = f"{short:.1f} % of the documents of {name} are short: below {bound:,} cleaned characters"
            remedy = (
                "check that text_field names the field of the text; --set min_cleaned_characters=… keeps shorter ones"
            )
            found.append(_OfSource(name, "look", what, remedy))
    yield from _joined(found)


def _joined(found: Sequence[_OfSource], ending: str = ".") -> Iterator[Alarm]:
    """One alarm for all sources of one severity and remedy."""
    alike: dict[tuple[str, str], list[_OfSource]] = {}
    for one in found:
        alike.setdefault((one.severity, one.remedy), []).append(one)
    for (severity, remedy), own in alike.items():
        what = "; ".join(one.what for one in own[:MOST_SOURCES])
        more = f"; so it is with {len(own) - MOST_SOURCES:,} more sources" if own[MOST_SOURCES:] else ""
        yield Alarm(
            severity=severity,
            what=f"{what}{more}{ending}",
            remedy=remedy.replace(SOURCE, own[0].source) if len(own) == 1 else remedy,
        )


def _less_alike(summary: DedupSummary, threshold: float, output: str) -> Iterator[Alarm]:
    """Sources whose removals are often less alike than the threshold."""
    looked = summary.looked_at
    if looked is None or summary.settings.checked:
        return
    found: list[_OfSource] = []
    for name, own in looked.sources.items():
        share = own.below_threshold / own.looked_at if own.looked_at else 0.0
        if own.below_threshold >= 3 and share >= BELOW_SHARE:
            severity = "serious" if share >= MUCH_BELOW_SHARE else "look"
            what = (
                f"{own.below_threshold:,} of {own.looked_at:,} removals of {name} that the run itself drew have a "
                f"similarity below {looked.threshold:g} with the document that stays, the lowest {own.lowest or 0:.2f}"
            )
            remedy = (
                f"slimpajama duplicates {output} --source {SOURCE} --below {threshold:g} shows them; --preset verified "
                "removes only what is alike"
            )
            found.append(_OfSource(name, severity, what, remedy))
    yield from _joined(found, ": bands catch some such pairs, and clusters link documents through others.")


def _huge(summary: DedupSummary, largest: Sequence[LargeClusterRow], output: str) -> Iterator[Alarm]:
    documents = summary.total.read.documents
    for row in largest:
        if row.documents >= max(FEW, HUGE_SHARE * documents):
            yield Alarm(
                severity="serious",
                what=f"One cluster has {row.documents:,} of {documents:,} documents: {_called(row)}.",
                remedy=f"slimpajama explain {output} {row.cluster:#x} --members 20 shows it; if its documents say "
                "different things, --preset verified keeps them apart",
            )


def _large(
    summary: DedupSummary,
    largest: Sequence[LargeClusterRow],
    members: Mapping[int, Sequence[Pair]],
    threshold: float,
    output: str,
) -> Iterator[Alarm]:
    """Large clusters that are chains, or whose documents share a template: the worst of them."""
    if summary.settings.checked:
        return
    found = []
    for row in largest:
        pairs = members.get(row.cluster, ())
        if row.documents >= LARGE and len(pairs) >= FEW_MEMBERS:
            alarm = _unlike(row, pairs, threshold, output)
            if alarm is not None:
                found.append((row.median or 0.0, row.cluster, alarm))
    found.sort(key=lambda one: one[:2])
    yield from (alarm for _, _, alarm in found[:MOST_CLUSTERS])
    if found[MOST_CLUSTERS:]:
        yield Alarm(
            severity="look",
            what=f"{len(found) - MOST_CLUSTERS:,} more of the largest clusters are chains or templates.",
            remedy="the table of the largest clusters shows them: their median similarity is low",
        )


def _unlike(row: LargeClusterRow, pairs: Sequence[Pair], threshold: float, output: str) -> Alarm | None:
    """What is wrong with a large cluster by its compared members, if anything."""
    lowest, middle = min(pair.jaccard for pair in pairs), median(pair.jaccard for pair in pairs)
    if middle >= threshold and lowest >= threshold - CHAIN_GAP:
        return None
    through_others = sum(not pair.bands for pair in pairs)
    contained = median(max(pair.document_in_survivor, pair.survivor_in_document) for pair in pairs)
    shared = median(min(pair.document_in_survivor, pair.survivor_in_document) for pair in pairs)
    severity = "serious" if middle < threshold - CHAIN_GAP else "look"
    look = f"slimpajama explain {output} {row.cluster:#x} --members 20 shows it"
    if middle >= threshold or (2 * through_others >= len(pairs) and contained >= CONTAINED):
        return Alarm(
            severity=severity,
            what=f"A cluster is a chain: of {len(pairs):,} compared members of its {row.documents:,} documents "
            f"{through_others:,} share no band with the one that stays and were linked through others; their "
            f"similarity with it has the median {middle:.2f}, the lowest is {lowest:.2f}: {_called(row)}.",
            remedy=f"{look}; --preset verified compares each document with the one that stays",
        )
    return Alarm(
        severity=severity,
        what=f"A template swallows documents: {row.documents:,} documents in one cluster, whose compared members have "
        f"a median similarity of {middle:.2f} with the one that stays and share {shared:.0%} of their text with it: "
        f"{_called(row)}.",
        remedy=f"{look}; --preset verified keeps what is less alike than {threshold:g}, and a larger shingle.length, "
        "or texts without the template, make its documents differ more",
    )


def _called(row: LargeClusterRow) -> str:
    beginning = printable_text(row.beginning)
    shown = f"{beginning[:SHOWN]}…" if len(beginning) > SHOWN else beginning
    return f"“{shown}” in {row.path}" if shown else f"in {row.path}"
