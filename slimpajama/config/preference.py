"""The keys of the setting ``prefer``: which of several duplicates stays.

``source`` is the order of the sources, ``longest`` the number of cleaned characters. ``newest`` and ``oldest`` take the
date in ``meta.timestamp`` or ``meta.date``, or in the field after a colon: ``newest:meta.crawl_date``. A dotted name,
as ``meta.score``, is a field of the record, the larger number or later date first; with ``-`` in front the smaller or
earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DATE_FIELDS", "KNOWN_KEYS", "Preference", "preference"]

DATE_FIELDS = (("meta", "timestamp"), ("meta", "date"))
"""Where ``newest`` and ``oldest`` look, in this order."""

KNOWN_KEYS = (
    "source, longest, newest, oldest, newest:FIELD, oldest:FIELD, and a field such as meta.score (larger first) or "
    "-meta.score (smaller first)"
)


@dataclass(frozen=True, slots=True)
class Preference:
    """One key. ``fields``: paths of which the first that a record has counts; only of a ``field``."""

    kind: Literal["source", "longest", "field"]
    fields: tuple[tuple[str, ...], ...] = ()
    larger_first: bool = True


def preference(key: str) -> Preference:
    """What ``key`` asks for. Raises ``ValueError`` that lists the keys there are."""
    if key in ("source", "longest"):
        return Preference(key)  # type: ignore[arg-type]
    name, colon, path = key.partition(":")
    if name in ("newest", "oldest") and (not colon or _is_path(path)):
        fields = (tuple(path.split(".")),) if colon else DATE_FIELDS
        return Preference("field", fields, name == "newest")
    path = key.removeprefix("-")
    if not colon and "." in path and _is_path(path):
        return Preference("field", (tuple(path.split(".")),), path == key)
    raise ValueError(f"there is no key {key!r} of prefer; the keys are {KNOWN_KEYS}")


def _is_path(path: str) -> bool:
    return all(path.split("."))
