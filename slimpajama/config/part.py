"""Parts of a source by its duplicates: ``c4[duplicates>=5]`` are the documents of ``c4`` that stand for five or more.

A name in a recipe is that of a source, or of such a part. Parts of one source may not overlap, or a document would come
twice by two names. Ranges of duplicates are written ``1``, ``2-5`` and ``101-``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slimpajama.config.refusals import shown

__all__ = ["PartName", "duplicate_range", "overlapping", "part_of", "ranges_of"]

_PART = re.compile(r"([^\[\]]+)\[\s*duplicates\s*(>=|<=|==|>|<|=)\s*(\d{1,15})(?:\s*-\s*(\d{1,15}))?\s*\]")
_RANGE = re.compile(r"\s*(\d{1,15})\s*(-)?\s*(\d{1,15})?\s*")

Range = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class PartName:
    """A source, or what of it stands for so many duplicates; ``written``: the rest of its name."""

    source: str
    duplicates: Range | None
    written: str


def part_of(name: str) -> PartName:
    """The part that is called ``name``. Raises :class:`ValueError` for a condition that cannot be read."""
    if "[" not in name:
        return PartName(name, None, "")
    match = _PART.fullmatch(name)
    if match is None or (match[4] is not None and match[2] not in ("=", "==")):
        raise ValueError(
            f"{shown(name)} is no part of a source; write for example c4[duplicates>=5], c4[duplicates=1] or "
            "c4[duplicates=2-5]"
        )
    number = int(match[3])
    ranges: dict[str, Range] = {
        ">=": (number, None),
        ">": (number + 1, None),
        "<=": (1, number),
        "<": (1, number - 1),
    }
    least, most = ranges.get(match[2], (number, int(match[4] or number)))
    if most is not None and most < max(1, least):
        raise ValueError(f"{shown(name)} holds no document, as each stands for one or more; correct the numbers")
    return PartName(match[1].strip(), (max(1, least), most), name[name.index("[") :])


def duplicate_range(text: str) -> Range:
    """The range that ``1``, ``2-5`` or ``101-`` is. Raises :class:`ValueError` for what is none."""
    match = _RANGE.fullmatch(text)
    least = int(match[1]) if match else 0
    most = None if match and match[2] and not match[3] else int(match[3] or least) if match else 0
    if match is None or (match[3] and not match[2]) or least < 1 or (most is not None and most < least):
        raise ValueError(f"{shown(text)} is no range of duplicates; write for example 1, 2-5 or 101-")
    return least, most


def ranges_of(buckets: Mapping[str, int]) -> tuple[tuple[Range, int], ...]:
    """The ranges of ``buckets`` in order, with what each stands for. Raises :class:`ValueError` unless they cover all
    numbers from 1 on, each once."""
    ranges = sorted(((duplicate_range(name), value) for name, value in buckets.items()), key=lambda one: one[0][0])
    following: int | None = 1
    for (least, most), _ in ranges:
        if following is None or least < following:
            raise ValueError(f"two buckets hold {least:,} duplicates; each number belongs into one")
        if least > following:
            raise ValueError(f"no bucket holds {following:,} duplicates; add one, with 1 where nothing is repeated")
        following = None if most is None else most + 1
    if following is not None:
        raise ValueError(f"no bucket holds {following:,} duplicates or more; end with one like {following}-")
    return tuple(ranges)


def overlapping(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of ``names`` that have documents in common, if there are some."""
    parts = [(name, part_of(name)) for name in dict.fromkeys(names)]
    for number, (name, part) in enumerate(parts):
        for other, another in parts[:number]:
            if part.source == another.source and _meet(part.duplicates or (1, None), another.duplicates or (1, None)):
                return other, name
    return None


def _meet(one: Range, other: Range) -> bool:
    return (one[1] is None or other[0] <= one[1]) and (other[1] is None or one[0] <= other[1])
