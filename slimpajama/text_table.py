"""Rows of cells as text: aligned for a terminal, or as a table of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.printable import printable

__all__ = ["aligned", "markdown_table"]


def aligned(lines: Sequence[Sequence[str]], last_rows: int = 0) -> str:
    """Rows of cells as text: a rule under the heading, the first column to the left, the others to the right.
    ``last_rows``: how many rows at the end stand below a rule of their own.

    A cell takes one line, whatever it holds: line ends and the like are written out.
    """
    lines = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    out = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in ([*zip(line, widths, strict=True)] for line in lines)
    ]
    rule = "-" * len(out[0])
    out.insert(1, rule)
    if last_rows:
        out.insert(len(out) - last_rows, rule)
    return "\n".join(line.rstrip() for line in out)


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table: the first column to the left, the others to the right."""
    heading, *body = rows
    rule = ["---"] + ["--:"] * (len(heading) - 1)
    written = ([cell.replace("|", "\\|").replace("\n", " ") for cell in cells] for cells in (heading, rule, *body))
    return ["| " + " | ".join(cells) + " |" for cells in written]
