"""The paper's table: every source before and after, with SlimPajama's published rates beside ours. Costs nothing.

The published rates are those of SlimPajama's dataset card. Its "byte deduplication rate" counts what is short, too: the
constants of its released code give the card's numbers as (duplicate + short) bytes / bytes read, per source; its total,
49.60, is not what these constants sum up to (50.18), and is shown as published.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from slimpajama.config.dedup import Config
from slimpajama.dedup.summary import DedupSummary, ScopeFigures, SourceFigures
from slimpajama.report.figures.deduplication import ScopeAmounts, ScopeRow, SourceRow, SourceSection

__all__ = ["PUBLISHED", "TOTAL", "PublishedRates", "amounts", "percent", "sources"]

TOTAL = "total"


@dataclass(frozen=True, slots=True)
class PublishedRates:
    """Percent of a source's bytes that are removed, and of its documents that are short."""

    bytes: float
    short: float


PUBLISHED = {
    "common_crawl": PublishedRates(63.76, 0.02),
    "c4": PublishedRates(6.85, 4.70),
    "github": PublishedRates(46.16, 0.00),
    "books": PublishedRates(2.01, 0.00),
    "arxiv": PublishedRates(0.06, 0.62),
    "wikipedia": PublishedRates(2.24, 0.00),
    "stackexchange": PublishedRates(0.20, 0.32),
    TOTAL: PublishedRates(49.60, 1.86),
}


def sources(summary: DedupSummary) -> SourceSection:
    """All sources in the order of the output, and the total."""
    figures = {name: summary.sources[name] for name in (*summary.overlap.sources, TOTAL)}
    rows = [_row(name, own, summary.total) for name, own in figures.items()]
    return SourceSection(rows=tuple(rows[:-1]), total=rows[-1], settings_differ=_differences(summary.settings))


def _row(name: str, own: SourceFigures, total: SourceFigures) -> SourceRow:
    published = PUBLISHED.get(name)
    return SourceRow(
        source=name,
        read_documents=own.read.documents,
        read_bytes=own.read.bytes,
        read_share=percent(own.read.bytes, total.read.bytes),
        short_documents=own.short.documents,
        short_bytes=own.short.bytes,
        short_rate=percent(own.short.documents, own.read.documents),
        bad_records=own.bad.documents,
        contaminated_documents=own.contaminated.documents,
        global_=_scope(own.global_, own, total.global_),
        local=_scope(own.local, own, total.local),
        published_byte_rate=published.bytes if published else None,
        published_short_rate=published.short if published else None,
    )


def amounts(scope: ScopeFigures) -> ScopeAmounts:
    """What a scope keeps and removes, as the report tells it."""
    return ScopeAmounts(
        kept_documents=scope.kept.documents,
        kept_bytes=scope.kept.bytes,
        exact_documents=scope.exact.documents,
        exact_bytes=scope.exact.bytes,
        near_documents=scope.near.documents,
        near_bytes=scope.near.bytes,
    )


def _scope(scope: ScopeFigures, own: SourceFigures, total: ScopeFigures) -> ScopeRow:
    return ScopeRow(
        **msgspec.structs.asdict(amounts(scope)),
        byte_rate=percent(scope.duplicate.bytes + own.short.bytes, own.read.bytes),
        share=percent(scope.kept.bytes, total.kept.bytes),
    )


def percent(part: int, whole: int) -> float:
    """``part`` of ``whole`` in percent; 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def _differences(settings: Config) -> str:
    """In words, what is not as SlimPajama published it."""
    usual = Config()
    differ = []
    if settings.shingle != usual.shingle:
        differ.append(f"shingles of {settings.shingle.length} {settings.shingle.unit}s, not 13 characters")
    if (settings.bands, settings.rows) != (usual.bands, usual.rows) and settings.bands and settings.rows:
        differ.append(f"{settings.bands} bands of {settings.rows} rows, not 9 of 13")
    if settings.threshold is not None and not settings.checked:
        differ.append(f"bands for the threshold {settings.threshold:g}, not 9 bands of 13 rows")
    if settings.checked:
        differ.append(f"removals are checked at a similarity of {settings.threshold:g}; SlimPajama checks none")
    if settings.method != usual.method:
        differ.append(f"keys by {settings.method}, not minhash")
    if settings.min_cleaned_characters != usual.min_cleaned_characters:
        differ.append(f"documents are short below {settings.min_cleaned_characters:,} characters, not 200")
    for name in ("cleaning", "normalisation"):
        if getattr(settings, name) != getattr(usual, name):
            differ.append(f"{name} {getattr(settings, name)}, not {getattr(usual, name)}")
    if settings.against is not None:
        differ.append("documents of an earlier run count as duplicates, too")
    if settings.decontaminate is not None:
        differ.append("documents that hold evaluation items are looked for")
    return "; ".join(differ)
