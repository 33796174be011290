"""About how much disk a run takes, from the sizes of its input files alone, and a warning where less is free.

Takes one look at the file system. The factors are those of the plan of RedPajama-1T in ``docs/scaling.md``. How much
text a compressed file holds, and how much of it is kept, is not known before it is read, so the figure is an upper
one, all text kept, and too little space is a warning and no error: a run that removes half of its input may still fit.
``slimpajama plan`` measures a sample instead. Rejected: refusing to start, which would stop such runs, and counting
what lies in the output already: a run that goes on is not checked.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from slimpajama.corpus.discovery import ShardFile
from slimpajama.logging import LOGGER
from slimpajama.storage.paths import is_remote

__all__ = ["dedup_bytes", "mixture_bytes", "text_bytes", "warn_if_full"]

_WORK = 0.065
"""Band keys, links, clusters and decisions: bytes for each byte of text."""

_SHARDS = 0.35
"""Deduplicated shards of one scope: bytes for each byte of text kept."""

_STORE = 1.1
"""The token store, and once more while it is made: bytes for each byte of text kept."""

_MIXTURE = 2
"""Bytes for each token of a mixture."""


def text_bytes(files: Iterable[ShardFile]) -> int:
    """About how much text the input files hold."""
    return sum(file.format.text_bytes(file) for file in files)


def dedup_bytes(text: int, scopes: int) -> int:
    """What a deduplication of ``text`` bytes writes at most, about, if it writes the shards of so many ``scopes``."""
    return round(text * (_WORK + _SHARDS * scopes))


def mixture_bytes(text: int, tokens: Sequence[int]) -> int:
    """What a token store of ``text`` bytes and mixtures of so many ``tokens`` take at most, about."""
    return round(text * _STORE) + _MIXTURE * sum(tokens)


def warn_if_full(output: Path, needed: int, free: int | None = None) -> None:
    """Warn where ``needed`` bytes are more than the disk of ``output`` has free; stores have no such limit.

    ``free``: bytes, if they are known; default: what the file system says.
    """
    if is_remote(output):
        return
    if free is None:
        there = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free
    if needed > free:
        LOGGER.warning(
            "%s may need up to about %s, and its disk has %s free: free some space, choose another output, or see by "
            "slimpajama plan what the run takes",
            output,
            _size(needed),
            _size(free),
        )


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
