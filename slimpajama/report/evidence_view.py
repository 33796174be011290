"""The pairs of the evidence as HTML that fits: each text gets an equal part of the room that the page has for texts.

Texts were cut where they were read; here they are cut again where they would take more bytes than their part, as
letters of many bytes and boxes of code points do. So the page has a bounded size whatever the documents hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from slimpajama.report.figures.comparison import ComparedRuns
from slimpajama.report.figures.deduplication import EvidencePair, EvidenceSection, Snippet
from slimpajama.report.safe_text import fitted

__all__ = ["PairView", "alone_views", "pair_views"]

ROOM = 2_200_000
"""Bytes for all texts."""

MOST_PER_TEXT = 16_000


@dataclass(frozen=True, slots=True)
class PairView:
    """A pair and its two texts. ``group``: what it can be filtered by, beside what the pair says; ``gone``, ``stays``:
    headings of the texts."""

    number: int
    pair: EvidencePair
    document: Markup
    survivor: Markup
    group: str
    gone: str
    stays: str


def pair_views(evidence: EvidenceSection, room: int = ROOM) -> list[PairView]:
    """All pairs, numbered from 1."""
    each = min(MOST_PER_TEXT, room // max(1, 2 * len(evidence.pairs)))
    return [_view(number, pair, each, pair.scope, "Removed", "Stays") for number, pair in enumerate(evidence.pairs, 1)]


def alone_views(runs: ComparedRuns, names: tuple[str, str], room: int = ROOM) -> list[PairView]:
    """The pairs of documents that one of two runs keeps alone. ``names``: of the runs."""
    pairs = [
        (pair, names[number], names[1 - number])
        for number, alone in enumerate((runs.first_alone, runs.second_alone))
        for pair in (alone.pairs if alone else ())
    ]
    each = min(MOST_PER_TEXT, room // max(1, 2 * len(pairs)))
    return [
        _view(number, pair, each, f"{keeps} alone", f"Kept by {keeps}, removed by {other}", f"Stays in {other}")
        for number, (pair, keeps, other) in enumerate(pairs, 1)
    ]


def _view(number: int, pair: EvidencePair, room: int, group: str, gone: str, stays: str) -> PairView:
    return PairView(number, pair, _text(pair.document, room), _text(pair.survivor, room), group, gone, stays)


def _text(snippets: Sequence[Snippet], room: int) -> Markup:
    parts: list[Markup] = []
    beyond = 0
    for snippet in snippets:
        if snippet.kind == "left_out":
            if beyond:
                beyond += snippet.characters
            else:
                parts.append(_left_out(snippet.characters))
            continue
        if beyond:
            beyond += len(snippet.text)
            continue
        html, size, beyond = fitted(snippet.text, room)
        room -= size
        parts.append(Markup("<mark>{}</mark>").format(html) if snippet.kind == "differs" and html else html)
    if beyond:
        parts.append(_left_out(beyond))
    return Markup("").join(parts)


def _left_out(characters: int) -> Markup:
    ending = "" if characters == 1 else "s"
    return Markup('<span class="cut">{} character{} not shown</span>').format(f"{characters:,}", ending)
