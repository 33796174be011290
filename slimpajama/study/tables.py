"""What a study found as text: the matrix of losses, local against global, and what cannot be concluded."""

from __future__ import annotations

from slimpajama.report.figures.study import HeldOutCell, StudyFigures
from slimpajama.text_table import aligned

__all__ = ["loss_matrix", "study_text"]


def loss_matrix(figures: StudyFigures, model: str, unit: str = "bits") -> list[list[str]]:
    """Rows of cells: a mixture in each row, a source in each column, in ``bits`` a byte or ``nats`` a token.

    ``*``: the best of its column; ``=``: not beyond the spread from it; in parentheses where the mixture has nothing of
    the source, so that digits stand below each other. The last rows are the spreads (of bits a byte).
    """
    rows = [["mixture", *figures.sources]]
    cells = {(cell.mixture, cell.source): cell for cell in figures.cells if cell.model == model}
    for mixture in figures.mixtures:
        rows.append([mixture, *(_cell(cells[mixture, source], unit) for source in figures.sources)])
    if unit == "bits":
        rows += _spread_rows(figures, model)
    return rows


def _spread_rows(figures: StudyFigures, model: str) -> list[list[str]]:
    """Of the mixtures that hold a source, and in parentheses of those that lack it; none where no two seeds tell."""
    spreads = [one for one in figures.spreads if one.model == model]
    rows = []
    if any(one.holding is not None for one in spreads):
        rows.append(["spread", *("-  " if one.holding is None else f"{one.holding:.3f}  " for one in spreads)])
    if any(one.lacking is not None for one in spreads):
        rows.append(["(spread)", *("-  " if one.lacking is None else f"({one.lacking:.3f}) " for one in spreads)])
    return rows


def _cell(cell: HeldOutCell, unit: str) -> str:
    value = cell.bits if unit == "bits" else cell.nats
    many = cell.spread is not None
    mark = "*" if cell.best else "=" if many and not cell.beyond else " "
    return f"{value:.3f}{mark} " if cell.trained_on else f"({value:.3f}){mark}"


def study_text(figures: StudyFigures) -> str:
    """All tables, for a terminal or a file."""
    parts = []
    for model in figures.models:
        size = f"{figures.parameters[model]:,} parameters"
        seeds = "1 seed" if len(figures.seeds) == 1 else f"{len(figures.seeds)} seeds"
        marks = "* least of its column"
        if not all(cell.trained_on for cell in figures.cells):
            marks += "; in parentheses: the mixture has nothing of the source"
        spreads = len(_spread_rows(figures, model))
        if spreads:
            marks += "; = not more than twice the spread above it; spread: standard deviation between seeds"
        parts.append(
            f"{model} ({size}), {figures.tokens:,} tokens, {seeds}, {figures.split}: bits a byte\n"
            f"{aligned(loss_matrix(figures, model), last_rows=spreads)}\n"
            f"{marks}"
        )
        parts.append(f"{model}: nats a token\n{aligned(loss_matrix(figures, model, 'nats'))}")
    if len(figures.models) > 1:
        parts.append(f"bits a byte by size, mean over sources\n{aligned(_scaling(figures))}")
    if figures.scopes:
        rows = [["local - global, bits a byte", *figures.sources]]
        pairs = dict.fromkeys((pair.model, pair.local_mixture, pair.global_mixture) for pair in figures.scopes)
        for model, local, other in pairs:
            found = [
                f"{pair.difference:+.4f}{' ' if pair.beyond else '='}"
                for pair in figures.scopes
                if (pair.model, pair.local_mixture, pair.global_mixture) == (model, local, other)
            ]
            rows.append([f"{model}: {local} - {other}", *found])
        parts.append(f"{aligned(rows)}\n= not more than twice the spread")
    if figures.choices:
        rows = [["multiple choice", "mixture", "model", "questions", "by token", "by byte", "chance", "RRGS"]]
        for cell in figures.choices:
            score = "" if cell.rrgs is None else f"{cell.rrgs:.4f}"
            shares = [f"{share:.1%}" for share in (cell.per_token, cell.per_byte, cell.chance)]
            rows.append([cell.task, cell.mixture, cell.model, f"{cell.questions:,}", *shares, score])
        parts.append(aligned(rows))
    parts.append("\n".join(f"- {sentence}" for sentence in figures.limits))
    return "\n\n".join(parts)


def _scaling(figures: StudyFigures) -> list[list[str]]:
    rows = [["mixture", *(f"{model} ({figures.parameters[model] / 1e6:.1f} M)" for model in figures.models)]]
    for mixture in figures.mixtures:
        found = []
        for model in figures.models:
            bits = [cell.bits for cell in figures.cells if (cell.mixture, cell.model) == (mixture, model)]
            found.append(f"{sum(bits) / len(bits):.3f}")
        rows.append([mixture, *found])
    return rows
