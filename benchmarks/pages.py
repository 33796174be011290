"""Puts what a benchmark measured between its two marks in a page of the docs, and leaves the rest of the page alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["rewrite", "rewritten"]


def rewritten(page: str, name: str, lines: Sequence[str]) -> str:
    """``page`` with ``lines`` between its lines ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``."""
    before, begin, rest = page.partition(f"<!-- {name}: begin -->\n")
    _, end, after = rest.partition(f"<!-- {name}: end -->\n")
    if not (begin and end):
        raise ValueError(f"the page holds no lines '<!-- {name}: begin -->' and '<!-- {name}: end -->'")
    return before + begin + "\n" + "\n".join(lines) + "\n\n" + end + after


def rewrite(file: Path, name: str, lines: Sequence[str]) -> None:
    """The same, in a file."""
    file.write_text(rewritten(file.read_text("utf-8"), name, lines), "utf-8")
