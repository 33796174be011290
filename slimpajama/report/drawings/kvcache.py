"""Caches that keep some tokens: what they cost by their size, and how fast they are by the length of the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend
from slimpajama.report.figures.kvcache import CacheResults, QualityPoint, SpeedPoint, mean_and_spread

__all__ = ["cache_drawings"]

SHADES = {
    "keyformer": "blue",
    "h2o": "red",
    "window": "grey",
    "streaming_llm": "gold",
    "tova": "green",
    "snapkv": "pink",
    "full": "ink",
}
WIDTH, LEFT, PANEL, GAP = 820, 68, 320, 84
"""Of a drawing, its left margin, one of its two panels, and between them, in pixels."""
HIGH, BETWEEN, KEY, ABOVE, BELOW = 220, 66, 30, 60, 48
"""Of a panel, between two rows of them, to the foot of the key, above the first row and below the last."""


def cache_drawings(caches: CacheResults) -> list[Drawing]:
    """``kvcache-quality``, a row of panels for each task, and ``kvcache-speed``; those of which there are figures."""
    made = []
    if caches.quality:
        made.append(_quality(caches.quality))
    if caches.speed:
        made.append(_speed(caches.speed))
    return made


def _panels(rows: int, methods: Sequence[str]) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Two panels in each row, and a key of the methods above them."""
    high = ABOVE + rows * HIGH + (rows - 1) * BETWEEN + BELOW
    figure, key = canvas(WIDTH, high, left=LEFT, right=0, top=KEY, bottom=high - KEY - 1)
    key.set_axis_off()
    legend(key, [(method, _shade(method), 1) for method in methods], wide=WIDTH)
    placed = []
    for row in range(rows):
        bottom = (BELOW + (rows - 1 - row) * (HIGH + BETWEEN)) / high
        lefts = (LEFT / WIDTH, (LEFT + PANEL + GAP) / WIDTH)
        pair = [figure.add_axes((left, bottom, PANEL / WIDTH, HIGH / high)) for left in lefts]
        for axes in pair:
            axes.grid(axis="y")
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        placed.append((pair[0], pair[1]))
    return figure, placed


def _shade(method: str) -> str:
    return SHADES.get(method, "sky")


def _quality(points: Sequence[QualityPoint]) -> Drawing:
    tasks = list(dict.fromkeys(point.task for point in points))
    methods = list(dict.fromkeys(point.method for point in points))
    figure, rows = _panels(len(tasks), methods)
    words = []
    for pair, task in zip(rows, tasks, strict=True):
        of_task = [point for point in points if point.task == task]
        left, right = pair
        _by_share(left, of_task, methods, _lost)
        _by_share(right, of_task, methods, lambda one: 100 * one.same_token)
        left.set_title(task, loc="left", fontsize=12)
        left.set_ylabel("loss above full attention, nats")
        right.set_ylabel("same next token, %")
        words.append(f"{task}: loss above full attention at {_losses_near_half(of_task)}")
    for axes in rows[-1]:
        axes.set_xlabel("cache, % of the prompt")
    title = "What smaller caches cost, by method: mean and spread over seeds"
    return drawn("kvcache-quality", title, "; ".join(words) + ".", figure)


def _lost(point: QualityPoint) -> float:
    return point.loss - point.full_loss


def _losses_near_half(points: Sequence[QualityPoint]) -> str:
    """The means of all methods at the share that is nearest to a half, in words."""
    half = min({point.share for point in points}, key=lambda share: abs(share - 0.5))
    lost: dict[str, list[float]] = {}
    for point in points:
        if point.share == half:
            lost.setdefault(point.method, []).append(_lost(point))
    return f"{half:.0%}: " + ", ".join(f"{name} {mean_and_spread(values)[0]:.4f}" for name, values in lost.items())


def _by_share(
    axes: Axes, points: Sequence[QualityPoint], methods: Sequence[str], value: Callable[[QualityPoint], float]
) -> None:
    """A line for each method, with the spread between seeds at each share."""
    for number, method in enumerate(methods):
        shares = sorted({point.share for point in points if point.method == method})
        beside = 0.5 * (number - (len(methods) - 1) / 2)  # so that spreads do not hide each other
        found = [
            mean_and_spread([value(one) for one in points if (one.method, one.share) == (method, share)])
            for share in shares
        ]
        colour = COLOURS[_shade(method)]
        middle = [mean for mean, _ in found]
        axes.errorbar(
            [100 * share + beside for share in shares],
            middle,
            [spread for _, spread in found],
            color=colour,
            marker="o",
            markersize=4,
            linewidth=1.5,
            elinewidth=1,
        )


def _speed(points: Sequence[SpeedPoint]) -> Drawing:
    kinds = list(dict.fromkeys((point.method, point.share) for point in points))
    figure, [(left, right)] = _panels(1, [method for method, _ in kinds])
    words = []
    for method, share in kinds:
        own = [point for point in points if (point.method, point.share) == (method, share)]
        contexts = [point.context for point in own]
        rates = [point.tokens_a_second for point in own]
        sizes = [point.cache_bytes / 2**20 for point in own]
        for axes, values in ((left, rates), (right, sizes)):
            axes.plot(contexts, values, "o-", color=COLOURS[_shade(method)], markersize=4, linewidth=1.5)
        words.append(
            f"{method} with {share:.0%} of the cache: {own[-1].tokens_a_second:,.1f} tokens a second and "
            f"{own[-1].cache_bytes / 2**20:,.1f} MiB after {own[-1].context:,} tokens"
        )
    ticks = sorted({point.context for point in points})
    for axes in (left, right):
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("prompt, tokens")
    left.set_ylabel("tokens a second")
    right.set_ylabel("cache, MiB")
    shares = sorted({f"{point.share:.0%}" for point in points if point.method != "full"})
    title = f"Generating with a full cache and with {' and '.join(shares)} of it, rows: {points[0].rows}"
    return drawn("kvcache-speed", title, "; ".join(words) + ".", figure)
