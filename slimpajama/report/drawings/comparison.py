"""What two runs keep of each source."""

from __future__ import annotations

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, label, legend, side_labels
from slimpajama.report.figures.comparison import ComparedRuns
from slimpajama.report.numbers import amount

__all__ = ["kept_by_two"]

MOST = 20
"""Bars in the drawing: the first sources. The table has all."""


def kept_by_two(runs: ComparedRuns, names: tuple[str, str]) -> Drawing:
    """For each source a bar of what was read, and within it what each run keeps."""
    sources = runs.sources[:MOST]
    figure, axes = canvas(820, 56 + 36 * len(sources), left=150, right=170, top=30, bottom=12)
    most = max([max(one.first_read.bytes, one.second_read.bytes) for one in sources] + [1])
    places = [-float(number) for number in range(len(sources))]
    for place, one in zip(places, sources, strict=True):
        read = max(one.first_read.bytes, one.second_read.bytes)
        axes.barh(place, read, height=0.76, color=COLOURS["grey"], alpha=0.35, linewidth=0)
        axes.barh(place + 0.17, one.first_kept.bytes, height=0.28, color=COLOURS["blue"], linewidth=0)
        axes.barh(place - 0.17, one.second_kept.bytes, height=0.28, color=COLOURS["gold"], linewidth=0)
        words = f"{amount(one.first_kept.bytes)}, {amount(one.second_kept.bytes)}"
        axes.text(read + most * 0.012, place, words, va="center", color=COLOURS["muted"])
    side_labels(axes, places, [one.source for one in sources])
    keys = (
        ("read", "grey", 0.35),
        (label(f"kept by {names[0]}", 30), "blue", 1),
        (label(f"by {names[1]}", 30), "gold", 1),
    )
    legend(axes, keys)
    axes.set_xlim(0, most)
    axes.set_ylim(-len(sources) + 0.5, 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    told = "; ".join(
        f"{one.source}: {names[0]} keeps {amount(one.first_kept.bytes)}, {names[1]} {amount(one.second_kept.bytes)}"
        for one in sources
    )
    return drawn("kept-by-two", "Bytes of each source that each run keeps", f"{told}.", figure)
