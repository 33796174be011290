"""Evidence as text for a terminal: the verdict on a document, a pair compared, and two texts with differences marked.

Texts and names come from strangers: all of it is written out by :mod:`slimpajama.printable` before it is laid out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import typer

from slimpajama.dedup.decision_tables import Decision, OneScope
from slimpajama.dedup.files.matches_table import HeldItem
from slimpajama.evidence.duplicates import SampledRemovals
from slimpajama.evidence.opened_output import Pair, place_of
from slimpajama.pipeline.explain import Explanation, PathStep
from slimpajama.printable import printable, printable_text
from slimpajama.text.differences import Difference, differences

__all__ = ["explanation_text", "marked_differences", "pairs_text", "where"]

WIDTH = 100
MOST_PLACES = 40
"""Places where two texts differ that are shown."""

MOST_ITEMS = 20
"""Evaluation items that are shown."""

MOST_CHARACTERS = 600
"""Of a stretch that only one text has; the rest is counted."""


def where(decision: Decision) -> str:
    """A document's id and place in a line."""
    return f"{decision.id:#x}, {printable(decision.shard)}, {place_of(decision)}"


def explanation_text(found: Explanation) -> str:
    """All that is known of a document."""
    document = found.document
    lines = [typer.style(where(document), bold=True), _verdict(found), ""]
    facts = [("source", printable(document.source)), ("size", _size(document))]
    if document.document_id is not None:
        facts.append(("its own id", printable_text(document.document_id)))
    if document.status in ("kept", "duplicate"):
        globally, locally = _fate(found, "global"), _fate(found, "local")
        if globally == locally:
            facts.append(("both scopes", globally))
        else:
            facts += [("globally", globally), (f"within {printable(document.source)}", locally)]
    if document.cluster_sources:
        facts.append(("sources", ", ".join(map(printable, document.cluster_sources))))
    lines += _aligned(facts)
    if found.namesakes:
        lines += ["", f"{found.namesakes:,} more record(s) hold this id; this is the first"]
    if found.evaluation_items:
        lines += ["", typer.style("Evaluation items that it holds:", bold=True), *_held(found.evaluation_items)]
    for pair in found.pairs:
        lines += ["", typer.style(_heading(pair), bold=True), *_aligned(_figures(pair, found.bands, bool(found.path)))]
        if pair.scope == "global":
            lines += _path(found.path)
        lines += ["", *marked_differences(pair.document_text, pair.survivor_text)]
    if found.problem:
        lines += ["", f"The texts cannot be compared: {printable(found.problem)}"]
    if found.members:
        lines += ["", f"{len(found.members):,} documents of its global cluster:"]
        lines += [f"  {where(one)}: {one.status}" for one in found.members]
    return "\n".join(lines)


def _verdict(found: Explanation) -> str:
    document = found.document
    if document.status == "bad":
        return f"bad: the record is broken ({printable_text(found.reason)})" if found.reason else "bad: it is broken"
    if document.status == "short":
        return f"short: it has {document.cleaned_chars or 0:,} cleaned characters, which is too few to take part"
    if document.status == "contaminated":
        return "contaminated: removed, as it holds evaluation items"
    kept = [name for name, stays in (("global", document.kept_global), ("local", document.kept_local)) if stays]
    if len(kept) == 2:
        return "kept in both scopes"
    return f"kept in the {kept[0]} scope only" if kept else "a duplicate in both scopes"


def _held(items: Sequence[HeldItem]) -> list[str]:
    lines = [
        f"  {one.overlap:.0%} of {printable(one.set_name)}, {printable(one.file)} line {one.line:,}, from byte "
        f"{one.position:,}: {printable(one.excerpt[:WIDTH])}"
        for one in items[:MOST_ITEMS]
    ]
    return lines + ([f"  and {len(items) - MOST_ITEMS:,} more"] if len(items) > MOST_ITEMS else [])


def _size(document: Decision) -> str:
    cleaned = "" if document.cleaned_chars is None else f", {document.cleaned_chars:,} cleaned characters"
    return f"{document.bytes:,} bytes{cleaned}"


def _fate(found: Explanation, scope: OneScope) -> str:
    document, survivor = found.document, found.survivor(scope)
    if survivor is None:
        size, copies = document.size(scope), document.exact_copies
        text = "kept"
        if size is not None:
            text += ", alone" if size == 1 else f" for the {size:,} documents of its cluster"
        elif document.cluster(scope) is not None:
            text += " for its cluster"
        if scope == "global" and copies is not None and copies > 1:
            text += f", {copies:,} of them with the very same cleaned text"
        return text
    match = document.match(scope)
    how = {"exact": " as an exact copy", "near": " as a near duplicate"}.get(match or "", "")
    return f"removed{how}; {survivor.id:#x} of {printable(survivor.source)} stays for it"


def _heading(pair: Pair) -> str:
    other = "the document that stays" if pair.scope == "global" else "the one that stays within its source"
    return f"Compared with {other}, {where(pair.survivor)}"


def _figures(pair: Pair, bands: int, linked: bool) -> list[tuple[str, str]]:
    estimate = "" if pair.estimate is None else f"; estimated from signatures: {pair.estimate:.4f}"
    figures = [("Jaccard", f"{pair.jaccard:.4f}{estimate}")]
    contained = f"{pair.document_in_survivor:.1%} of this document's shingles are in the other, "
    figures.append(("contained", contained + f"{pair.survivor_in_document:.1%} of the other's in this one"))
    if pair.bands:
        numbers = ", ".join(str(band + 1) for band in pair.bands)
        figures.append(("bands", f"{len(pair.bands)} of {bands} agree: {numbers}"))
    elif pair.document_text == pair.survivor_text:
        figures.append(("bands", "none needed, the texts are equal"))
    else:
        figures.append(("bands", f"none of {bands} agrees; linked by way of other documents" if linked else "none"))
    return figures


def _path(path: Sequence[PathStep]) -> list[str]:
    lines = [""] if path else []
    for step in path:
        similar = "" if step.jaccard is None else f"Jaccard {step.jaccard:.4f} with the one above"
        lines.append(f"  {where(step.document)}" + (f"  ({similar})" if similar else ""))
    return lines


def _aligned(facts: Sequence[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in facts)
    lines: list[str] = []
    for name, fact in facts:
        lines += textwrap.wrap(
            fact,
            WIDTH + 20,
            initial_indent=f"  {name.ljust(width)}  ",
            subsequent_indent=" " * (width + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def marked_differences(first: str, second: str) -> list[str]:
    """The places where two texts differ, as lines; a page at most."""
    found = differences(first, second)
    if not found.places:
        return ["  The two texts are equal."]
    minus, plus = (
        typer.style("[-only in this one-]", fg="red"),
        typer.style("{+only in the one that stays+}", fg="green"),
    )
    lines = [f"  Where they differ: {minus} {plus}"]
    paragraph = ""
    places = found.places[:MOST_PLACES]
    for place, following in zip(places, [*places[1:], None], strict=True):
        paragraph += _shown(_before(place))
        paragraph += typer.style(f"[-{_bounded(place.first)}-]", fg="red") if place.first else ""
        paragraph += typer.style(f"{{+{_bounded(place.second)}+}}", fg="green") if place.second else ""
        if following is not None and not following.skipped:  # all that is between the two is shown
            paragraph += _shown(place.after)
            continue
        paragraph += _shown(_after(place))
        lines += ["", *_wrapped(paragraph)]
        paragraph = ""
    more = len(found.places) - MOST_PLACES
    notes = [f"{more:,} more places"] if more > 0 else []
    notes += [f"{found.left_out:,} words were not compared, as the texts are long"] if found.left_out else []
    return lines + (["", f"  … and {'; '.join(notes)}"] if notes else [])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _before(place: Difference) -> str:
    """What comes before a difference, from the beginning of a word on."""
    if not place.skipped:
        return place.before
    partial, space, rest = place.before.partition(" ")
    return f"… {rest if space and len(partial) < len(place.before) // 2 else place.before}"


def _after(place: Difference) -> str:
    """What comes after a difference, up to the end of a word."""
    rest, space, partial = place.after.rpartition(" ")
    return f"{rest} …" if space and len(partial) < len(place.after) // 2 else place.after


def _shown(text: str) -> str:
    return printable_text(" ".join(text.split("\n"))) if text else ""


def _bounded(text: str) -> str:
    shown = _shown(text[:MOST_CHARACTERS])
    more = len(text) - MOST_CHARACTERS
    return shown if more <= 0 else f"{shown} … {more:,} more characters"


def pairs_text(found: SampledRemovals, below: float | None) -> str:
    """Pairs to look at, the least alike first, with the first words that differ side by side."""
    lines = []
    for number, pair in enumerate(found.pairs, 1):
        equal = pair.document_text == pair.survivor_text
        alike = "equal texts" if equal else f"Jaccard {pair.jaccard:.4f}"
        lines.append(typer.style(f"{number}. {alike}", bold=True))
        lines.append(f"  removed  {where(pair.document)} ({printable(pair.document.source)})")
        lines.append(f"  stays    {where(pair.survivor)} ({printable(pair.survivor.source)})")
        if not equal:
            lines += ["", *_side_by_side(pair)]
        lines.append("")
    drawn = f"{len(found.pairs):,} of {found.removals:,} removal(s) that fit are listed"
    if not found.removals:
        drawn = "no removal fits"
    elif below is not None:
        fewer = f"{len(found.pairs):,} of the {found.looked_at:,} that were compared are below {below}"
        drawn = f"{found.removals:,} removal(s) fit; {fewer}"
    return "\n".join([*lines, drawn])


COLUMN = 52


def _side_by_side(pair: Pair) -> list[str]:
    """The first place where two texts differ, as two columns of a few lines."""
    place = differences(pair.document_text, pair.survivor_text, context=80).places[0]
    columns = []
    for own in (place.first, place.second):
        text = f"{_shown(_before(place))}[{_bounded(own)}]{_shown(_after(place))}"
        columns.append(textwrap.wrap(text, COLUMN, max_lines=5, placeholder=" …", break_on_hyphens=False))
    left, right = columns
    height = max(len(left), len(right))
    left, right = ([*lines, *[""] * (height - len(lines))] for lines in (left, right))
    return [f"    {one.ljust(COLUMN)}  | {other}".rstrip() for one, other in zip(left, right, strict=True)]
