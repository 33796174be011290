"""One picture: how many removals each method makes below every similarity, as SVG.

Written by hand, so that drawing it takes no package and the same figures give the same file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["curves_svg"]

WIDTH, HEIGHT = 900, 420
LEFT, TOP, RIGHT, BOTTOM = 70, 20, 290, 50
LEAST, MOST = 0.0, 1.0
COLOURS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f", "#a6761d", "#66a61e")
"""Told apart by people who see no red or no green, as far as eight go."""


def _x(similarity: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * similarity


def _y(count: float, most: int) -> float:
    """Logarithmic from 1 to ``most``; zero lies on the ground line, below one."""
    inside = HEIGHT - TOP - BOTTOM
    return TOP + inside * (1 - (math.log10(max(count, 0.5)) + math.log10(2)) / (math.log10(most) + math.log10(2)))


def _path(similarities: NDArray[np.float64], most: int) -> str:
    """A line through the number of removals below each hundredth."""
    grid = np.arange(0, 101) / 100
    counts = np.searchsorted(np.sort(similarities), grid, side="left")
    points = [f"{_x(float(at)):.1f},{_y(int(count), most):.1f}" for at, count in zip(grid, counts, strict=True)]
    return " ".join(points)


def curves_svg(curves: Sequence[tuple[str, NDArray[np.float64]]]) -> str:
    """The picture: for each name the similarities of its removals with their survivors."""
    most = 10 ** math.ceil(math.log10(max(2, *(similarities.size for _, similarities in curves))))
    frame = f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13"'
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for exponent in range(int(math.log10(most)) + 1):
        y = _y(10**exponent, most)
        out.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**exponent:,}</text>')
    for tenth in range(0, 11, 2):
        out.append(
            f'<text x="{_x(tenth / 10):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tenth / 10}</text>'
        )
    out.append(f'<path d="M{_x(0.8):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#999" stroke-dasharray="4 3"/>')
    out.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#333"/>')
    out.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
        "exact Jaccard similarity with the document that stays</text>"
    )
    out.append(
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        "removals below it</text>"
    )
    for number, (name, similarities) in enumerate(curves):
        colour, dash = COLOURS[number % len(COLOURS)], "" if number < 5 else ' stroke-dasharray="6 3"'
        out.append(
            f'<polyline points="{_path(similarities, most)}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        y = TOP + 14 + 20 * number
        out.append(f'<path d="M{WIDTH - RIGHT + 14} {y - 4}h24" stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{WIDTH - RIGHT + 44}" y="{y}">{name}</text>')
    return "\n".join([*out, "</svg>", ""])
