"""The chance that a pair is caught, over its similarity: the formula's curve and the points that were measured."""

from __future__ import annotations

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend
from slimpajama.report.figures.deduplication import LshSection
from slimpajama.report.numbers import count, percent

__all__ = ["lsh_curve"]


def lsh_curve(lsh: LshSection) -> Drawing:
    """The curve, points with their intervals, and the threshold."""
    figure, axes = canvas(820, 320, left=62, right=20, top=34, bottom=44)
    axes.axvline(lsh.threshold, color=COLOURS["ink"], linewidth=1, dashes=(4, 3))
    axes.text(lsh.threshold - 0.008, 100, f"threshold {lsh.threshold:g}", ha="right", va="top", color=COLOURS["ink"])
    axes.plot([one.similarity for one in lsh.curve], [100 * one.caught for one in lsh.curve], color=COLOURS["blue"])
    for one in lsh.measured:
        at = [one.similarity, one.similarity]
        axes.plot(at, [100 * one.low, 100 * one.high], color=COLOURS["red"], linewidth=1.5)
    places = [one.similarity for one in lsh.measured]
    axes.plot(places, [100 * one.caught for one in lsh.measured], "o", color=COLOURS["red"], markersize=6, mew=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(-1, 103)
    axes.set_xticks([tick / 10 for tick in range(0, 11, 2)])
    axes.set_yticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Jaccard similarity of two documents")
    axes.set_ylabel("chance to be caught")
    legend(
        axes, ((f"{lsh.bands} bands × {lsh.rows} rows", "blue", 1), ("measured, with 95 % interval", "red", 1)), "so"
    )
    words = "; ".join(
        f"at {one.similarity:.2f} {percent(100 * one.caught)} of {count(one.pairs)} pairs" for one in lsh.measured
    )
    return drawn(
        "lsh-curve", "Chance that a pair is caught, by its similarity", f"Measured: {words or 'none'}.", figure
    )
