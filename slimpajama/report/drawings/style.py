"""The look that all drawings share, and how a matplotlib figure becomes SVG.

Sizes are in pixels of the page, so text has the size it is given. Text stays text. The copy in the page names its
colours by CSS variables, so it follows light and dark; the file keeps the light colours, fit for a paper. Colours are
those of Okabe and Ito, which people who see no red or no green can tell apart; heat maps have one hue, the deeper the
more. Drawing one figure takes some 30 ms. Rejected: a plotting library in the browser (megabytes of script in every
page), and colour bars (cells have their numbers in them).
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from slimpajama.printable import printable_text

__all__ = ["COLOURS", "Drawing", "canvas", "drawn", "label", "legend", "legend_lines", "look", "short", "side_labels"]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure. ``name``: of its files, and a part of its ids; ``title`` and ``description``: for those who do not
    see it; ``file``: the whole SVG file; ``inline``: what stands in the page; ``width``: in pixels."""

    name: str
    title: str
    description: str
    file: str
    inline: str
    width: int


COLOURS = {
    "ink": "#1b1f24",
    "muted": "#5b6470",
    "rule": "#d3d8de",
    "page": "#ffffff",
    "blue": "#0072b2",
    "sky": "#56b4e9",
    "red": "#d55e00",
    "green": "#009e73",
    "gold": "#e69f00",
    "pink": "#cc79a7",
    "grey": "#a3abb5",
    "heat": "#00356b",
    "dark": "#1a1e23",
}
"""By name, in light; ``assets/style.css`` has the same names with values for dark."""

_LOOK: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "slimpajama",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "text.parse_math": False,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["rule"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "axes.axisbelow": True,
    "axes.linewidth": 1,
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 2,
    "path.simplify": False,
}

FONTS = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
POINTS = 72
"""Pixels an inch: one point of the SVG is one pixel of the page."""


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Within the block, matplotlib draws as this report wants it. Letters that its own font lacks are no concern, nor
    is that it looks through the fonts of the machine when it first draws."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with matplotlib.rc_context(_LOOK), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        yield


def canvas(
    width: int, height: int, *, left: int, right: int = 16, top: int = 12, bottom: int = 40
) -> tuple[Figure, Axes]:
    """An empty figure and its axes, with margins, all in pixels."""
    figure = Figure(figsize=(width / POINTS, height / POINTS), dpi=POINTS)
    inside = ((left / width), bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(inside)
    axes.tick_params(length=3, pad=4)
    return figure, axes


def drawn(name: str, title: str, description: str, figure: Figure) -> Drawing:
    """The figure as SVG. ``name`` has letters, digits and hyphens alone."""
    description = printable_text(short(description, 4000))
    buffer, prefix = io.StringIO(), f"figure-{name}"
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    width, height = (round(float(side) * POINTS) for side in figure.get_size_inches())
    body = buffer.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL
    )
    body = re.sub(r"<[^>]*>", _smaller, body)
    inside = re.sub(r"\s*\n\s*", "\n", body[body.index(">") + 1 :]).strip()
    inside = re.sub(r'\b(id="|url\(#|xlink:href="#)', rf"\g<1>{prefix}-", inside)
    words = f'<title id="{prefix}-title">{escape(title)}</title><desc id="{prefix}-desc">{escape(description)}</desc>'
    box = f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="{prefix}-title {prefix}-desc"'
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    file = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<svg {space} width="{width}" height="{height}" {box} '
        f'font-family="{FONTS}" stroke-linejoin="round">\n{words}\n'
        f'<rect width="100%" height="100%" fill="{COLOURS["page"]}"/>\n{inside}\n'
    )
    inline = f'<svg {box} width="{width}" height="{height}" stroke-linejoin="round">{words}{_with_variables(inside)}'
    return Drawing(name, title, description, file, inline, width)


def _smaller(tag: re.Match[str]) -> str:
    """A tag without the names of fonts, and with two decimals, which is a hundredth of a pixel."""
    plain = re.sub(r"\s*font-family:[^;\"]*;?", "", tag[0])
    plain = re.sub(r"font: (?:(\d+) )?([\d.]+px) [^;\"]*", _font, plain)
    plain = re.sub(r'^<g id="[^"]*"', "<g", plain)
    plain = re.sub(r' transform="rotate\(-?0 [^"]*"', "", plain)
    plain = re.sub(r"\s*\n\s*", " ", plain)
    return re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), plain)


def _font(found: re.Match[str]) -> str:
    return f"font-size: {found[2]}" + (f"; font-weight: {found[1]}" if found[1] else "")


def _with_variables(body: str) -> str:
    by_value = {value: name for name, value in COLOURS.items()}
    return re.sub(
        r"#[0-9a-f]{6}\b", lambda found: f"var(--{by_value[found[0]]})" if found[0] in by_value else found[0], body
    )


def label(text: str, most: int = 24) -> str:
    """A name as a drawing shows it: nothing invisible in it, cut in its middle if it is long."""
    return short(printable_text(text), most)


def short(text: str, most: int) -> str:
    """``text`` with at most ``most`` characters: the middle gives way, as beginnings and endings tell names apart."""
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def side_labels(axes: Axes, places: Sequence[float], names: Sequence[str]) -> None:
    """Names of the rows of a drawing at its left edge."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    edge = axes.get_position()
    for place, name in zip(places, names, strict=True):
        axes.text(-edge.x0 / edge.width, place, label(name), transform=axes.get_yaxis_transform(), va="center")


def legend(axes: Axes, entries: Sequence[tuple[str, str, float]], marks: str = "", wide: int = 640) -> None:
    """A key above the drawing: entries (name, colour, opacity) from left to right, in lines of ``wide`` pixels.

    ``marks``: a letter for each as matplotlib names them, else squares; ``D`` is hollow.
    """
    inches = axes.figure.dpi_scale_trans
    placed = _placed([name for name, _, _ in entries], wide)
    lines = legend_lines([name for name, _, _ in entries], wide)
    for (name, colour, alpha), mark, (line, left) in zip(entries, marks or "s" * len(entries), placed, strict=True):
        up = (14 + LINE * (lines - 1 - line)) / POINTS
        fill, edge = (COLOURS["page"], 2) if mark == "D" else (COLOURS[colour], 0)
        place = axes.transAxes + ScaledTranslation(left / POINTS, up, inches)
        axes.plot(
            [0],
            [1],
            mark,
            transform=place,
            clip_on=False,
            alpha=alpha,
            color=fill,
            markersize=8,
            markeredgecolor=COLOURS[colour],
            markeredgewidth=edge,
        )
        beside = axes.transAxes + ScaledTranslation((left + 10) / POINTS, up, inches)
        axes.text(0, 1, label(name, LONGEST), transform=beside, ha="left", va="center", color=COLOURS["muted"])


LONGEST = 34
"""Characters of an entry of a key."""

LINE = 22
"""Pixels from one line of a key to the next."""


def legend_lines(names: Sequence[str], wide: int = 640) -> int:
    """How many lines a key of these names takes."""
    return 1 + max((line for line, _ in _placed(names, wide)), default=0)


def _placed(names: Sequence[str], wide: int) -> list[tuple[int, float]]:
    """Of each entry of a key its line and its left edge."""
    placed, line, left = [], 0, 5.0
    for name in names:
        room = 32 + 6.9 * len(label(name, LONGEST))
        if left + room > wide and left > 5:
            line, left = line + 1, 5.0
        placed.append((line, left))
        left += room
    return placed
