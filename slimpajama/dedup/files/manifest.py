"""``work/pieces.json``: what a finished deduplication consists of, part by part, for whoever reads its output.

Mixtures and ``slimpajama verify`` find decisions and shards here. It is versioned, so that an output of another version
is named as such instead of being misread. Costs about 500 bytes per shard. Rejected: the name ``manifest.json``, by
which the folders of mixtures are known.
"""

from __future__ import annotations

import msgspec

from slimpajama.config.dedup import Scope
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.errors import InputNotFound
from slimpajama.storage.atomic import read_json

__all__ = ["Manifest", "ManifestInput", "ManifestPart", "ManifestShard", "read_manifest"]

MANIFEST_VERSION = 4

AGAIN = "run slimpajama dedup again with the same input and output"


class ManifestShard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shard, whether it was written or would be if its scope were asked for.

    ``path``: relative to the output. ``blake2b``: its digest, where the last run wrote it.
    """

    source: str
    scope: Scope
    path: str
    blake2b: str | None


class ManifestInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input file: its ``path`` below the input, and the ``numbers`` of its shards, as in the upper bits of ids."""

    path: str
    numbers: tuple[int, ...]


class ManifestPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The records at the positions ``[start, stop)`` of a bundle, to its end without ``stop``.

    ``bundle``: its name; ``inputs``: the files of its pieces. ``decisions``: the path of the table of verdicts on the
    bundle; ``decided``: a digest of it.
    """

    bundle: str
    inputs: tuple[ManifestInput, ...]
    decisions: str
    decided: str
    start: int
    stop: int | None
    shards: tuple[ManifestShard, ...]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All parts of all bundles, in the order of the corpus."""

    parts: tuple[ManifestPart, ...]
    version: int = MANIFEST_VERSION


def read_manifest(layout: DedupLayout) -> Manifest:
    """The manifest of a finished deduplication. Raises :class:`InputNotFound` where there is none of this version."""
    content = read_json(layout.manifest)
    # The first version was a list, without a number.
    version = content.get("version") if isinstance(content, dict) else 1 if isinstance(content, list) else None
    if isinstance(version, int) and version != MANIFEST_VERSION:
        raise InputNotFound(
            f"{layout.root} was deduplicated by another version of slimpajama: {layout.manifest} is of version "
            f"{version}, and this one reads version {MANIFEST_VERSION}; {AGAIN}"
        )
    try:
        return msgspec.convert(content, Manifest)
    except msgspec.ValidationError as fault:
        raise InputNotFound(
            f"{layout.root} holds no finished deduplication: {layout.manifest} is missing or broken; {AGAIN}"
        ) from fault
