"""Parts of a source: ``github/python`` by the value of a metadata column, ``c4[duplicates>=5]`` by its duplicates.

A name in a recipe is that of a source, of such a part, or of one that is both: ``github/python[duplicates>=5]``. What
is behind the first slash is the value; the recipe's ``split_by`` says of which column. ``github/(rest)`` has the values
that no other part of the recipe names, ``github/(none)`` the documents without one. Parts of one source may not
overlap, or a document would come twice by two names. Ranges of duplicates are written ``1``, ``2-5`` and ``101-``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slimpajama.config.refusals import shown

__all__ = ["REST", "PartName", "duplicate_range", "overlapping", "part_of", "ranges_of", "without_overlap"]

REST = "(rest)"
"""The value of a part that has what no other part of its source has."""

_CONDITION = re.compile(r"\s*\[\s*duplicates\s*(>=|<=|==|>|<|=)\s*(\d{1,15})(?:\s*-\s*(\d{1,15}))?\s*\]\Z")
_RANGE = re.compile(r"\s*(\d{1,15})\s*(-)?\s*(\d{1,15})?\s*")

Range = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class PartName:
    """A source, or a part of it: the documents of one ``value``, those that stand for so many ``duplicates``, or both.

    ``written``: the rest of its name.
    """

    source: str
    duplicates: Range | None
    written: str
    value: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the source."""
        return self.duplicates is None and self.value is None


def part_of(name: str) -> PartName:
    """The part that is called ``name``. Raises :class:`ValueError` for a condition that cannot be read."""
    source, slash, value = name.partition("/")
    last = value if slash else source
    condition = _CONDITION.search(last)
    duplicates = None if condition is None else _range_of(condition, name)
    named = last if condition is None else last[: condition.start()]
    if (condition is None and last.endswith("]")) or "[" in (source if slash else named) or (last and not named):
        raise _no_part(name)
    if not slash:
        return PartName(named.strip(), duplicates, name[len(named) :].strip())
    if not named:
        raise ValueError(f"{shown(name)} names no value behind its slash; write for example github/python")
    return PartName(source, duplicates, name[len(source) :], named)


def _no_part(name: str) -> ValueError:
    source, slash, value = name.partition("/")
    if slash and value.endswith("]") and not _CONDITION.search(value):
        return ValueError(
            f"{shown(name)} is no part of a source: what ends in ] must end in a condition, such as "
            f"{source}/VALUE[duplicates>=5], so a value that ends in ] itself cannot be named; name the "
            f"others, then {source}/{REST} has it"
        )
    return ValueError(
        f"{shown(name)} is no part of a source; write for example c4[duplicates>=5], c4[duplicates=1] or "
        "c4[duplicates=2-5]"
    )


def _range_of(condition: re.Match[str], name: str) -> Range:
    kind, number, last = condition[1], int(condition[2]), condition[3]
    if last is not None and kind not in ("=", "=="):
        raise _no_part(name)
    ranges: dict[str, Range] = {
        ">=": (number, None),
        ">": (number + 1, None),
        "<=": (1, number),
        "<": (1, number - 1),
    }
    least, most = ranges.get(kind, (number, int(last or number)))
    if most is not None and most < max(1, least):
        raise ValueError(f"{shown(name)} holds no document, as each stands for one or more; correct the numbers")
    return max(1, least), most


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
            if part.source == another.source and _overlap(part, another):
                return other, name
    return None


def without_overlap(one: str, other: str) -> str:
    """What to do about two such names."""
    whole = {part.value is None: part.source for part in map(part_of, (one, other))}
    rest = f", such as {whole[True]}/{REST} for what no other part has" if len(whole) == 2 else ""
    return f"give parts that do not overlap{rest}"


def _overlap(one: PartName, other: PartName) -> bool:
    same = one.value is None or other.value is None or one.value == other.value
    return same and _meet(one.duplicates or (1, None), other.duplicates or (1, None))


def _meet(one: Range, other: Range) -> bool:
    return (one[1] is None or other[0] <= one[1]) and (other[1] is None or one[0] <= other[1])
