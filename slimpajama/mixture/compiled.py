"""Importing this module makes the kernels of building mixtures ready: loaded from numba's cache, or compiled."""

from __future__ import annotations

import numpy as np

import slimpajama.tokens.compiled  # noqa: F401  # reading the store needs its kernels
from slimpajama.engine.kernels import compilation_announced
from slimpajama.mixture.best_fit import copy_chunks, fit

__all__: list[str] = []

_one, _token = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.uint32)
with compilation_announced(__name__):
    fit(_one, 2)
    copy_chunks(_token, 0 * _one, _one, 0 * _one, _token.copy())
