"""Which fields of a record hold its text and, if asked for, its name: paths of names, such as ``document.text``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["SET_NAME", "TEXT_ALONE", "Fields", "id_text", "value_at", "values_at"]

SET_NAME = ("meta", "redpajama_set_name")


@dataclass(frozen=True, slots=True)
class Fields:
    """Paths of the text and of the document's id for people. ``document_id`` is empty where none is wanted.

    ``preferred``: of what tells which of several duplicates is preferred.
    """

    text: tuple[str, ...] = ("text",)
    document_id: tuple[str, ...] = ()
    preferred: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, text_field: str, id_field: str | None, preferred: tuple[tuple[str, ...], ...] = ()) -> Fields:
        """The paths that two settings name, and those ``preferred`` by."""
        return cls(tuple(text_field.split(".")), tuple(id_field.split(".")) if id_field else (), preferred)

    @property
    def text_name(self) -> str:
        """The text's path as it is written in the settings."""
        return ".".join(self.text)

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """All paths that reading may need."""
        named = (self.text, SET_NAME, self.document_id) if self.document_id else (self.text, SET_NAME)
        return (*named, *self.preferred)


TEXT_ALONE = Fields()


def value_at(record: Any, path: tuple[str, ...]) -> Any:
    """The value at ``path``. Raises :class:`KeyError` or :class:`TypeError` where there is none."""
    for name in path:
        record = record[name]
    return record


def values_at(record: Any, paths: Sequence[tuple[str, ...]]) -> tuple[Any, ...]:
    """What lies at each of ``paths``; ``None`` where nothing does."""
    values = []
    for path in paths:
        try:
            values.append(value_at(record, path))
        except (KeyError, TypeError, IndexError):
            values.append(None)
    return tuple(values)


def id_text(value: Any) -> str | None:
    """An id as text; ``None`` for what is neither a string nor a number."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    return None
