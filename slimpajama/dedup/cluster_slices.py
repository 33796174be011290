"""Which pieces the clusters say something new about.

The clusters file changes whenever any shard does, but what it says of the documents of one piece mostly stays. This
item hashes it piece by piece, in the order of ids, so that only pieces with another hash are decided anew. Reads the
file once; holds what it says of one piece.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimpajama.corpus.discovery import POSITION_BITS, Piece
from slimpajama.dedup.cluster import read_clusters
from slimpajama.engine.heartbeat import beat

__all__ = ["VERSION", "SliceItem", "slice_clusters", "spans_of"]

VERSION = 2


@dataclass(frozen=True, slots=True)
class SliceItem:
    """The clusters file, and for each piece the ranges ``[low, high)`` of ids it may hold."""

    clusters_file: Path
    spans: tuple[tuple[tuple[int, int], ...], ...]


def spans_of(piece: Piece) -> tuple[tuple[int, int], ...]:
    """The ranges of ids of a piece, one for each of its shards."""
    stop = 1 << POSITION_BITS if piece.stop is None else piece.stop
    firsts = [shard.index << POSITION_BITS for shard in piece.shards]
    return tuple((first + piece.start, min(first + stop, (1 << 64) - 1)) for first in firsts)


def slice_clusters(item: SliceItem) -> dict[str, Any]:
    """``digests``: for each piece, of what the clusters say of its documents."""
    digests = []
    for spans in item.spans:
        beat()
        digest = hashlib.blake2b(digest_size=16)
        clusters = read_clusters(item.clusters_file, spans)
        for column in (clusters.ids, clusters.global_roots, clusters.local_roots, clusters.local_alone):
            digest.update(column.view(np.uint8).data)
        digests.append(digest.hexdigest())
    return {"digests": digests}
