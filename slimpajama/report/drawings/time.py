"""How long each stage took."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, side_labels
from slimpajama.report.figures.whole import StageRow
from slimpajama.report.numbers import duration

__all__ = ["stage_times"]

SHADES = {"dedup": "blue", "mix": "green"}


def stage_times(stages: Sequence[StageRow]) -> Drawing:
    """A bar for each stage, in the order of the run."""
    figure, axes = canvas(820, 50 + 24 * len(stages), left=150, right=190, top=30, bottom=20)
    most = max([one.seconds for one in stages] + [0.001])
    places = [-float(number) for number in range(len(stages))]
    for place, one in zip(places, stages, strict=True):
        axes.barh(place, one.seconds, height=0.62, color=COLOURS[SHADES.get(one.part, "grey")], linewidth=0)
        words = duration(one.seconds) + (f", {one.mb_per_second:,.0f} MB/s" if one.mb_per_second else "")
        words += f", {one.reused:,} of {one.tasks:,} reused" if one.reused else ""
        axes.text(one.seconds + most * 0.012, place, words, va="center", color=COLOURS["muted"])
    side_labels(axes, places, [one.stage for one in stages])
    axes.set_xlim(0, most)
    axes.set_ylim(-len(stages) + 0.4, 0.6)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    legend(axes, (("deduplication", "blue", 1), ("tokens and mixtures", "green", 1)))
    words = "; ".join(f"{one.stage}: {duration(one.seconds)}" for one in stages)
    return drawn("stages", "Seconds of each stage", words + ".", figure)
