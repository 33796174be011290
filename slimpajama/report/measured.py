"""The report of an output: opens what there is, measures every section, and says why one is missing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import msgspec

from slimpajama.errors import InputError
from slimpajama.report.figures.whole import Report
from slimpajama.report.opened_output import OpenedDedup, OpenedOutput, open_output
from slimpajama.report.sections.caches import caches
from slimpajama.report.sections.clusters import clusters
from slimpajama.report.sections.evidence import evidence
from slimpajama.report.sections.glance import glance
from slimpajama.report.sections.looked_at import LookedAt, look_at
from slimpajama.report.sections.lsh_curve import lsh_curve
from slimpajama.report.sections.mixtures import mixtures as measured_mixtures
from slimpajama.report.sections.overlap import overlap
from slimpajama.report.sections.removals import DrawnRemovals, drawn_removals
from slimpajama.report.sections.sources import sources
from slimpajama.report.sections.study import study
from slimpajama.report.sections.time import time_spent
from slimpajama.report.sections.tokens import tokens as measured_tokens

__all__ = ["measured"]


def measured(output: str | Path) -> Report:
    """Measure a finished output.

    Raises :class:`~slimpajama.InputNotFound` where there is none, or one that is not finished.
    """
    opened = open_output(output)
    found: dict[str, object] = {}
    missing: dict[str, str] = {}
    studied: dict[str, Callable[[], object] | str] = {
        "study": lambda: study(opened.root),
        "caches": lambda: caches(opened.root),
    }
    for name, measure in {**_of_dedup(opened), **_of_mixtures(opened), **studied}.items():
        if isinstance(measure, str):
            missing[name] = measure
            continue
        try:
            found[name] = measure()
        except InputError as fault:
            missing[name] = str(fault)
    bare = Report(title=opened.root.name, made=_made(opened), missing=missing)
    return msgspec.structs.replace(bare, **found)


def _of_dedup(opened: OpenedOutput) -> dict[str, Callable[[], object] | str]:
    """By section, what measures it, or why there is none."""
    dedup = opened.dedup
    names = ("glance", "sources", "overlap", "clusters", "evidence", "lsh", "time")
    if dedup is None:
        return dict.fromkeys(names, opened.missing["dedup"])
    removals = _Removals(dedup)
    return {
        "glance": lambda: glance(opened, dedup),
        "sources": lambda: sources(dedup.summary),
        "overlap": lambda: overlap(dedup.summary),
        "clusters": lambda: clusters(dedup, removals.drawn, removals.looked_if_there),
        "evidence": lambda: evidence(removals.drawn, removals.looked),
        "lsh": lambda: lsh_curve(dedup, removals.looked_if_there.pairs if removals.looked_if_there else ()),
        "time": lambda: time_spent(opened, dedup),
    }


class _Removals:
    """What was drawn and compared, once for all sections."""

    def __init__(self, dedup: OpenedDedup) -> None:
        self._dedup = dedup

    @functools.cached_property
    def drawn(self) -> DrawnRemovals:
        return drawn_removals(self._dedup)

    @functools.cached_property
    def looked_if_there(self) -> LookedAt | None:
        try:
            return self.looked
        except InputError:
            return None

    @functools.cached_property
    def looked(self) -> LookedAt:
        return look_at(self._dedup, self.drawn)


def _of_mixtures(opened: OpenedOutput) -> dict[str, Callable[[], object] | str]:
    mixtures = opened.mixtures
    if mixtures is None:
        return dict.fromkeys(("tokens", "mixtures"), opened.missing["mixtures"])
    return {"tokens": lambda: measured_tokens(mixtures), "mixtures": lambda: measured_mixtures(mixtures)}


def _made(opened: OpenedOutput) -> str:
    """By which version the output was made."""
    versions = opened.dedup.summary.versions if opened.dedup else {}
    for manifest in opened.mixtures.mixtures.values() if opened.mixtures else ():
        versions = versions or manifest.versions
    return f"slimpajama {versions['slimpajama']}" if "slimpajama" in versions else "slimpajama"
