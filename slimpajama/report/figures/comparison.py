"""What a report tells of two deduplications: which settings differ, and what that changed."""

from __future__ import annotations

from slimpajama.report.figures.base import Figures
from slimpajama.report.figures.deduplication import EvidencePair, Glance

__all__ = ["Amount", "ComparedRuns", "ComparedSource", "KeptAlone", "SettingDifference"]


class SettingDifference(Figures, frozen=True, kw_only=True):
    """A setting or version that differs."""

    name: str
    first: str
    second: str


class Amount(Figures, frozen=True, kw_only=True):
    """Documents, and the bytes of their text."""

    documents: int
    bytes: int


class KeptAlone(Figures, frozen=True, kw_only=True):
    """Documents that one run keeps and the other does not. ``statuses``: what the other decided on them, as ``(status,
    documents)``. ``pairs``: some of them, each beside the one that stays for it in the other run."""

    amount: Amount
    statuses: tuple[tuple[str, int], ...]
    pairs: tuple[EvidencePair, ...]
    pairs_missing: str
    """Why there are no pairs, if texts cannot be read."""


class ComparedSource(Figures, frozen=True, kw_only=True):
    """One source in both runs, global scope. ``*_alone``, ``both``: ``None`` where documents cannot be told to be the
    same; a source that a run does not have has amounts of 0."""

    source: str
    first_read: Amount
    second_read: Amount
    first_kept: Amount
    second_kept: Amount
    first_byte_rate: float
    second_byte_rate: float
    both: Amount | None
    first_alone: Amount | None
    second_alone: Amount | None


class ComparedRuns(Figures, frozen=True, kw_only=True):
    """Two deduplications, ``first`` and ``second``. ``settings``, ``versions``: those that differ. ``same_input``:
    whether they read the same shards, so that documents are the same by their ids; if not, ``why_not`` says why."""

    title: str
    first: Glance
    second: Glance
    settings: tuple[SettingDifference, ...]
    versions: tuple[SettingDifference, ...]
    sources: tuple[ComparedSource, ...]
    total: ComparedSource
    same_input: bool
    why_not: str
    kept_by_both: Amount | None
    first_alone: KeptAlone | None
    second_alone: KeptAlone | None
