"""The figures of a deduplication as text for a terminal: the chances of the banding, the sources, their overlap."""

from __future__ import annotations

from slimpajama.config.dedup import Scope
from slimpajama.dedup.banding import catch_probability
from slimpajama.dedup.summary import DecontaminationFigures, DedupSummary, Overlap, SourceFigures
from slimpajama.text_table import aligned

__all__ = ["catch_line", "summary_table"]

_HEADING = (
    "source",
    "documents",
    "MB",
    "bad",
    "short",
    "dup. local",
    "exact local",
    "dup. global",
    "exact global",
    "kept local",
    "kept global",
    "% cut local",
    "% cut global",
)


def catch_line(bands: int, rows: int) -> str:
    """One line: the chance that a pair is linked, at Jaccard 0.5 to 0.95."""
    chances = ", ".join(
        f"{similarity:.2f}: {catch_probability(similarity, bands, rows):.1%}"
        for similarity in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
    )
    return f"{bands} bands x {rows} rows link a pair of Jaccard {chances}"


def summary_table(summary: DedupSummary) -> str:
    """The table of sources, and below it the tables of overlaps."""
    rows = [_HEADING, *(_row(name, figures) for name, figures in summary.sources.items())]
    parts = [aligned(rows, last_rows=1), _removed(summary.overlap), _shared(summary)]
    if summary.decontamination is not None:
        parts.append(_evaluation_items(summary, summary.decontamination))
    return "\n\n".join(parts)


def _row(name: str, figures: SourceFigures) -> tuple[str, ...]:
    return (
        name,
        f"{figures.read.documents:,}",
        f"{figures.read.bytes / 1e6:,.1f}",
        f"{figures.bad.documents:,}",
        f"{figures.short.documents:,}",
        f"{figures.local.duplicate.documents:,}",
        f"{figures.local.exact.documents:,}",
        f"{figures.global_.duplicate.documents:,}",
        f"{figures.global_.exact.documents:,}",
        f"{figures.local.kept.documents:,}",
        f"{figures.global_.kept.documents:,}",
        _cut(figures, "local"),
        _cut(figures, "global"),
    )


def _cut(figures: SourceFigures, scope: Scope) -> str:
    cut = figures.of(scope).duplicate.bytes + figures.short.bytes + figures.contaminated.bytes
    return f"{100 * cut / figures.read.bytes:.2f}" if figures.read.bytes else "-"


def _removed(overlap: Overlap) -> str:
    lines = [("removed from, kept in", *overlap.survivors)]
    lines += [
        (name, *(f"{count:,}" if count else "." for count in row))
        for name, row in zip(overlap.sources, overlap.documents, strict=True)
    ]
    return "Global duplicates, by the source of the document removed and of the one kept for it:\n" + aligned(lines)


def _shared(summary: DedupSummary) -> str:
    overlap = summary.overlap
    lines = [("documents of, with a copy in", *overlap.survivors)]
    for name, row in zip(overlap.sources, overlap.shared_documents, strict=True):
        read = summary.sources[name].read.documents
        lines.append((name, *(f"{100 * count / read:.2f}" if count else "." for count in row)))
    return (
        "Percent of a source's documents that have a copy in each source (in its own: another one), whichever stays:\n"
        + aligned(lines)
    )


def _evaluation_items(summary: DedupSummary, figures: DecontaminationFigures) -> str:
    """What was found of each evaluation set, and in how many documents of each source."""
    chosen = summary.settings.decontaminate
    fate = "marked" if chosen is not None and chosen.action == "mark" else "removed"
    sources = list(figures.documents)
    lines = [("evaluation set", "items", "too short", "found", *sources)]
    for name, one in figures.sets.items():
        counts = (one.documents[source] for source in sources)
        lines.append((name, f"{one.items:,}", f"{one.not_checkable:,}", f"{one.found:,}", *map(_or_dot, counts)))
    lines.append(("any", "", "", "", *(_or_dot(figures.documents[source]) for source in sources)))
    return f"Evaluation items, and documents that hold them, which are {fate}:\n" + aligned(lines, last_rows=1)


def _or_dot(count: int) -> str:
    return f"{count:,}" if count else "."
