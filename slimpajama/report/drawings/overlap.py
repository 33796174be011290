"""Heat maps of the overlap of sources: what they share, and whose copy stayed."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.report.drawings.heat import Cell, heat_map
from slimpajama.report.drawings.style import Drawing
from slimpajama.report.figures.deduplication import OverlapSection
from slimpajama.report.numbers import amount, count, share

__all__ = ["overlap_maps"]

MOST = 12
"""Sources in a map: the first ones. All are in the files."""


def overlap_maps(overlap: OverlapSection) -> list[Drawing]:
    """Four maps: shared and removed, each by bytes and by documents, as shares of what was read of a row's source."""
    return [
        _map("shared-bytes", overlap.shared_bytes, overlap.read_bytes, overlap, overlap.sources),
        _map("removed-bytes", overlap.removed_bytes, overlap.read_bytes, overlap, overlap.survivors),
        _map("shared-documents", overlap.shared_documents, overlap.read_documents, overlap, overlap.sources),
        _map("removed-documents", overlap.removed_documents, overlap.read_documents, overlap, overlap.survivors),
    ]


def _map(
    name: str,
    table: Sequence[Sequence[int]],
    read: Sequence[int],
    overlap: OverlapSection,
    columns: Sequence[str],
) -> Drawing:
    written = amount if name.endswith("bytes") else count
    rows = overlap.sources[:MOST]
    cells = [
        [
            Cell(
                (value / whole) ** 0.5 if whole else None,
                share(value, whole).replace(" %", "%"),
                written(value).replace("bytes", "B"),
            )
            if value
            else Cell(0.0, "0")
            for value in values[:MOST]
        ]
        for values, whole in zip(table[:MOST], read[:MOST], strict=True)
    ]
    removed = name.startswith("removed")
    what = "removed in favour of" if removed else "found again in"
    title = f"{'Bytes' if written is amount else 'Documents'} of the source at the left that were {what} the one above"
    words = "; ".join(
        f"{row}: "
        + ", ".join(
            f"{share(one, whole)} {what} {name}" for name, one in zip(columns[:MOST], values, strict=False) if one
        )
        for row, values, whole in zip(rows, table, read, strict=False)
        if any(values[:MOST])
    )
    return heat_map(name, title, words or "Nothing overlaps.", rows, columns[:MOST], cells, width=66, height=38)
