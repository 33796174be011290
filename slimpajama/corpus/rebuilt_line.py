"""One record of the output from the JSON of an input record: the slow path, and what a line of the output is.

The text and the members of ``meta`` are copied as the JSON they came as, byte for byte; only ``redpajama_set_name`` is
added, and, where wanted, ``duplicates``; a text is encoded anew only if normalisation changed it. A line that is not
strict JSON is repaired (see :mod:`slimpajama.corpus.strict_json`), and the values replaced are counted. Other fields of
the record move into ``meta``, so nothing is lost (Common Crawl's ``pred_label`` and ``source`` stand at the top of the
record). Most lines never come here: :mod:`slimpajama.corpus.spliced_lines` makes the same bytes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import orjson

from slimpajama.corpus.fields import TEXT_ALONE, Fields
from slimpajama.corpus.strict_json import decode_deep

__all__ = ["rebuilt_line"]

_SET_NAME, _DUPLICATES = "redpajama_set_name", "duplicates"

Members: TypeAlias = "dict[str, bytes | msgspec.Raw]"
"""The members of a JSON object, each as JSON."""

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

ESCAPED_ASCII = rb"\u00"
"""How an escape begins that a reserved name may be written with."""


def rebuilt_line(
    line: bytes | memoryview,
    set_name: str,
    text: bytes | None = None,
    paths: Fields = TEXT_ALONE,
    keeps_label: bool = False,
    duplicates: bytes | None = None,
) -> bytes:
    """One record of the output, with its newline, from the JSON of an input record.

    ``text``: its text as JSON, where that is to be replaced. ``paths``: where the record holds its text.
    ``keeps_label``: the name of a source that the record comes with stays, instead of ``set_name``. ``duplicates``:
    JSON for ``meta.duplicates``; a member of that name is kept under another.
    """
    reserved = (_SET_NAME,) if duplicates is None else (_SET_NAME, _DUPLICATES)
    name = orjson.dumps(set_name)
    fields = _fields(line)
    own = _taken_out(fields, paths.text)
    meta = fields.pop("meta", None)
    members = b"" if meta is None else bytes(meta).strip()
    if members.startswith(b"{"):
        whole, members = members, members[1:-1].strip()
        if fields or _has_one(whole, reserved):
            inner: Members = dict(_fields(whole))
            label = bytes(inner.pop(_SET_NAME, b"")).strip()
            if keeps_label and label.startswith(b'"'):
                name = label
            if duplicates is not None and _DUPLICATES in inner:
                inner = _with_others(inner, {_DUPLICATES: inner.pop(_DUPLICATES)}, reserved)
            members = _joined(_with_others(inner, fields, reserved))
    else:
        members = _joined(_with_others({} if members in (b"", b"null") else {"meta": members}, fields, reserved))
    separator = b"," if members else b""
    return b"".join(
        (
            *(b'{"text":', own if text is None else text, b',"meta":{', members, separator),
            *(b'"redpajama_set_name":', name),
            *((b"}}\n",) if duplicates is None else (b',"duplicates":', duplicates, b"}}\n")),
        )
    )


def _has_one(meta: bytes, names: Sequence[str]) -> bool:
    """Whether ``meta`` has a member of one of ``names``, or mentions one; a name may be written with escapes."""
    mentioned = any(one.encode() in meta for one in names)
    return mentioned or (ESCAPED_ASCII in meta and not _fields(meta).keys().isdisjoint(names))


def _fields(record: bytes | memoryview | msgspec.Raw) -> Members:
    found: Members = decode_deep(_decoder, record)
    return found


def _taken_out(fields: Members, path: tuple[str, ...]) -> bytes | msgspec.Raw:
    """The value at ``path``, which ``fields`` holds no longer; the objects it was in stay, with their other members."""
    if len(path) == 1:
        return fields.pop(path[0])
    inner = _fields(fields[path[0]])
    found = _taken_out(inner, path[1:])
    fields[path[0]] = b"{" + _joined(inner) + b"}"
    return found


def _with_others(meta: Members, others: Mapping[str, bytes | msgspec.Raw], reserved: Sequence[str]) -> Members:
    """``meta`` with the record's other fields; one whose name is taken there gets underscores until it is free."""
    for name, value in others.items():
        free = name
        while free in meta or free in reserved:
            free += "_"
        meta[free] = value
    return meta


def _joined(members: Mapping[str, bytes | msgspec.Raw]) -> bytes:
    return b",".join(orjson.dumps(name) + b":" + bytes(value) for name, value in members.items())
