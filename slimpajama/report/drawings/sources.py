"""Sources before and after, and their rates beside SlimPajama's published ones."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, side_labels
from slimpajama.report.figures.deduplication import SourceRow
from slimpajama.report.numbers import amount, percent

__all__ = ["before_and_after", "rates"]

ROW = 34


def before_and_after(rows: Sequence[SourceRow]) -> Drawing:
    """For each source a bar of the bytes read, and within it what each scope keeps."""
    figure, axes = canvas(820, 56 + ROW * len(rows), left=150, right=150, top=30, bottom=26)
    most = max([row.read_bytes for row in rows] + [1])
    places = [-float(number) for number in range(len(rows))]
    for place, row in zip(places, rows, strict=True):
        axes.barh(place, row.read_bytes, height=0.74, color=COLOURS["grey"], alpha=0.35, linewidth=0)
        axes.barh(place + 0.15, row.global_.kept_bytes, height=0.3, color=COLOURS["blue"], linewidth=0)
        axes.barh(place - 0.17, row.local.kept_bytes, height=0.24, color=COLOURS["sky"], linewidth=0)
        text = f"{amount(row.read_bytes)} → {amount(row.global_.kept_bytes)}"
        axes.text(row.read_bytes + most * 0.012, place, text, va="center", color=COLOURS["muted"])
    side_labels(axes, places, [row.source for row in rows])
    legend(axes, (("read", "grey", 0.35), ("kept globally", "blue", 1), ("kept locally", "sky", 1)))
    axes.set_xlim(0, most)
    axes.set_ylim(-len(rows) + 0.5, 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    words = "; ".join(
        f"{row.source}: {amount(row.read_bytes)} read, {amount(row.global_.kept_bytes)} kept globally, "
        f"{amount(row.local.kept_bytes)} kept locally"
        for row in rows
    )
    return drawn("sources", "Bytes of each source before and after", words + ".", figure)


def rates(rows: Sequence[SourceRow]) -> Drawing:
    """For each source the share of bytes removed, a dot for each scope and a ring for SlimPajama's."""
    figure, axes = canvas(820, 72 + 30 * len(rows), left=150, right=30, top=30, bottom=42)
    places = [-float(number) for number in range(len(rows))]
    for place, row in zip(places, rows, strict=True):
        ours, published = row.global_.byte_rate, row.published_byte_rate
        axes.plot([0, 100], [place, place], color=COLOURS["rule"], linewidth=0.6, zorder=0)
        if published is not None:
            axes.plot([ours, published], [place, place], color=COLOURS["grey"], linewidth=2, zorder=1)
            axes.plot(
                [published], [place], "D", markersize=8, color=COLOURS["page"], markeredgecolor=COLOURS["red"], mew=2
            )
        axes.plot([row.local.byte_rate], [place], "o", markersize=7, color=COLOURS["sky"], mew=0)
        axes.plot([ours], [place], "o", markersize=10, color=COLOURS["blue"], mew=0)
    side_labels(axes, places, [row.source for row in rows])
    legend(
        axes,
        (("this run, global", "blue", 1), ("this run, local", "sky", 1), ("SlimPajama, published", "red", 1)),
        marks="ooD",
    )
    axes.set_xlim(-1, 101)
    axes.set_ylim(-len(rows) + 0.5, 0.5)
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.set_xlabel("bytes removed as short or duplicate, of those read")
    words = "; ".join(
        f"{row.source}: {percent(row.global_.byte_rate)} globally, {percent(row.local.byte_rate)} locally"
        + (f", published {percent(row.published_byte_rate)}" if row.published_byte_rate is not None else "")
        for row in rows
    )
    return drawn("rates", "Share of bytes removed, beside SlimPajama's", words + ".", figure)
