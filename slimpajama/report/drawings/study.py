"""Models that were trained on mixtures: their losses on each source and by size, and how training losses fell."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from slimpajama.report.drawings.heat import Cell, heat_map
from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, legend_lines
from slimpajama.report.figures.study import HeldOutCell, StudyFigures

__all__ = ["study_drawings"]

SHADES = ("blue", "gold", "green", "sky", "red", "pink", "grey")
DASHES: tuple[tuple[int, ...], ...] = ((1, 0), (5, 2), (2, 2))
MOST_ROWS = 20
MOST_LINES = len(SHADES) * len(DASHES)
"""Mixtures in a map, and in a drawing of lines. All are in the files."""

NOTE = (
    "Deeper: farther above the best mixture of the source. Beyond: by more than twice the spread between seeds. "
    "Dashed: the mixture has none of the source."
)


def study_drawings(study: StudyFigures) -> list[Drawing]:
    """For each model a map of its losses and its training curves, and where there are several models, all by size."""
    maps = [_loss_map(study, model) for model in study.models]
    curves = [_curves(study, model) for model in study.models if any(one.model == model for one in study.curves)]
    return [*maps, *curves, *([_sizes(study)] if len(study.models) > 1 else [])]


def _first(most: int, mixtures: Sequence[str]) -> str:
    """For the title of a drawing that has no room for all mixtures."""
    return f", of the first {most} of {len(mixtures):,} mixtures" if len(mixtures) > most else ""


def _loss_map(study: StudyFigures, model: str) -> Drawing:
    found = {(one.mixture, one.source): one for one in study.cells if one.model == model}
    columns = []
    for source in study.sources:
        bits = [one.bits for (_, name), one in found.items() if name == source]
        columns.append((min(bits, default=0.0), max(bits, default=0.0)))
    mixtures = study.mixtures[:MOST_ROWS]
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
    size = f"{model} ({study.parameters[model]:,} parameters)"
    title = f"Loss of {size} on what is held out of each source, in bits a byte{_first(MOST_ROWS, study.mixtures)}"
    name = f"study-losses-{_plain(model)}"
    return heat_map(name, title, words + ".", mixtures, study.sources, cells, width=74, height=36, note=NOTE)


def _plain(model: str) -> str:
    """As a name of a drawing can have it."""
    return model.replace(".", "-")


def _cell(one: HeldOutCell | None, least: float, most: float) -> Cell:
    if one is None:
        return Cell(None)
    mark = "best" if one.best else "beyond" if one.beyond else ""
    return Cell((one.bits - least) / max(most - least, 1e-9), f"{one.bits:.3f}", mark, framed=not one.trained_on)


def _curves(study: StudyFigures, model: str) -> Drawing:
    all_curves = [one for one in study.curves if one.model == model and one.points]
    curves = all_curves[:MOST_LINES]
    lines = [
        (one.mixture, [float(point.tokens) for point in one.points], [p.loss for p in one.points]) for one in curves
    ]
    words = "; ".join(f"{name} ends at {losses[-1]:.3f}" for name, _, losses in lines)
    title = f"Training losses of {model}, by mixture{_first(MOST_LINES, [one.mixture for one in all_curves])}"
    name = f"study-curves-{_plain(model)}"
    return _lines(name, title, words, lines, ("tokens", "training loss, nats a token"), [0.0, float(study.tokens)])


def _sizes(study: StudyFigures) -> Drawing:
    """The mean loss over sources against the parameters of the models."""
    models = sorted(study.models, key=lambda model: study.parameters[model])
    sizes = [float(study.parameters[model]) for model in models]
    bits: dict[tuple[str, str], list[float]] = {}
    for one in study.cells:
        bits.setdefault((one.mixture, one.model), []).append(one.bits)
    means = {key: sum(values) / len(values) for key, values in bits.items()}
    lines = [(mixture, sizes, [means[mixture, model] for model in models]) for mixture in study.mixtures[:MOST_LINES]]
    words = "; ".join(
        f"{name}: " + ", ".join(f"{model} {loss:.3f}" for model, loss in zip(models, losses, strict=True))
        for name, _, losses in lines
    )
    title = f"Losses by size, in bits a byte, means over all sources{_first(MOST_LINES, study.mixtures)}"
    return _lines("study-sizes", title, words, lines, ("parameters", "bits a byte, mean over sources"), sizes, models)


def _lines(
    name: str,
    title: str,
    words: str,
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    labels: tuple[str, str],
    across: Sequence[float],
    models: Sequence[str] = (),
) -> Drawing:
    """A line for each mixture. ``across``: the ends of the axis; where there are ``models``, each one's place on it."""
    names = [mixture for mixture, _, _ in lines]
    above = 22 * legend_lines(names)
    bottom = 62 if models else 44
    figure, axes = canvas(820, 256 + above + bottom, left=62, right=28, top=14 + above, bottom=bottom)
    for number, (_, x, y) in enumerate(lines):
        dashes = DASHES[number // len(SHADES)]
        colour = COLOURS[SHADES[number % len(SHADES)]]
        axes.plot(x, y, "o-" if models else "-", color=colour, linewidth=1.5, markersize=5, dashes=dashes)
    if models:
        _size_axis(axes, across, models)
    else:
        axes.set_xlim(across[0], across[-1])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    legend(axes, [(mixture, SHADES[number % len(SHADES)], 1) for number, mixture in enumerate(names)])
    return drawn(name, title, words + ".", figure)


def _size_axis(axes: Axes, sizes: Sequence[float], models: Sequence[str]) -> None:
    """Equal factors at equal distances, and the name of each model with its parameters."""
    axes.set_xscale("log")
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.minorticks_off()
    axes.set_xticks(sizes, [f"{model}\n{size / 1e6:,.1f} M" for model, size in zip(models, sizes, strict=True)])
