"""Models that were trained on mixtures: what each has lost on each source, and how the training losses fell."""

from __future__ import annotations

from slimpajama.report.drawings.heat import Cell, heat_map
from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, legend_lines
from slimpajama.report.figures.study import HeldOutCell, StudyFigures

__all__ = ["loss_maps", "training_curves"]

SHADES = ("blue", "gold", "green", "sky", "red", "pink", "grey")
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (5, 2), (2, 2))
MOST = 20
"""Mixtures in a map. All are in the files."""


def loss_maps(study: StudyFigures) -> list[Drawing]:
    """A map for each model: bits a byte on each source, deeper the more above the best mixture of the source."""
    return [_loss_map(study, model) for model in study.models]


def _loss_map(study: StudyFigures, model: str) -> Drawing:
    found = {(one.mixture, one.source): one for one in study.cells if one.model == model}
    columns = []
    for source in study.sources:
        bits = [one.bits for (_, name), one in found.items() if name == source]
        columns.append((min(bits, default=0.0), max(bits, default=0.0)))
    mixtures = study.mixtures[:MOST]
    cells = [
        [_cell(found.get((mixture, source)), *columns[at]) for at, source in enumerate(study.sources)]
        for mixture in mixtures
    ]
    words = "; ".join(
        f"{mixture}: "
        + ", ".join(
            f"{source} {found[mixture, source].bits:.3f}" for source in study.sources if (mixture, source) in found
        )
        for mixture in mixtures
    )
    title = f"Loss of {model} on each source, in bits a byte"
    return heat_map(f"study-{model}", title, words + ".", mixtures, study.sources, cells, width=74, height=36)


def _cell(one: HeldOutCell | None, least: float, most: float) -> Cell:
    if one is None:
        return Cell(None)
    mark = "best" if one.best else "beyond" if one.beyond else ""
    return Cell((one.bits - least) / max(most - least, 1e-9), f"{one.bits:.3f}", mark)


def training_curves(study: StudyFigures) -> list[Drawing]:
    """The training losses of all mixtures, a drawing for each model that has some."""
    return [_curves(study, model) for model in study.models if any(one.model == model for one in study.curves)]


def _curves(study: StudyFigures, model: str) -> Drawing:
    curves = [one for one in study.curves if one.model == model and one.points][: len(SHADES) * len(DASHES)]
    lines = legend_lines([one.mixture for one in curves])
    figure, axes = canvas(820, 300 + 22 * lines, left=62, right=20, top=14 + 22 * lines, bottom=44)
    for number, curve in enumerate(curves):
        dashes = DASHES[number // len(SHADES)]
        axes.plot(
            [point.tokens for point in curve.points],
            [point.loss for point in curve.points],
            color=COLOURS[SHADES[number % len(SHADES)]],
            linewidth=1.5,
            dashes=dashes,
        )
    axes.set_xlim(0, study.tokens)
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("tokens")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylabel("training loss, nats a token")
    legend(axes, [(one.mixture, SHADES[number % len(SHADES)], 1) for number, one in enumerate(curves)])
    words = "; ".join(f"{one.mixture} ends at {one.points[-1].loss:.3f}" for one in curves)
    return drawn(f"study-curves-{model}", f"Training losses of {model}, by mixture", words + ".", figure)
