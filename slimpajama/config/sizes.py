"""Sizes in bytes as people write them: ``8GiB``, ``500MB``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator

from slimpajama.config.refusals import shown
from slimpajama.errors import ConfigError

__all__ = ["Bytes", "parse_bytes", "size_in_bytes"]

_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def parse_bytes(value: object) -> object:
    """``"8GiB"``, ``"250 MB"`` or a number as a number of bytes; anything else is returned for pydantic to refuse."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,24}(?:\.\d{1,24})?)\s*([kmgt]?i?)b?\s*", value.lower())
        if match and match[2] in _UNITS:
            return int(Fraction(match[1]) * _UNITS[match[2]])
        raise ValueError(f"{shown(value)} is not a size; write for example 8GiB, 500MB or a number of bytes")
    return value


def size_in_bytes(text: str, origin: str) -> int:
    """:func:`parse_bytes` of a text that is no field. Raises :class:`ConfigError` naming ``origin``."""
    try:
        return int(parse_bytes(text))  # type: ignore[call-overload, no-any-return]
    except ValueError as fault:
        raise ConfigError(f"{origin}: {fault}") from fault


Bytes = Annotated[int, BeforeValidator(parse_bytes)]
"""A setting that is a size."""
