"""Two drawings of a study as SVG: the matrix of losses, and training losses against tokens. Plain text, no library."""

from __future__ import annotations

from html import escape

from slimpajama.report.figures.study import StudyFigures

__all__ = ["curve_drawing", "matrix_drawing"]

COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8d6a9f", "#e08e45", "#3d5a5b", "#b5838d", "#6c757d")
STYLE = 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'


def matrix_drawing(figures: StudyFigures, model: str) -> str:
    """A mixture in each row, a source in each column: bits a byte, darker for more above the best of the column.

    What is beyond the spread from the best is bold; sources that the mixture has none of have a frame.
    """
    left, top, wide, high = 110, 40, 96, 30
    width, height = left + wide * len(figures.sources) + 10, top + high * len(figures.mixtures) + 34
    parts = [f'<svg {STYLE} viewBox="0 0 {width} {height}" width="{width}" height="{height}">']
    parts += [
        f'<text x="{left + wide * (at + 0.5)}" y="{top - 10}" text-anchor="middle">{escape(source)}</text>'
        for at, source in enumerate(figures.sources)
    ]
    parts += [
        f'<text x="{left - 8}" y="{top + high * at + 20}" text-anchor="end">{escape(mixture)}</text>'
        for at, mixture in enumerate(figures.mixtures)
    ]
    for cell in (cell for cell in figures.cells if cell.model == model):
        column, row = figures.sources.index(cell.source), figures.mixtures.index(cell.mixture)
        bits = [one.bits for one in figures.cells if (one.model, one.source) == (model, cell.source)]
        above = (cell.bits - min(bits)) / max(max(bits) - min(bits), 1e-9)
        x, y = left + wide * column, top + high * row
        frame = ' stroke="#333" stroke-dasharray="3 2"' if not cell.trained_on else ""
        weight = ' font-weight="bold"' if cell.beyond else ""
        parts.append(
            f'<rect x="{x + 1}" y="{y + 1}" width="{wide - 2}" height="{high - 2}" fill="#d1495b" '
            f'fill-opacity="{0.05 + 0.5 * above:.3f}"{frame}/>'
            f'<text x="{x + wide / 2}" y="{y + 20}" text-anchor="middle"{weight}>{cell.bits:.3f}</text>'
        )
    parts.append(
        f'<text x="{left}" y="{height - 12}" fill="#555">{escape(model)}, bits a byte; bold: more than twice the '
        "spread above the best; dashed: the mixture has none of it</text></svg>"
    )
    return "\n".join(parts)


def curve_drawing(figures: StudyFigures, model: str) -> str:
    """Training loss, in nats a token, against tokens, one line for each mixture."""
    curves = [curve for curve in figures.curves if curve.model == model]
    losses = [point.loss for curve in curves for point in curve.points]
    most, low, high = figures.tokens, min(losses), max(losses)
    left, top, wide, tall = 60, 20, 520, 300

    def x(tokens: int) -> float:
        return left + wide * tokens / most

    def y(loss: float) -> float:
        return top + tall * (high - loss) / max(high - low, 1e-9)

    parts = [f'<svg {STYLE} viewBox="0 0 {left + wide + 140} {top + tall + 50}">']
    for at in range(5):
        loss, tokens = low + (high - low) * at / 4, most * at // 4
        parts.append(
            f'<path d="M{left} {y(loss):.1f}h{wide}" stroke="#ddd"/>'
            f'<text x="{left - 6}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.2f}</text>'
            f'<text x="{x(tokens):.1f}" y="{top + tall + 18}" text-anchor="middle">{tokens:,}</text>'
        )
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(f"{x(point.tokens):.1f},{y(point.loss):.1f}" for point in curve.points)
        parts.append(
            f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<text x="{left + wide + 12}" y="{top + 16 * (number + 1)}" fill="{colour}">{escape(curve.mixture)}</text>'
        )
    parts.append(
        f'<text x="{left + wide / 2}" y="{top + tall + 40}" text-anchor="middle">tokens ({escape(model)}; training '
        "loss, nats a token)</text></svg>"
    )
    return "\n".join(parts)
