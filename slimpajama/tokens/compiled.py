"""Importing this module makes the kernels of the mixture stages ready: loaded from numba's cache, or compiled."""

from __future__ import annotations

import numpy as np

from slimpajama.corpus.reading_kernels import read_one_line
from slimpajama.engine.kernels import compilation_announced
from slimpajama.tokens.run_files import copy_documents

__all__: list[str] = []

_starts, _lengths = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
with compilation_announced(__name__):
    read_one_line()
    for _stored in (np.uint16, np.uint32):
        _tokens = np.zeros(1, dtype=_stored)
        for _read in {_stored, np.uint32}:
            copy_documents(_tokens, _starts, _lengths, np.zeros(1, dtype=_read))
