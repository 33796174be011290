"""Refuse names of outputs that are too long for a file system, before work starts.

Outputs are named after their shards, with another ending and, if a shard is split, the number of its part. A name may
have 255 bytes, a whole path 4,095; a shard may come close to both. Costs a few additions per bundle.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from slimpajama.corpus.pieces import Bundle
from slimpajama.dedup.files.layout import BOTH, DedupLayout
from slimpajama.dedup.sketching import has_parts
from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import MOST_NAME_BYTES
from slimpajama.storage.paths import is_remote

__all__ = ["refuse_long_names"]

MOST_PATH_BYTES = 4095
MOST_KEY_BYTES = 1024
"""Of an object in a store; S3's limit, and others are no lower."""

ALWAYS_SHORT = 128
"""No need to look closer below this many bytes; the rest is a source's name and endings."""

WORK_BYTES = len("work/done/sketch/.12345678.tmp")
"""What is put around a bundle's name for the files of ``work/``, at most."""


def refuse_long_names(layout: DedupLayout, bundles: Sequence[Bundle], part_bytes: int) -> None:
    """Raise :class:`ConfigError` for the first bundle of which an output would have too long a name.

    ``part_bytes``: bytes of text after which the outputs of a shard are cut into numbered parts.
    """
    root = len(os.fsencode(str(layout.root)))
    for bundle in bundles:
        piece = bundle.first
        own = len(os.fsencode(bundle.name))
        if own < ALWAYS_SHORT and root + own < ALWAYS_SHORT:
            continue
        for path in _longest(layout, bundle, 2 if has_parts(bundle, part_bytes) else 1):
            name = len(os.fsencode(path.name))
            if name > MOST_NAME_BYTES:
                raise ConfigError(
                    f"the output {path.name} of {piece.file.path} would have a name of {name} bytes, but a file system "
                    f"allows {MOST_NAME_BYTES}: rename the shard, {name - MOST_NAME_BYTES} bytes shorter"
                )
            whole = len(os.fsencode(str(path))) + WORK_BYTES
            most = MOST_KEY_BYTES if is_remote(path) else MOST_PATH_BYTES
            if whole > most:
                raise ConfigError(
                    f"the outputs of {piece.file.path} would have paths of up to {whole:,} bytes, but {most:,} are "
                    "allowed: choose an output with a shorter path, or shorten the folders of the shard"
                )


def _longest(layout: DedupLayout, bundle: Bundle, parts: int) -> list[Path]:
    shards = layout.shards(bundle, parts, BOTH)[0]
    return [layout.decisions(bundle), layout.quarantine(bundle.name), *(shard.path for shard in shards)]
