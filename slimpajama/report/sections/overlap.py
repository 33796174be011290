"""Which sources share documents, and whose copy stayed. Costs nothing: the run has counted it."""

from __future__ import annotations

from slimpajama.dedup.summary import DedupSummary
from slimpajama.report.figures.deduplication import OverlapSection

__all__ = ["overlap"]


def overlap(summary: DedupSummary) -> OverlapSection:
    """The matrices of the global scope."""
    counted = summary.overlap
    return OverlapSection(
        sources=counted.sources,
        survivors=counted.survivors,
        removed_documents=counted.documents,
        removed_bytes=counted.bytes,
        shared_documents=counted.shared_documents,
        shared_bytes=counted.shared_bytes,
        read_documents=tuple(summary.sources[name].read.documents for name in counted.sources),
        read_bytes=tuple(summary.sources[name].read.bytes for name in counted.sources),
    )
