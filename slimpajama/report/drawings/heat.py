"""A table of numbers as a heat map: a cell for each, deeper the more it is, its number in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, label

__all__ = ["Cell", "heat_map"]

PALE_INK_FROM = 0.62
"""Cells deeper than this have pale letters."""


@dataclass(frozen=True, slots=True)
class Cell:
    """``value``: from 0 to 1, how deep; ``None`` for an empty cell. ``text``: what stands in it, ``below``: smaller.
    ``framed``: with a dashed frame."""

    value: float | None
    text: str = ""
    below: str = ""
    framed: bool = False


def heat_map(
    name: str,
    title: str,
    description: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    *,
    width: int = 62,
    height: int = 34,
    apart: int = 0,
    note: str = "",
) -> Drawing:
    """The map. ``width``, ``height``: of a cell, in pixels; ``apart``: so many columns at the end stand apart;
    ``note``: what stands below."""
    names = [label(column, 16) for column in columns]
    left = 16 + round(6.9 * max(map(len, [label(row, 20) for row in rows]), default=1))
    longest = max(map(len, names), default=1)
    slanted = 7 * longest > width - 4
    top = 12 + (round(4.8 * longest) + 8 if slanted else 14)
    gap = 14 if apart else 0
    right = 8 + (round(5.4 * max(4, len(names[-1]))) if slanted and names else 0)
    inside = width * len(columns) + gap, height * len(rows)
    wide = left + inside[0] + right
    notes = textwrap.wrap(note, wide // 6)
    bottom = 6 + 17 * len(notes)
    figure, axes = canvas(wide, top + inside[1] + bottom, left=left, right=right, top=top, bottom=bottom)
    axes.set_xlim(0, inside[0])
    axes.set_ylim(inside[1], 0)
    axes.axis("off")
    for j, column in enumerate(names):
        x = j * width + (gap if j >= len(columns) - apart else 0)
        tilt = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if slanted else {"ha": "center"}
        axes.text(x + width / 2, -6, column, va="bottom" if not slanted else "baseline", color=COLOURS["muted"], **tilt)
        for i, row in enumerate(cells):
            _draw(axes, row[j], x, i * height, width, height)
    for i, row_name in enumerate(rows):
        axes.text(-left, i * height + height / 2, label(row_name, 20), ha="left", va="center")
    for at, line in enumerate(notes):
        axes.text(-left, inside[1] + 17 * at + 13, line, ha="left", va="center", color=COLOURS["muted"], fontsize=11)
    return drawn(name, title, description, figure)


def _draw(axes: Axes, cell: Cell, x: float, y: float, width: int, height: int) -> None:
    if cell.value is None:
        axes.text(x + width / 2, y + height / 2, "–", ha="center", va="center", color=COLOURS["muted"])
        return
    depth = min(max(cell.value, 0.0), 1.0)
    box = Rectangle(
        (x + 1, y + 1), width - 2, height - 2, facecolor=COLOURS["heat"], alpha=0.04 + 0.96 * depth, linewidth=0
    )
    axes.add_patch(box)
    if cell.framed:
        frame = (x + 2.5, y + 2.5), width - 5, height - 5
        axes.add_patch(Rectangle(*frame, fill=False, edgecolor=COLOURS["grey"], linewidth=1.5, linestyle=(0, (3, 2))))
    ink = COLOURS["page"] if depth >= PALE_INK_FROM else COLOURS["ink"]
    up = height * 0.12 if cell.below else 0
    axes.text(x + width / 2, y + height / 2 - up, cell.text, ha="center", va="center", color=ink)
    if cell.below:
        axes.text(x + width / 2, y + height * 0.74, cell.below, ha="center", va="center", color=ink, fontsize=9)
