"""Where the bytes went: one bar for each scope, kept and removed by reason."""

from __future__ import annotations

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, side_labels
from slimpajama.report.figures.deduplication import Glance
from slimpajama.report.numbers import amount, share

__all__ = ["fate_of_bytes"]


def fate_of_bytes(glance: Glance) -> Drawing:
    """Two stacked bars over the bytes that were read."""
    figure, axes = canvas(820, 154, left=56, right=20, top=30, bottom=30)
    whole = max(glance.read_bytes, 1)
    other = glance.bad_bytes + glance.contaminated_bytes
    words = []
    for row, (name, scope) in enumerate((("Global", glance.global_), ("Local", glance.local))):
        parts = (
            ("kept", scope.kept_bytes, "blue", "page"),
            ("near duplicates", scope.near_bytes, "gold", "dark"),
            ("exact duplicates", scope.exact_bytes, "red", "dark"),
            ("short", glance.short_bytes, "grey", "dark"),
            ("bad or contaminated" if glance.contaminated_bytes else "bad records", other, "pink", "dark"),
        )
        start = 0.0
        for _, size, colour, ink in parts:
            part = 100 * size / whole
            axes.barh(
                -row, part, left=start, height=0.62, color=COLOURS[colour], edgecolor=COLOURS["page"], linewidth=1
            )
            if part > 6.5:
                axes.text(
                    start + part / 2,
                    -row,
                    share(size, whole),
                    ha="center",
                    va="center",
                    color=COLOURS[ink],
                    weight="bold",
                )
            start += part
        words.append(f"{name}: " + ", ".join(f"{amount(size)} {what}" for what, size, _, _ in parts if size) + ".")
    legend(axes, [(what, colour, 1) for what, size, colour, _ in parts if size], wide=760)
    axes.set_xlim(0, 100)
    axes.set_ylim(-1.5, 0.5)
    side_labels(axes, [0, -1], ["Global", "Local"])
    axes.set_xticks(range(0, 101, 20), [f"{tick} %" for tick in range(0, 101, 20)])
    axes.spines["bottom"].set_visible(False)
    return drawn("fate-of-bytes", "What became of the bytes that were read", " ".join(words), figure)
