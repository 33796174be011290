"""All drawings of a report, by their names."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.report.drawings.clusters import cluster_sizes, similarities
from slimpajama.report.drawings.glance import fate_of_bytes
from slimpajama.report.drawings.kvcache import cache_drawings
from slimpajama.report.drawings.lsh import lsh_curve
from slimpajama.report.drawings.mixtures import epochs_map, mixture_shares
from slimpajama.report.drawings.overlap import overlap_maps
from slimpajama.report.drawings.sources import before_and_after, rates
from slimpajama.report.drawings.study import study_drawings
from slimpajama.report.drawings.style import Drawing
from slimpajama.report.drawings.time import stage_times
from slimpajama.report.drawings.tokens import divergence_maps, document_lengths, source_tokens
from slimpajama.report.figures.deduplication import SourceRow
from slimpajama.report.figures.mixtures import MixtureSection
from slimpajama.report.figures.whole import Report

__all__ = ["drawings_of", "sources_of_mixtures"]

MOST_SOURCES = 20
"""Bars in a drawing: the largest sources. Tables say how many there are, and files have all."""


def drawings_of(report: Report) -> dict[str, Drawing]:
    """What can be drawn of ``report``; nothing for a section that is missing or has nothing in it."""
    made: list[Drawing] = []
    if report.glance:
        made.append(fate_of_bytes(report.glance))
    if report.sources and report.sources.rows:
        rows = largest(report.sources.rows)
        made += [before_and_after(rows), rates(rows)]
    if report.overlap and any(map(any, report.overlap.shared_documents)):
        made += overlap_maps(report.overlap)
    if report.clusters and any(one.clusters for one in report.clusters.sizes):
        made.append(cluster_sizes(report.clusters))
    if report.clusters and report.clusters.compared:
        made.append(similarities(report.clusters))
    if report.lsh:
        made.append(lsh_curve(report.lsh))
    if report.tokens and report.tokens.sources:
        made.append(source_tokens(report.tokens.sources[:MOST_SOURCES]))
        if any(one.documents for one in report.tokens.lengths):
            made.append(document_lengths(report.tokens))
        for subset in report.tokens.subsets:
            made += divergence_maps(report.tokens, subset)
    if report.mixtures and report.mixtures.mixtures:
        names = sources_of_mixtures(report.mixtures)
        made += [mixture_shares(report.mixtures.mixtures, names), epochs_map(report.mixtures.mixtures, names)]
    if report.study and report.study.cells:
        made += study_drawings(report.study)
    if report.caches:
        made += cache_drawings(report.caches)
    if report.time and report.time.stages:
        made.append(stage_times(report.time.stages))
    return {one.name: one for one in made}


def largest(rows: Sequence[SourceRow], most: int = MOST_SOURCES) -> list[SourceRow]:
    """The sources of most bytes, in the order of the output."""
    chosen = sorted(rows, key=lambda row: -row.read_bytes)[:most]
    return [row for row in rows if row in chosen]


def sources_of_mixtures(section: MixtureSection) -> list[str]:
    """The sources of all mixtures, those of most tokens first."""
    tokens: dict[str, int] = {}
    for mixture in section.mixtures:
        for one in mixture.sources:
            tokens[one.source] = tokens.get(one.source, 0) + one.tokens
    return sorted(tokens, key=lambda name: -tokens[name])
