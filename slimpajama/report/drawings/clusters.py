"""Clusters by size, and removals by how alike they are to what stays for them."""

from __future__ import annotations

from matplotlib.ticker import FuncFormatter

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend
from slimpajama.report.figures.deduplication import ClusterSection
from slimpajama.report.numbers import count

__all__ = ["cluster_sizes", "similarities"]


def cluster_sizes(clusters: ClusterSection) -> Drawing:
    """Both scopes on logarithmic axes: clusters of a size, over the size."""
    figure, axes = canvas(820, 300, left=62, right=20, top=34, bottom=44)
    words = []
    for scope, colour, mark in (("global", "blue", "o"), ("local", "sky", "s")):
        bins = [one for one in clusters.sizes if one.scope == scope and one.clusters]
        sizes = [(one.least * one.most) ** 0.5 for one in bins]
        counts = [one.clusters for one in bins]
        axes.plot(sizes, counts, f"-{mark}", color=COLOURS[colour], markersize=6, linewidth=1.5, markeredgewidth=0)
        words += [f"{scope}: {count(one.clusters)} of {_range(one.least, one.most)} documents" for one in bins]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.grid(axis="y")
    plain = FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.tick_params(which="minor", length=0)
    top = max([one.most for one in clusters.sizes] + [10])
    steps = (1, 2, 3, 4, 5, 7) if top < 30 else (1, 2, 5) if top < 1000 else (1, 3)
    ticks = {2} | {step * 10**power for power in range(12) for step in steps}
    axes.set_xlim(1.85, top * 1.2)
    axes.set_xticks(sorted(tick for tick in ticks if 2 <= tick <= top * 1.2))
    axes.set_xlabel("documents in a cluster")
    axes.set_ylabel("clusters")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    legend(axes, (("global", "blue", 1), ("local", "sky", 1)), "os")
    return drawn("cluster-sizes", "How many clusters there are of each size", "; ".join(words) + ".", figure)


def _range(least: int, most: int) -> str:
    return count(least) if least == most else f"{count(least)} to {count(most)}"


def similarities(clusters: ClusterSection) -> Drawing:
    """A histogram of removals, those below the threshold in another colour."""
    figure, axes = canvas(820, 260, left=62, right=20, top=34, bottom=44)
    for one in clusters.similarities:
        below = one.below <= clusters.threshold + 1e-9
        colour = COLOURS["red" if below else "blue"]
        wide = one.below - one.least
        axes.bar(one.least, one.removals, width=wide * 0.9, align="edge", color=colour, linewidth=0)
    most = max([one.removals for one in clusters.similarities] + [1])
    axes.axvline(clusters.threshold, color=COLOURS["ink"], linewidth=1, dashes=(4, 3))
    left = clusters.threshold > 0.75
    axes.text(
        clusters.threshold + (-0.008 if left else 0.008),
        most * 1.0,
        f"threshold {clusters.threshold:g}",
        ha="right" if left else "left",
        va="top",
        color=COLOURS["ink"],
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, most * 1.05)
    axes.set_xticks([tick / 10 for tick in range(0, 11, 2)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value == int(value) else ""))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Jaccard similarity with the document that stays")
    axes.set_ylabel("removals compared")
    legend(axes, (("at the threshold or above", "blue", 1), ("below it", "red", 1)))
    words = "; ".join(
        f"{one.least:.2f} to {one.below:.2f}: {count(one.removals)}" for one in clusters.similarities if one.removals
    )
    return drawn("similarities", "Removals by their similarity with what stays", (words or "None") + ".", figure)
