"""The figures of the measurements of caches, as SVG, by matplotlib (in the extra ``slimpajama[study]``)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from slimpajama.storage.atomic import atomic_file
from slimpajama.study.kvcache.results import CacheResults, QualityPoint, SpeedPoint, mean_and_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "keyformer": "#0072b2",
    "h2o": "#d55e00",
    "window": "#777777",
    "streaming_llm": "#e69f00",
    "tova": "#009e73",
    "snapkv": "#cc79a7",
    "full": "#000000",
}


def of_share(points: list[QualityPoint]) -> dict[float, list[QualityPoint]]:
    """The points of all seeds, by budget."""
    found: dict[float, list[QualityPoint]] = {}
    for point in sorted(points, key=lambda point: point.share):
        found.setdefault(point.share, []).append(point)
    return found


def draw_quality(axes: Axes, points: list[QualityPoint], agreement: bool) -> None:
    """One panel: a line a method, with the spread between seeds."""
    for method in dict.fromkeys(point.method for point in points):
        rows = of_share([point for point in points if point.method == method])
        values = [
            mean_and_spread([one.same_token if agreement else one.loss - one.full_loss for one in seeds])
            for seeds in rows.values()
        ]
        axes.errorbar(
            [100 * share for share in rows],
            [100 * mean if agreement else mean for mean, _ in values],
            [100 * spread if agreement else spread for _, spread in values],
            label=method,
            color=COLOURS[method],
            marker="o",
            markersize=3,
            linewidth=1.2,
            capsize=2,
        )
    axes.set_xlabel("cache, % of the prompt")
    axes.set_ylabel("same next token, %" if agreement else "loss above full attention, nats a token")
    axes.grid(alpha=0.3)


def draw_speed(axes: Axes, points: list[SpeedPoint], memory: bool) -> None:
    """One panel: a line a method, by the length of the prompt."""
    for method, share in dict.fromkeys((point.method, point.share) for point in points):
        rows = [point for point in points if (point.method, point.share) == (method, share)]
        axes.plot(
            [point.context for point in rows],
            [point.cache_bytes / 2**20 if memory else point.tokens_a_second for point in rows],
            label=method if method == "full" else f"{method} {share:.0%}",
            color=COLOURS[method],
            marker="o",
            markersize=3,
            linewidth=1.2,
        )
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("prompt, tokens")
    axes.set_ylabel("cache, MiB" if memory else "tokens a second")
    axes.grid(alpha=0.3)


def draw_all(results: CacheResults, folder: Path) -> list[Path]:
    """Write ``kvcache-quality.svg`` and ``kvcache-speed.svg`` into ``folder``."""
    from matplotlib.figure import Figure

    written = []
    tasks = list(dict.fromkeys(point.task for point in results.quality))
    if tasks:
        quality = Figure(figsize=(9, 3.4 * len(tasks)), layout="constrained")
        rows = quality.subplots(len(tasks), 2, squeeze=False)
        for (left, right), task in zip(rows, tasks, strict=True):
            points = [point for point in results.quality if point.task == task]
            for axes, agreement in ((left, False), (right, True)):
                draw_quality(axes, points, agreement)
                axes.set_title(task)
        rows[0][0].legend(fontsize=8)
        written.append(save(quality, folder / "kvcache-quality.svg"))
    if results.speed:
        speed = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = speed.subplots(1, 2)
        draw_speed(left, list(results.speed), memory=False)
        draw_speed(right, list(results.speed), memory=True)
        right.legend(fontsize=8)
        written.append(save(speed, folder / "kvcache-speed.svg"))
    return written


def save(figure: Figure, path: Path) -> Path:
    """Write an SVG that is the same for the same figure."""
    import matplotlib as mpl

    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "slimpajama", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    with atomic_file(path) as file:
        file.write(drawn.getvalue())
    return path
