"""A band of a signature as one 64-bit key: 72 bytes a document instead of 512.

Among a billion documents about 0.02 pairs per band agree in their key by accident, of some 10^17 pairs. Rejected: the
band itself as a key, as published (the 1.4 TB of that run).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel

__all__ = ["band_keys"]


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
