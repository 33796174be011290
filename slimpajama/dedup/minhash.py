"""MinHash signatures, bit for bit those of ``datasketch.MinHash(scheme="affine32")``, 250 million shingles a second.

A signature holds, for each of ``num_perm`` bijections ``a * fmix32(h) + b mod 2^32``, the least value over a document's
shingle hashes h. The loop over permutations is outside and runs over a block of mixed hashes that stays in the
first-level cache; slices, not signed offsets, let LLVM use full vectors. One permutation for
all values is a method of its own (:mod:`slimpajama.dedup.one_permutation`), as its signatures do not open in
datasketch. Rejected: 64-bit Mersenne arithmetic (datasketch's "legacy" scheme: 20 times slower and biased).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.errors import ConfigError
from slimpajama.text.cleaning import Cleaning
from slimpajama.text.shingles import (
    BLOCK,
    SHINGLE_CHARACTERS,
    Unit,
    check_length,
    hash_block,
    shingle_scratch,
    units_of,
)

__all__ = ["EMPTY", "minhash", "permutations", "signature"]

LANES = 64
"""Hashes that one iteration of the vectorised inner loop takes on the widest machines; divides ``BLOCK``."""

EMPTY = np.uint32(0xFFFFFFFF)
"""Every value of the signature of a document without shingles."""


@functools.lru_cache(maxsize=8)
def permutations(num_perm: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The multipliers (odd) and addends of datasketch 2's affine32 scheme, each ``uint32[num_perm]``."""
    if not 1 <= num_perm <= 65_536:
        raise ConfigError(f"num_perm is {num_perm}; it must lie between 1 and 65,536")
    if not 0 <= seed < 1 << 32:
        raise ConfigError(f"seed is {seed}; it must lie between 0 and 4,294,967,295")
    generator = np.random.RandomState(seed)
    multipliers = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    addends = generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return multipliers, addends


@kernel
def minhash(
    units: NDArray[np.uint32],
    length: int,
    multipliers: NDArray[np.uint32],
    addends: NDArray[np.uint32],
    scratch: NDArray[np.uint64],
    mixed: NDArray[np.uint32],
    least: NDArray[np.uint32],
) -> None:
    """Fill ``least`` ``uint32[k]`` with the signature of the shingles of ``length`` of ``units`` ``uint32[n]``.

    ``scratch`` is ``shingle_scratch()``, ``mixed`` is ``uint32[BLOCK]``.
    """
    least[:] = EMPTY
    count = units.shape[0] - length + 1
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        block = mixed[:size]
        hash_block(units[start : start + size + length - 1], length, scratch, block)
        for i in range(block.shape[0]):  # MurmurHash3's 32-bit finaliser, as datasketch applies before permuting
            value = block[i]
            value ^= value >> np.uint32(16)
            value = np.uint32(value * np.uint32(0x85EBCA6B))
            value ^= value >> np.uint32(13)
            value = np.uint32(value * np.uint32(0xC2B2AE35))
            value ^= value >> np.uint32(16)
            block[i] = value
        # Repeats do not change a minimum: whole vectors leave nothing to a scalar loop, which costs short texts half.
        padded = -(-size // LANES) * LANES
        mixed[size:padded] = block[0]
        block = mixed[:padded]
        for permutation in range(least.shape[0]):
            multiplier = multipliers[permutation]
            addend = addends[permutation]
            smallest = least[permutation]
            for i in range(block.shape[0]):
                smallest = min(smallest, np.uint32(multiplier * block[i] + addend))
            least[permutation] = smallest


def signature(
    text: str,
    num_perm: int = 128,
    seed: int = 1,
    *,
    unit: Unit = "character",
    length: int = SHINGLE_CHARACTERS,
    cleaning: Cleaning = "slimpajama",
) -> NDArray[np.uint32]:
    """The MinHash signature of ``text``: ``uint32[num_perm]``.

    Equal to ``datasketch.MinHash(num_perm, seed, scheme="affine32", hashfunc=int).hashvalues`` after an update with
    each of ``shingle_hashes(text)``, so it opens there by ``MinHash(hashvalues=..., scheme="affine32")``. ``unit``,
    ``length`` and ``cleaning`` are those of :func:`~slimpajama.shingle_hashes`. A text of fewer cleaned characters or
    words than ``length`` has no shingles: all values are 2^32 - 1, and it must not be compared.
    """
    check_length(length)
    multipliers, addends = permutations(num_perm, seed)
    least = np.empty(num_perm, dtype=np.uint32)
    units = units_of(text, unit, cleaning)
    minhash(units, length, multipliers, addends, shingle_scratch(), np.empty(BLOCK, np.uint32), least)
    return least
