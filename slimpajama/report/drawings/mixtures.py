"""Mixtures side by side: what each consists of, and how often each source is repeated in it."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.report.drawings.heat import Cell, heat_map
from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, legend_lines, side_labels
from slimpajama.report.figures.mixtures import MixtureRow
from slimpajama.report.numbers import percent

__all__ = ["epochs_map", "mixture_shares"]

SHADES = ("blue", "gold", "green", "sky", "red", "pink", "grey")
MOST = 10
"""Sources in a map: the largest ones. All are in the files."""


def mixture_shares(mixtures: Sequence[MixtureRow], sources: Sequence[str]) -> Drawing:
    """A stacked bar for each mixture: the shares it got. Sources beyond the first colours are one."""
    named = list(sources[: len(SHADES) - (len(sources) > len(SHADES))])
    rest = len(sources) > len(named)
    keys = [*named, *(["others"] if rest else [])]
    lines = legend_lines(keys)
    figure, axes = canvas(820, 40 + 22 * lines + 30 * len(mixtures), left=150, right=24, top=12 + 22 * lines, bottom=28)
    for number, mixture in enumerate(mixtures):
        by_name = {one.source: one for one in mixture.sources}
        shares = [by_name[name].got if name in by_name else 0.0 for name in named]
        shares += [100 - sum(shares)] if rest else []
        start = 0.0
        for shade, part in zip(SHADES, shares, strict=False):
            colour = COLOURS[shade]
            axes.barh(-number, part, left=start, height=0.7, color=colour, edgecolor=COLOURS["page"], linewidth=1)
            if part >= 5:
                ink = COLOURS["page" if shade == "blue" else "dark"]
                axes.text(start + part / 2, -number, f"{part:.0f}", ha="center", va="center", color=ink)
            start += part
    legend(axes, [(name, shade, 1) for name, shade in zip(keys, SHADES, strict=False)])
    axes.set_xlim(0, 100)
    axes.set_ylim(-len(mixtures) + 0.5, 0.5)
    side_labels(axes, [-number for number in range(len(mixtures))], [one.name for one in mixtures])
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.spines["bottom"].set_visible(False)
    words = "; ".join(
        f"{one.name}: " + ", ".join(f"{percent(part.got)} {part.source}" for part in one.sources[:MOST])
        for one in mixtures
    )
    return drawn("mixtures", "Shares of the sources in each mixture", words + ".", figure)


def epochs_map(mixtures: Sequence[MixtureRow], sources: Sequence[str]) -> Drawing:
    """How often each mixture goes through each source."""
    columns = list(sources[:MOST])
    cells = []
    for mixture in mixtures:
        by_name = {one.source: one.epochs for one in mixture.sources}
        cells.append([_epochs(by_name.get(name)) for name in columns])
    words = "; ".join(
        f"{one.name}: " + ", ".join(f"{part.source} {part.epochs:.2f}" for part in one.sources[:MOST])
        for one in mixtures
    )
    title = "How often each mixture goes through each source"
    return heat_map("epochs", title, words + ".", [one.name for one in mixtures], columns, cells, width=58, height=30)


def _epochs(epochs: float | None) -> Cell:
    """Deep from eight epochs on; a dash where the mixture has nothing of the source."""
    return (
        Cell(None)
        if not epochs
        else Cell(min(1.0, epochs / 8), f"{epochs:.2f}" if epochs < 9.995 else f"{epochs:,.0f}")
    )
