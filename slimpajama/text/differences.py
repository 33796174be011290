"""Where two texts differ, word by word, within a bound on the work.

What the texts begin and end with alike is set aside first. Of what is left at most ``MOST_WORDS`` words of each are
compared by ``difflib``, which is quadratic at worst; how many were left out is told. A word is a run of letters and
digits, any other character one by itself, so text without spaces is compared, too. Rejected: comparing lines (web pages
and code differ within them), and comparing long texts whole (minutes).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["Difference", "Differences", "differences"]

MOST_WORDS = 2000

_WORD = re.compile(r"[^\W\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7ff]{1,64}|\s+|.", re.DOTALL)
"""Characters of East Asian scripts are words by themselves."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two texts differ: what comes ``before`` in both, what each has there, and what comes ``after``.

    ``skipped``: characters that both have between the place before this one and ``before``.
    """

    skipped: int
    before: str
    first: str
    second: str
    after: str


@dataclass(frozen=True, slots=True)
class Differences:
    """All places. ``alike``: characters after the last. ``left_out``: words of both that were not compared."""

    places: tuple[Difference, ...]
    alike: int
    left_out: int


def differences(first: str, second: str, context: int = 40, most_words: int = MOST_WORDS) -> Differences:
    """Compare two texts; each place comes with at most ``context`` characters of what is alike on either side."""
    begin = _common(first, second)
    end = _common(first[begin:][::-1], second[begin:][::-1])
    # Whole words only: the common parts may end within one.
    ones, others = (_WORD.findall(text[begin : len(text) - end]) for text in (first, second))
    left_out = max(0, len(ones) - most_words) + max(0, len(others) - most_words)
    ones, others = ones[:most_words], others[:most_words]
    runs = [("equal", first[:begin], first[:begin])]
    for kind, a, b, c, d in SequenceMatcher(None, ones, others, autojunk=False).get_opcodes():
        runs.append((kind, "".join(ones[a:b]), "".join(others[c:d])))
    if not left_out:
        runs.append(("equal", first[len(first) - end :], first[len(first) - end :]))
    return Differences(*_places(_merged(runs), context), left_out)


def _common(first: str, second: str) -> int:
    """How many characters two texts begin with alike, up to the last beginning of a word."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    if low < len(first) or low < len(second):
        while low and (first[low - 1].isalnum() or first[low - 1] == "_"):
            low -= 1
    return low


def _merged(runs: Sequence[tuple[str, str, str]]) -> list[tuple[bool, str, str]]:
    """Runs that are alike or not, in turn; what is alike for a space only is part of the difference around it."""
    merged: list[tuple[bool, str, str]] = []
    for position, (kind, first, second) in enumerate(runs):
        if not first and not second:
            continue
        alike = kind == "equal" and (bool(first.strip()) or position in (0, len(runs) - 1))
        if merged and merged[-1][0] == alike:
            merged[-1] = (alike, merged[-1][1] + first, merged[-1][2] + second)
        else:
            merged.append((alike, first, second))
    return merged


def _places(runs: Sequence[tuple[bool, str, str]], context: int) -> tuple[tuple[Difference, ...], int]:
    places = []
    alike = 0
    for position, (same, first, second) in enumerate(runs):
        if same:
            alike = len(first)
            continue
        before = runs[position - 1][1] if position else ""
        after = runs[position + 1][1] if position + 1 < len(runs) else ""
        # What is alike between two places is shown once: half of it with each, where it is short.
        shown_before = before if position <= 1 else before[min(len(before), context) :]
        kept = shown_before[-context:] if context else ""
        skipped = len(shown_before) - len(kept)
        places.append(Difference(skipped, kept, first, second, after[:context]))
        alike = 0
    rest = max(0, alike - context) if places else alike
    return tuple(places), rest
