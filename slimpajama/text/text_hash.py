"""128 bits of a cleaned text, by which equal texts are found without comparing them.

Two lanes of 64 bits. In each, a block of 1024 code points becomes the sum of products of pairs, every code point with a
32-bit key of its own added first (the NH hash of UMAC), and blocks are chained by a multiplication and a shift; the
length is mixed in at the end. Products do not wait for each other, so the loop runs on vector units: about 0.2 ns a
code point. Two different texts agree by accident once in some 2^100 pairs. The keys are constants, so this is no
defence against collisions made on purpose: whoever knows them can construct two texts of equal hash. Rejected: a
polynomial modulo 2^64, on which Thue-Morse strings of any base collide, and a cryptographic hash, at ten times the
price.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel

__all__ = ["hash_text"]

_PAIRS = 512


def _keys() -> NDArray[np.uint32]:
    """Four rows of 31-bit numbers with the highest bit set, so that a sum with a code point is never 0: splitmix64."""
    state = np.arange(1, 4 * _PAIRS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    low = (state >> np.uint64(34)).astype(np.uint32)
    keys: NDArray[np.uint32] = (low | np.uint32(0x80000000)).reshape(4, _PAIRS)
    return keys


KEYS = _keys()
"""``uint32[4, 512]``, in [2^31, 2^31 + 2^30): of the first and the second of each pair, for each lane."""

_LOW = np.uint64(0xD6E8FEB86659FD93)
_HIGH = np.uint64(0xA0761D6478BD642F)
_SHIFT = np.uint64(32)


@kernel
def hash_text(points: NDArray[np.uint32], keys: NDArray[np.uint32], result: NDArray[np.uint64]) -> None:
    """Hash ``points`` into ``result`` ``uint64[2]``; ``keys`` are ``KEYS``.

    In a block of n code points, number i makes a pair with number i + ceil(n / 2); one without another pairs with 0.
    """
    low = np.uint64(0)
    high = np.uint64(0)
    size = points.shape[0]
    for start in range(0, size, 2 * _PAIRS):
        block = points[start : min(size, start + 2 * _PAIRS)]
        pairs = block.shape[0] >> 1
        half = (block.shape[0] + 1) >> 1
        left, right = block[:pairs], block[half:]
        first, second, third, fourth = keys[0, :pairs], keys[1, :pairs], keys[2, :pairs], keys[3, :pairs]
        one = np.uint64(0)
        two = np.uint64(0)
        for i in range(left.shape[0]):
            one += np.uint64(np.uint32(left[i] + first[i])) * np.uint64(np.uint32(right[i] + second[i]))
            two += np.uint64(np.uint32(left[i] + third[i])) * np.uint64(np.uint32(right[i] + fourth[i]))
        if half > pairs:
            one += np.uint64(np.uint32(block[pairs] + keys[0, pairs])) * np.uint64(keys[1, pairs])
            two += np.uint64(np.uint32(block[pairs] + keys[2, pairs])) * np.uint64(keys[3, pairs])
        low = (low ^ one) * _LOW
        low ^= low >> _SHIFT
        high = (high ^ two) * _HIGH
        high ^= high >> _SHIFT
    low = (low ^ np.uint64(size)) * _HIGH
    low = (low ^ (low >> _SHIFT)) * _LOW
    high = (high ^ np.uint64(size)) * _LOW
    high = (high ^ (high >> _SHIFT)) * _HIGH
    result[0] = low ^ (low >> _SHIFT)
    result[1] = high ^ (high >> _SHIFT)
