"""The page of a report: one HTML file with its style, script and drawings in it.

Jinja2 escapes everything that is not HTML made here, and :mod:`slimpajama.report.safe_text` makes invisible characters
visible. The page may load nothing and run nothing but its own script, whose digest its policy names, so a text that got
through would still do nothing. The same report gives the same bytes. Making one takes about three seconds, most of
it for the drawings. Rejected: a framework in the browser, and files beside the page that it would load, because
browsers refuse that for pages opened from disk.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from slimpajama.report import numbers
from slimpajama.report.data_files import DataTable, Value, comparison_tables, tables
from slimpajama.report.drawings.comparison import kept_by_two
from slimpajama.report.drawings.style import Drawing, look
from slimpajama.report.drawn import drawings_of
from slimpajama.report.evidence_view import alone_views, pair_views
from slimpajama.report.figures.comparison import ComparedRuns
from slimpajama.report.figures.whole import Report
from slimpajama.report.leads import farthest, glance_lead, mixtures_lead, overlap_lead, study_lead
from slimpajama.report.safe_text import finalized, plain
from slimpajama.report.sections.caches import noise_rows

__all__ = ["Page", "comparison_page", "page_of"]

SHOWN_ROWS = 20
"""Rows of a table in the page; files have all."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and what goes into files beside it."""

    html: bytes
    drawings: dict[str, Drawing]
    tables: dict[str, DataTable]


def page_of(report: Report) -> Page:
    """The page of one report."""
    with look():
        drawings = drawings_of(report)
    held = tables(report)
    html = _rendered(
        "report.html.j2",
        report=report,
        drawings=drawings,
        tables=held,
        pairs=pair_views(report.evidence) if report.evidence else [],
        group_name="Scope",
        shown_rows=SHOWN_ROWS,
        glance_lead=glance_lead(report.glance) if report.glance else "",
        overlap_lead=overlap_lead(report.overlap) if report.overlap else "",
        mixtures_lead=mixtures_lead(report.mixtures) if report.mixtures else "",
        study_lead=study_lead(report.study) if report.study else "",
        cache_noise=noise_rows(report.caches.noise) if report.caches else [],
        farthest={one.name: farthest(one) for one in report.mixtures.mixtures} if report.mixtures else {},
    )
    return Page(html, drawings, held)


def comparison_page(runs: ComparedRuns, names: tuple[str, str]) -> Page:
    """The page of two runs. ``names``: what the page calls them."""
    with look():
        drawings = {one.name: one for one in [kept_by_two(runs, names)] if runs.sources}
    held = comparison_tables(runs)
    html = _rendered(
        "comparison.html.j2",
        runs=runs,
        names=names,
        drawings=drawings,
        tables=held,
        pairs=alone_views(runs, names),
        group_name="Kept by",
        shown_rows=SHOWN_ROWS,
    )
    return Page(html, drawings, held)


def _rendered(template: str, **values: object) -> bytes:
    """A template of ``templates/`` with these values."""
    environment = Environment(
        loader=PackageLoader("slimpajama.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in numbers.__all__:
        environment.filters[name] = getattr(numbers, name)
    environment.filters |= {"plain": plain, "cell": _cell, "drawing": _drawing}
    assets = files("slimpajama.report") / "assets"
    style, script = ((assets / name).read_text("utf-8") for name in ("style.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
    own = {"style": Markup(style), "script": Markup(script), "policy": policy}  # noqa: S704 - ours
    return environment.get_template(template).render(**own, **values).encode()


def _drawing(drawing: Drawing) -> Markup:
    return Markup(drawing.inline)  # noqa: S704 - made by matplotlib, which escapes, of names without control characters


def _cell(value: Value) -> str:
    """A value of a table as text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return numbers.count(value)
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    return value
