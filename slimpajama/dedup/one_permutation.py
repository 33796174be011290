"""A cheaper signature: one permutation of all shingles, and the least value of each of its bins.

A signature of k values by k permutations looks at every shingle k times. Here each shingle is permuted once; the upper
part of the result says which of k equal bins it falls into, and each bin keeps its least value. That is one update a
shingle for any k: 128 and 256 bins take about the same time, and less than half of that of 112 permutations. A bin
without a shingle takes the least value of a permutation of its own, as in MinHash. So the chance that two documents
agree in a value is exactly their Jaccard similarity: whichever way a bin of their union is filled, its least shingle is
any shingle of the union with equal chance, and they agree where it is in both. Documents of fewer than about 5 k
shingles have such bins; for these a bin costs a multiplication a shingle, as MinHash does. Rejected: filling empty bins
with copies of others ("optimal densification"), which ties values of short documents to each other, and further rounds
of bins ("fast similarity sketching"), which look at all shingles again for each round: neither is faster or finds more
(docs/decisions.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.minhash import EMPTY, LANES, permutations
from slimpajama.engine.kernels import kernel
from slimpajama.text.cleaning import Cleaning
from slimpajama.text.shingles import BLOCK, SHINGLE_CHARACTERS, Unit, hash_block, shingle_scratch, units_of

__all__ = ["bin_minima", "one_permutation"]


@kernel
def one_permutation(
    units: NDArray[np.uint32],
    length: int,
    multipliers: NDArray[np.uint32],
    addends: NDArray[np.uint32],
    scratch: NDArray[np.uint64],
    mixed: NDArray[np.uint32],
    empty: NDArray[np.int64],
    least: NDArray[np.uint32],
) -> None:
    """Fill ``least`` ``uint32[k]`` with the signature of the shingles of ``length`` of ``units`` ``uint32[n]``.

    ``multipliers`` and ``addends`` ``uint32[k]`` are k permutations, of which the first is that of all shingles.
    ``scratch`` is ``shingle_scratch()``; ``mixed`` is ``uint32[BLOCK]`` and ``empty`` ``int64[k]``, for scratch.
    """
    least[:] = EMPTY
    bins = np.uint64(least.shape[0])
    count = units.shape[0] - length + 1
    for start in range(0, count, BLOCK):
        block = mixed[: min(BLOCK, count - start)]
        permute_block(units[start : start + block.shape[0] + length - 1], length, multipliers, addends, scratch, block)
        for i in range(block.shape[0]):
            value = block[i]
            at = (np.uint64(value) * bins) >> np.uint64(32)
            least[at] = min(least[at], value)  # without a branch: which values are new minima cannot be foreseen
    found = 0
    for at in range(least.shape[0]):
        if least[at] == EMPTY:
            empty[found] = at
            found += 1
    if found:
        fill_bins(units, length, multipliers, addends, scratch, mixed, empty[:found], least)


@kernel
def permute_block(
    units: NDArray[np.uint32],
    length: int,
    multipliers: NDArray[np.uint32],
    addends: NDArray[np.uint32],
    scratch: NDArray[np.uint64],
    block: NDArray[np.uint32],
) -> None:
    """The permuted hashes of the shingles of ``units`` ``uint32[m + length - 1]``, into ``block`` ``uint32[m]``."""
    hash_block(units, length, scratch, block)
    multiplier, addend = multipliers[0], addends[0]
    for i in range(block.shape[0]):  # MurmurHash3's 32-bit finaliser, behind a bijection that the seed chooses
        value = np.uint32(multiplier * block[i] + addend)
        value ^= value >> np.uint32(16)
        value = np.uint32(value * np.uint32(0x85EBCA6B))
        value ^= value >> np.uint32(13)
        value = np.uint32(value * np.uint32(0xC2B2AE35))
        value ^= value >> np.uint32(16)
        block[i] = value


@kernel
def fill_bins(
    units: NDArray[np.uint32],
    length: int,
    multipliers: NDArray[np.uint32],
    addends: NDArray[np.uint32],
    scratch: NDArray[np.uint64],
    mixed: NDArray[np.uint32],
    empty: NDArray[np.int64],
    least: NDArray[np.uint32],
) -> None:
    """Give each of the bins ``empty`` the least value of its own permutation over all shingles."""
    count = units.shape[0] - length + 1
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        if count > BLOCK:  # else they are in ``mixed`` still
            permute_block(units[start : start + size + length - 1], length, multipliers, addends, scratch, mixed[:size])
        padded = -(-size // LANES) * LANES  # repeats do not change a minimum, and leave whole vectors
        mixed[size:padded] = mixed[0]
        block = mixed[:padded]
        for number in range(empty.shape[0]):
            at = empty[number]
            multiplier = multipliers[at]
            addend = addends[at]
            smallest = least[at]
            for i in range(block.shape[0]):
                smallest = min(smallest, np.uint32(multiplier * block[i] + addend))
            least[at] = smallest


def bin_minima(
    text: str,
    bins: int,
    seed: int,
    *,
    unit: Unit = "character",
    length: int = SHINGLE_CHARACTERS,
    cleaning: Cleaning = "slimpajama",
) -> NDArray[np.uint32]:
    """The signature of ``text``: ``uint32[bins]``.

    A text without shingles has 2^32 - 1 in each place, and must not be compared.
    """
    multipliers, addends = permutations(bins, seed)
    least, empty = np.empty(bins, dtype=np.uint32), np.empty(bins, dtype=np.int64)
    units = units_of(text, unit, cleaning)
    scratch, mixed = shingle_scratch(), np.empty(BLOCK, dtype=np.uint32)
    one_permutation(units, length, multipliers, addends, scratch, mixed, empty, least)
    return least
