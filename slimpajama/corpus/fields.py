"""Which fields of a record hold its text and, if asked for, its name: paths of names, such as ``document.text``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["SET_NAME", "TEXT_ALONE", "Fields", "document_id_of", "id_text", "preferred_values", "value_at"]

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


def preferred_values(record: Any, fields: Fields) -> tuple[Any, ...]:
    """What lies at each of ``fields.preferred``; ``None`` where nothing does."""
    values = []
    for path in fields.preferred:
        try:
            values.append(value_at(record, path))
        except (KeyError, TypeError, IndexError):
            values.append(None)
    return tuple(values)


def document_id_of(record: Any, fields: Fields) -> str | None:
    """The document's id as text, if it is a string or a number; else ``None``."""
    try:
        return id_text(value_at(record, fields.document_id))
    except (KeyError, TypeError, IndexError):
        return None


def id_text(value: Any) -> str | None:
    """An id as text; ``None`` for what is neither a string nor a number."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    return None
