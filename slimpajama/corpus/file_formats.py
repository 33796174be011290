"""The names of shards: which endings are read, and by which format and codec.

JSON lines come as ``.jsonl``, ``.ndjson`` or ``.json``, plain or compressed; tables as ``.parquet``; formats and codecs
registered from outside add their own. Endings in upper case count as well. Archives (``.tar``, ``.zip``) are not
shards. Rejected: looking into every file, which costs a request each.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimpajama.errors import ConfigError
from slimpajama.registry import CODECS, INPUT_FORMATS

if TYPE_CHECKING:
    from slimpajama.registry import Codec, InputFormat

__all__ = ["ShardKind", "endings", "endings_in_words", "kind_of", "suffix_of"]


@dataclass(frozen=True, slots=True)
class ShardKind:
    """How a shard is read."""

    format: InputFormat
    codec: Codec


def endings() -> dict[str, ShardKind]:
    """All endings of shards, in lower case. Raises :class:`ConfigError` where two kinds have the same one."""
    return _endings(tuple(map(INPUT_FORMATS.get, INPUT_FORMATS.names)), tuple(map(CODECS.get, CODECS.names)))


@functools.lru_cache(maxsize=1)
def _endings(formats: tuple[InputFormat, ...], codecs: tuple[Codec, ...]) -> dict[str, ShardKind]:
    found: dict[str, ShardKind] = {}
    for one in formats:
        for codec in codecs if one.compressible else codecs[:1]:
            for ending in (first.lower() + last.lower() for first in one.endings for last in codec.endings):
                if ending in found:
                    raise ConfigError(
                        f"files ending in {ending} would be read as {found[ending].format.name!r} and as {one.name!r}; "
                        "give one of the two another ending"
                    )
                found[ending] = ShardKind(one, codec)
    return found


def endings_in_words() -> str:
    """The endings of shards, for messages."""
    formats = [INPUT_FORMATS.get(name) for name in INPUT_FORMATS.names]
    packed = ", ".join(ending for name in CODECS.names for ending in CODECS.get(name).endings if ending)
    compressible = ", ".join(ending for one in formats if one.compressible for ending in one.endings)
    others = ", ".join(ending for one in formats if not one.compressible for ending in one.endings)
    return f"{compressible}, each alone or followed by {packed}, and {others}"


def suffix_of(name: str) -> str | None:
    """The end of ``name`` that makes it a shard, as it is written there; ``None`` for other files."""
    lowered = name.lower()
    fitting = [suffix for suffix in endings() if lowered.endswith(suffix) and len(name) > len(suffix)]
    return name[-len(max(fitting, key=len)) :] if fitting else None


def kind_of(suffix: str) -> ShardKind:
    """What ``suffix``, in upper or lower case, stands for."""
    return endings()[suffix.lower()]
