"""Contents: documents told apart by a 128-bit hash of their normalised text, whatever their ids are.

Two documents of equal text have one content, in whatever shard or source they lie; so what is drawn by content stays
drawn when a corpus grows, and a training document that reads like a held-out one, to the byte, is found. Contents are
compared as pairs of 64-bit numbers, sorted by the first: 24 bytes of memory per held-out document and about 20 M
lookups/s. Rejected: comparing 64 bits, which among a billion documents and a million held-out ones would meet by
chance once in 20,000 runs; and a Python set, at ten times the memory.
"""

from __future__ import annotations

import numpy as np
import xxhash
from numpy.typing import NDArray

__all__ = ["is_among", "place_among", "sorted_contents", "text_hashes"]


def text_hashes(documents: list[bytes]) -> NDArray[np.uint64]:
    """``uint64[n, 2]``: a 128-bit hash of each of n UTF-8 texts.

    xxh3, as nobody gains by two texts of one hash: the one in train would be left out. blake2b took a sixth of the
    stage.
    """
    digests = b"".join(map(xxhash.xxh3_128_digest, documents))
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2).astype(np.uint64)


def sorted_contents(contents: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``uint64[h, 2]`` contents in the order that :func:`place_among` needs, each once."""
    return np.unique(contents, axis=0)


def place_among(contents: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """``int64[n]``: where each of ``uint64[n, 2]`` contents is in ``known``, ``uint64[h, 2]`` sorted; else -1."""
    found = np.full(contents.shape[0], -1, dtype=np.int64)
    firsts = np.ascontiguousarray(known[:, 0])
    places = np.searchsorted(firsts, contents[:, 0])
    pending = np.arange(contents.shape[0])
    # Contents with equal first halves stand side by side: one step each, and nearly always only one step.
    while pending.size:
        pending = pending[places[pending] < firsts.size]
        pending = pending[firsts[places[pending]] == contents[pending, 0]]
        equal = known[places[pending], 1] == contents[pending, 1]
        found[pending[equal]] = places[pending[equal]]
        pending = pending[~equal]
        places[pending] += 1
    return found


def is_among(contents: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """``bool[n]``: which of ``uint64[n, 2]`` contents are among ``known``, ``uint64[h, 2]`` sorted."""
    among: NDArray[np.bool_] = place_among(contents, known) >= 0
    return among
