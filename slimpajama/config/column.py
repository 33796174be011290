"""Names of metadata columns: ``meta.language`` of all sources, or ``github:meta.language`` of one.

A name is the dotted path of a field of the input's records; a number in it is a place in a list, from 0, as in
``meta.language.0.name``. Deduplicated records have nothing beside their text and ``meta``, so a field that stood beside
``meta`` is the one of that name in it: ``license`` and ``meta.license`` are one column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from slimpajama.config.refusals import shown

__all__ = ["MOST_COLUMNS", "MetadataColumn", "column", "column_path", "columns_of"]

MOST_COLUMNS = 8
"""Columns of a source. Each is eight bytes for each piece of a document."""

LONGEST = 100
"""Characters of a name."""

_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class MetadataColumn:
    """The column ``path`` of one ``source``, or of all of them where that is empty."""

    source: str
    path: str

    def __str__(self) -> str:
        return f"{self.source}:{self.path}" if self.source else self.path


def column(text: str) -> MetadataColumn:
    """The column that ``text`` names. Raises :class:`ValueError` where it is no name of one."""
    source, colon, path = text.partition(":")
    if not colon:
        return MetadataColumn("", column_path(text))
    if not _SOURCE.fullmatch(source):
        raise ValueError(f"{shown(text)} names no source before its colon; write for example github:meta.language")
    return MetadataColumn(source, column_path(path))


def column_path(path: str) -> str:
    """``path`` as it is written in the store. Raises :class:`ValueError` where it is no dotted path of a field."""
    names = path.split(".")
    if not all(names) or len(path) > LONGEST:
        raise ValueError(
            f"{shown(path)} is no column; write the path of a field with single dots, such as meta.language, in at "
            f"most {LONGEST} characters"
        )
    if path in ("meta", "text"):
        raise ValueError(f"{path} is no column; name a field of the metadata, such as meta.language")
    return path if names[0] == "meta" else f"meta.{path}"


def columns_of(columns: Iterable[str], source: str) -> tuple[str, ...]:
    """The paths of those of ``columns`` that a source has, each once, in their order."""
    named = map(column, columns)
    return tuple(dict.fromkeys(one.path for one in named if one.source in ("", source)))
