"""13-character shingles as 32-bit hashes, about a billion a second.

A shingle is 13 successive code points of the cleaned text (``nltk.ngrams(text, 13)`` over a string in the published
code). Its hash is the upper half of a polynomial of the code points modulo 2^64. The polynomial of 13 is put
together from those of 2, 4 and 8, which are shared by neighbours: five multiplications per shingle and no chain
from one to the next, so it runs on vector units; a rolling hash needs two but waits for each, and measured a
third of this speed. Work goes in blocks whose scratch stays in the first-level cache. Rejected: SHA-1 per shingle as
published (a thousand times slower), and dropping repeated shingles (a minimum does not mind them).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.text.cleaning import clean_code_points

__all__ = ["BLOCK", "SHINGLE_CHARACTERS", "hash_block", "hash_code_points", "shingle_hashes"]

SHINGLE_CHARACTERS = 13
BLOCK = 2048
"""Shingles hashed at a time: 2048 x (8 + 8 + 4) bytes of scratch fit a 48 KiB first-level cache."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
_BASE_2 = np.uint64(pow(0x9E3779B97F4A7C15, 2, 1 << 64))
_BASE_4 = np.uint64(pow(0x9E3779B97F4A7C15, 4, 1 << 64))
_HALF = np.uint64(32)


@kernel
def hash_block(
    points: NDArray[np.uint32],
    pairs: NDArray[np.uint64],
    fours: NDArray[np.uint64],
    hashes: NDArray[np.uint32],
) -> None:
    """Hash the shingles of ``points`` ``uint32[m + 12]`` into ``hashes`` ``uint32[m]``, m <= ``BLOCK``.

    ``pairs`` and ``fours`` are scratch, ``uint64[m + 12]``.
    """
    count = hashes.shape[0]
    two = pairs[: count + 11]
    for i in range(two.shape[0]):
        two[i] = np.uint64(points[i]) * _BASE + np.uint64(points[i + 1])
    four = fours[: count + 9]
    for i in range(four.shape[0]):
        four[i] = two[i] * _BASE_2 + two[i + 2]
    for i in range(count):
        eight = four[i] * _BASE_4 + four[i + 4]
        # Multiplied once more, so that the last code point too reaches the half that is kept.
        whole = ((eight * _BASE_4 + four[i + 8]) * _BASE + np.uint64(points[i + 12])) * _BASE
        hashes[i] = np.uint32(whole >> _HALF)


@kernel
def hash_code_points(points: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The hashes of all shingles of ``points`` ``uint32[n]``, in order: ``uint32[max(0, n - 12)]``."""
    count = max(0, points.shape[0] - 12)
    hashes = np.empty(count, dtype=np.uint32)
    pairs = np.empty(BLOCK + 12, dtype=np.uint64)
    fours = np.empty(BLOCK + 12, dtype=np.uint64)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        hash_block(points[start : stop + 12], pairs, fours, hashes[start:stop])
    return hashes


def shingle_hashes(text: str) -> NDArray[np.uint32]:
    """The 32-bit hashes of the 13-character shingles of ``clean(text)``, in order, with repeats.

    ``uint32[len(clean(text)) - 12]``, empty when the cleaned text is shorter than 13 characters. The values are
    part of the signature format: they do not change between versions.
    """
    hashes: NDArray[np.uint32] = hash_code_points(clean_code_points(text))
    return hashes
