"""Shingles as 32-bit hashes, of characters or words and of any length from 3 to 64, about a billion a second.

A shingle is a run of successive units of the cleaned text: code points (``nltk.ngrams(text, 13)`` over a string in the
published code), or words as 32-bit numbers (:mod:`slimpajama.text.words`). Its hash is the upper half of a polynomial
of the units modulo 2^64. That is put together from the polynomials of 2, 4, 8, … units, which neighbours share: for 13
characters six multiplications per shingle and no chain from one to the next, so it runs on vector units; a rolling hash
needs two but waits for each, and measured a third of this speed. Work goes in blocks whose scratch stays in the
innermost caches. Rejected: SHA-1 per shingle as published (a thousand times slower), a kernel for each length (one for
all takes no longer for 13), and dropping repeated shingles (a minimum does not mind them).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.errors import ConfigError
from slimpajama.text.cleaning import Cleaning, clean_code_points
from slimpajama.text.words import WORD_CLASSES, words_as_units

__all__ = [
    "BLOCK",
    "LONGEST",
    "SHINGLE_CHARACTERS",
    "SHORTEST",
    "Unit",
    "check_length",
    "hash_block",
    "hash_units",
    "shingle_hashes",
    "shingle_scratch",
    "units_of",
]

SHINGLE_CHARACTERS = 13
SHORTEST, LONGEST = 3, 64
Unit = Literal["character", "word"]
BLOCK = 2048
"""Shingles hashed at a time: 2048 x (3 x 8 + 4) bytes of scratch stay in the two innermost caches."""

_BASE = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


def shingle_scratch() -> NDArray[np.uint64]:
    """Room for :func:`hash_block`, for shingles of any length."""
    return np.empty((3, BLOCK + LONGEST), dtype=np.uint64)


@kernel
def hash_block(
    units: NDArray[np.uint32],
    length: int,
    scratch: NDArray[np.uint64],
    hashes: NDArray[np.uint32],
) -> None:
    """Hash the shingles of ``units`` ``uint32[m + length - 1]`` into ``hashes`` ``uint32[m]``, m <= ``BLOCK``.

    ``scratch`` is :func:`shingle_scratch`.
    """
    low, high = scratch[0], scratch[1]
    # here[i]: polynomial of ``width`` units from number i on; whole[i]: of the first ``done`` ones.
    here = low[: hashes.shape[0] + length - 2]
    for i in range(here.shape[0]):
        here[i] = np.uint64(units[i]) * _BASE + np.uint64(units[i + 1])
    whole = scratch[2, : hashes.shape[0]]
    done = length & 1
    width = 2
    power = _BASE * _BASE
    while True:
        if length & width:
            ahead = here[done:]
            if done == 0:
                for i in range(whole.shape[0]):
                    whole[i] = ahead[i]
            elif done == 1:
                for i in range(whole.shape[0]):
                    whole[i] = np.uint64(units[i]) * power + ahead[i]
            else:
                for i in range(whole.shape[0]):
                    whole[i] = whole[i] * power + ahead[i]
            done += width
            if done == length:
                break
        ahead = here[width:]
        there = high[: ahead.shape[0]]
        for i in range(there.shape[0]):
            there[i] = here[i] * power + ahead[i]
        low, high = high, low
        here = there
        power *= power
        width *= 2
    for i in range(hashes.shape[0]):
        # Multiplied once more, so that the last unit too reaches the half that is kept.
        hashes[i] = np.uint32((whole[i] * _BASE) >> _HALF)


@kernel
def _hash_blocks(
    units: NDArray[np.uint32], length: int, scratch: NDArray[np.uint64], hashes: NDArray[np.uint32]
) -> None:
    for start in range(0, hashes.shape[0], BLOCK):
        stop = min(start + BLOCK, hashes.shape[0])
        hash_block(units[start : stop + length - 1], length, scratch, hashes[start:stop])


def hash_units(units: NDArray[np.uint32], length: int, scratch: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The hashes of all shingles of ``units`` ``uint32[n]``, in order: ``uint32[max(0, n - length + 1)]``."""
    hashes = np.empty(max(0, units.shape[0] - length + 1), dtype=np.uint32)
    _hash_blocks(units, length, scratch, hashes)
    return hashes


def units_of(text: str, unit: Unit = "character", cleaning: Cleaning = "slimpajama") -> NDArray[np.uint32]:
    """What shingles of ``text`` are made of: its cleaned code points, or a number for each word of them."""
    points = clean_code_points(text, cleaning)
    return points if unit == "character" else points[: words_as_units(points, WORD_CLASSES)]


def shingle_hashes(
    text: str,
    *,
    unit: Unit = "character",
    length: int = SHINGLE_CHARACTERS,
    cleaning: Cleaning = "slimpajama",
) -> NDArray[np.uint32]:
    """The 32-bit hashes of the shingles of the cleaned text, in order, with repeats.

    ``uint32[max(0, n - length + 1)]`` for n characters or words of ``clean(text, cleaning)``. The values are part of
    the signature format: they do not change between versions. ``unit``, ``length`` and ``cleaning`` are those of the
    settings ``shingle`` and ``cleaning``. Raises :class:`ConfigError` for a length that is not between 3 and 64.
    """
    check_length(length)
    return hash_units(units_of(text, unit, cleaning), length, shingle_scratch())


def check_length(length: int) -> None:
    """Raise :class:`ConfigError` for a length that shingles cannot have."""
    if not SHORTEST <= length <= LONGEST:
        raise ConfigError(f"shingles of {length} units are asked for; the length must lie between 3 and 64")
