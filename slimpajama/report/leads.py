"""First sentences of sections that need more than their struct's fields."""

from __future__ import annotations

from slimpajama.report.figures.deduplication import Glance, OverlapSection
from slimpajama.report.figures.mixtures import MixtureRow, MixtureSection
from slimpajama.report.figures.study import StudyFigures
from slimpajama.report.numbers import amount, count, share

__all__ = ["farthest", "glance_lead", "mixtures_lead", "overlap_lead", "study_lead"]


def glance_lead(glance: Glance) -> str:
    """How many documents were removed, across all sources and within each."""
    read = glance.read_documents
    of = f"Of {count(read)} document{'' if read == 1 else 's'} ({amount(glance.read_bytes)}),"
    across, within = (one.exact_documents + one.near_documents for one in (glance.global_, glance.local))
    if not across and not within:
        return f"{of} none was removed as a duplicate."
    removed = "was removed as a duplicate" if across <= 1 else "were removed as duplicates"
    every, own = (count(one) if one else "none" for one in (across, within))
    return f"{of} {every} {removed} across all sources, {own} within their own source."


def overlap_lead(overlap: OverlapSection) -> str:
    """How much was removed across sources, and between which two most of it."""
    removed = sum(map(sum, overlap.removed_bytes))
    if not removed:
        return "No document was removed in favour of another one."
    across = [
        (size, source, other)
        for source, sizes in zip(overlap.sources, overlap.removed_bytes, strict=True)
        for other, size in zip(overlap.survivors, sizes, strict=True)
        if source != other and size
    ]
    if not across:
        return f"All {amount(removed)} that were removed have their surviving copy in the same source."
    size, source, other = max(across, key=lambda one: one[0])
    whole = sum(one[0] for one in across)
    return (
        f"Of {amount(removed)} that were removed, {amount(whole)} ({share(whole, removed)}) have their surviving copy "
        f"in another source; the most, {amount(size)}, went from {source} in favour of {other}."
    )


def mixtures_lead(section: MixtureSection) -> str:
    """How many mixtures there are, how near they came to what was asked, and how much they repeat."""
    mixtures = section.mixtures
    if not mixtures:
        return "There is no mixture in this output."
    tokens = sum(one.tokens for one in mixtures)
    off, name, source = max(_farthest(one) for one in mixtures)
    first = (
        f"{count(len(mixtures))} mixtures hold {count(tokens)} tokens. "
        if len(mixtures) > 1
        else (f"The mixture {name} holds {count(tokens)} tokens. ")
    )
    near = (
        "Every source has the share that was asked for, to a thousandth of a percent. "
        if off < 0.0005
        else f"No share is farther than {off:.3f} percentage points from what was asked ({source} in {name}). "
    )
    epochs, most, where = max((part.epochs, part.source, one.name) for one in mixtures for part in one.sources)
    repeats = (
        f"The most repeated text is that of {most} in {where}, {epochs:.1f} times."
        if epochs > 1
        else "No source is used more than once."
    )
    return first + near + repeats


def _farthest(mixture: MixtureRow) -> tuple[float, str, str]:
    return max(
        ((abs(part.got - part.asked), mixture.name, part.source) for part in mixture.sources), default=(0.0, "", "")
    )


def farthest(mixture: MixtureRow) -> str:
    """How far the share that is farthest from what was asked is."""
    off, _, source = _farthest(mixture)
    return f"{off:.3f} pp, {source}" if off >= 0.0005 else "< 0.001 pp"


def study_lead(study: StudyFigures) -> str:
    """What was trained, and how many of its differences are larger than what seeds make."""
    seeds = "one seed" if len(study.seeds) == 1 else f"{count(len(study.seeds))} seeds"
    worse = sum(one.beyond for one in study.cells)
    others = sum(not one.best for one in study.cells)
    absent = [one for one in study.cells if not one.trained_on]
    sizes = f"{count(len(study.models))} sizes" if len(study.models) > 1 else f"the preset {study.models[0]}"
    return (
        f"Models of {sizes} were trained on {count(study.tokens)} tokens of each of {count(len(study.mixtures))} "
        f"mixtures, with {seeds}. {count(worse)} of {count(others)} losses are above the best "
        f"of their source by more than twice the spread; among them, {count(sum(one.beyond for one in absent))} of "
        f"{count(len(absent))} on sources that a mixture has none of."
    )
