"""Ranks: what a document is preferred by, as numbers that sort, the smaller first.

One ``uint64`` for each key of the setting ``prefer`` but ``source``, which the id tells. A field counts if it is a
number, or a date of ISO 8601 such as 2023-05-01 or 2023-05-01T12:30:00Z, which is taken as seconds since 1970 (in UTC
where it names no zone); so dates and epoch seconds can be compared. Numbers are compared as doubles. Documents without
the field, or with another value in it, come last, and the run says how many they are. Costs a few dictionary look-ups
per document, since records are parsed anyway; without such a key, nothing. Rejected: strings by their first bytes (two
urls that share eight bytes are not equally good), and numbers in quotes (nobody knows what else is in that field).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.preference import Preference, preference

__all__ = ["UNRANKED", "preferred_fields", "rank_keys", "ranks_of", "sortable"]

UNRANKED = np.uint64(0xFFFFFFFFFFFFFFFF)
"""The rank of a document without the field."""

_SIGN = np.uint64(1 << 63)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_DATE = re.compile(
    r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?\s?(Z|[+-]\d\d:?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)


def rank_keys(prefer: Sequence[str]) -> tuple[Preference, ...]:
    """The keys of ``prefer`` that have a column of ranks, in their order."""
    return tuple(one for one in map(preference, prefer) if one.kind != "source")


def preferred_fields(keys: Sequence[Preference]) -> tuple[tuple[str, ...], ...]:
    """The paths of all fields that ``keys`` need, each once."""
    return tuple(dict.fromkeys(path for key in keys for path in key.fields))


def ranks_of(
    keys: Sequence[Preference], cleaned: NDArray[np.int64], values: Sequence[Sequence[object]]
) -> NDArray[np.uint64]:
    """``uint64[n, len(keys)]``: the ranks of n documents.

    ``cleaned`` ``int64[n]``: their cleaned characters. ``values``: for each, what lies at :func:`preferred_fields`.
    """
    fields = preferred_fields(keys)
    ranks = np.full((cleaned.size, len(keys)), UNRANKED, dtype=np.uint64)
    for column, key in enumerate(keys):
        if key.kind == "longest":
            ranks[:, column] = ~cleaned.astype(np.uint64)
        elif values:
            places = [fields.index(path) for path in key.fields]
            numbers = [_first_number(row, places) for row in values]
            ranks[:, column] = sortable(np.array(numbers, dtype=np.float64), key.larger_first)
    return ranks


def sortable(numbers: NDArray[np.float64], larger_first: bool) -> NDArray[np.uint64]:
    """``uint64[n]`` in the order of ``numbers``, or the reverse; ``UNRANKED`` for NaN."""
    numbers = numbers + 0.0  # of the two zeros, one
    bits = numbers.view(np.uint64)
    ascending = np.where(bits & _SIGN != 0, ~bits, bits | _SIGN)
    return np.where(np.isnan(numbers), UNRANKED, ~ascending if larger_first else ascending)


def _first_number(row: Sequence[object], places: Sequence[int]) -> float:
    """The first of the values at ``places`` that is a number or a date, as a number; NaN if none is."""
    return next((number for number in (_number(row[place]) for place in places) if not math.isnan(number)), math.nan)


def _number(value: object) -> float:
    if isinstance(value, bool):
        return math.nan
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.nan
    return _seconds(value) if isinstance(value, str) else math.nan


def _seconds(text: str) -> float:
    """Seconds since 1970 of a date; NaN for another text."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return math.nan
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    zone = match[8] or "Z"
    offset = timedelta()
    if zone not in "Zz":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    try:
        moment = datetime(year, month, day or 1, hour, minute, min(second, 59), tzinfo=timezone.utc)
    except ValueError:
        return math.nan
    return (moment - _EPOCH - offset).total_seconds() + float(match[7] or 0)
