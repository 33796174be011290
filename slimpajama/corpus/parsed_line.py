"""One line at a time, through ``orjson``: the slow path, and the judge of what a record is and what is wrong with it.

``orjson`` parses the whole line, strictly; of the libraries compared (``benchmarks/readers.py``) it is the fastest that
refuses every line this project must refuse. A line whose text is sound, and whose only fault is a number or a surrogate
beside the text, is repaired. Rejected: ``msgspec`` with a typed record (skips the fields it is not asked for, invalid
UTF-8 in them included).
"""

from __future__ import annotations

import itertools
import reprlib
from dataclasses import dataclass
from typing import Any

import orjson

from slimpajama.corpus.fields import Fields, value_at
from slimpajama.corpus.pieces import Piece
from slimpajama.corpus.strict_json import parse, repaired, utf8_fault

__all__ = ["SoundRecord", "names_no_source", "parse_line"]

NAMED_FIELDS = 12
"""How many of a record's fields a reason lists."""


@dataclass(frozen=True, slots=True)
class SoundRecord:
    """A parsed record, its text, and the number among the piece's shards that it belongs to.

    ``repaired``: the line is not strict JSON, but for numbers or surrogates beside its text.
    """

    record: Any
    text: str
    owner: int
    repaired: bool


def parse_line(line: bytes, piece: Piece, fields: Fields) -> SoundRecord | str:
    """The record that a line holds, once it is repaired if need be, or the reason that it is quarantined for."""
    count = 0
    try:
        record: Any = parse(line, fields.paths)
    except ValueError as fault:
        wrong_byte = utf8_fault(line)
        if wrong_byte is not None:
            return f"not UTF-8 (byte {wrong_byte} of the record)"
        strict, count = repaired(line)
        try:
            record = parse(strict, fields.paths) if count else None
        except ValueError:
            count = 0
        if not count:
            return f"not JSON ({_explained(fault)})"
    if not isinstance(record, dict):
        return f"not an object but {_json_type(record)}"
    name = fields.text_name
    try:
        text = value_at(record, fields.text)
    except (KeyError, TypeError, IndexError):
        names = ", ".join(map(reprlib.repr, itertools.islice(record, NAMED_FIELDS)))
        return f"no field {name!r}" + (f" but {names}; the setting text_field names the text" if names else "")
    if not isinstance(text, str):
        return f"{name!r} is {_json_type(text)}, not a string"
    # Surrogates in the text itself are found by putting something else in their place.
    if count and value_at(parse(repaired(line, rb"\ufffc")[0], fields.paths), fields.text) != text:
        return f"{name!r} holds a lone surrogate"
    owner = 0
    if piece.mixed:
        meta = record.get("meta")
        named = meta.get("redpajama_set_name") if isinstance(meta, dict) else None
        if not isinstance(named, str) or named not in piece.set_names:
            return names_no_source(named, piece)
        owner = piece.set_names.index(named)
    return SoundRecord(record, text, owner, count > 0)


def _explained(fault: ValueError) -> str:
    return f"{fault.msg} at character {fault.pos}" if isinstance(fault, orjson.JSONDecodeError) else str(fault)


def names_no_source(named: object, piece: Piece) -> str:
    """Why a record of a mixed shard that names ``named`` is bad."""
    return f"meta.redpajama_set_name is {reprlib.repr(named)}, none of {', '.join(piece.set_names)}"


def _json_type(value: object) -> str:
    names = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
    }
    return names.get(type(value), "an object")
