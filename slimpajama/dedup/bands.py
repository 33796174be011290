"""Bands and rows: from a threshold to their numbers, from them to the chance of catching a pair, and to band keys.

Two documents of Jaccard similarity s agree in all r rows of one of b bands with probability 1 - (1 - s^r)^b, and are
then linked; nothing else decides. The published 9 x 13 catches 40 % of the pairs at s = 0.8 and 93 % at 0.9: the
"threshold" of 0.8 is the value that datasketch's optimiser was given, not a line that anything is held to. A band is
kept as one 64-bit hash of its rows (72 bytes a document instead of 512); among a billion documents about 0.02 pairs
per band agree in it by accident.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slimpajama.compilation import kernel
from slimpajama.config import Config
from slimpajama.errors import ConfigError

__all__ = [
    "PUBLISHED_BANDS",
    "PUBLISHED_ROWS",
    "band_keys",
    "banding",
    "catch_probability",
    "optimal_banding",
]

PUBLISHED_BANDS = 9
PUBLISHED_ROWS = 13


def catch_probability(similarity: float, bands: int, rows: int) -> float:
    """The chance that a pair of this Jaccard similarity shares a band: ``1 - (1 - s^rows)^bands``."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def optimal_banding(threshold: float, num_perm: int) -> tuple[int, int]:
    """``(bands, rows)`` of least summed false-positive and false-negative area, as datasketch chooses them.

    Raises :class:`ConfigError` where it finds none.
    """
    from datasketch import MinHashLSH

    try:
        index = MinHashLSH(threshold=threshold, num_perm=num_perm)
    except ValueError as fault:
        raise ConfigError(
            f"no bands and rows fit threshold {threshold} with {num_perm} permutations ({fault}); "
            "lower the threshold, raise num_perm, or give bands and rows"
        ) from fault
    return int(index.b), int(index.r)


def banding(config: Config) -> tuple[int, int]:
    """The ``(bands, rows)`` a config asks for, directly, by its threshold, or by saying nothing."""
    if config.threshold is not None:
        return optimal_banding(config.threshold, config.num_perm)
    return config.bands or PUBLISHED_BANDS, config.rows or PUBLISHED_ROWS


@kernel
def band_keys(signature: NDArray[np.uint32], rows: int, keys: NDArray[np.uint64]) -> None:
    """Hash each run of ``rows`` values of ``signature`` ``uint32[>= bands * rows]`` to ``keys`` ``uint64[bands]``."""
    for band in range(keys.shape[0]):
        key = np.uint64(0x9E3779B97F4A7C15)
        for row in range(rows):
            key ^= np.uint64(signature[band * rows + row])
            key *= np.uint64(0xD6E8FEB86659FD93)
            key ^= key >> np.uint64(32)
        key *= np.uint64(0xD6E8FEB86659FD93)
        keys[band] = key ^ (key >> np.uint64(32))
