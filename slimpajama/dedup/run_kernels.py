"""Importing this module makes the kernels that look for runs of words ready; only runs that need them import it."""

from __future__ import annotations

import numpy as np

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.run_table import RunEntries, RunTable
from slimpajama.engine.kernels import compilation_announced
from slimpajama.text.word_runs import run_hashes

__all__: list[str] = []

with compilation_announced(__name__):
    _texts = Texts.of(["any text"])
    _hashes = run_hashes(_texts.data, _texts.starts, _texts.stops, 2).hashes
    _zero = np.zeros(1, dtype=np.int64)
    _table = RunTable(RunEntries(_hashes, _hashes, _zero, _zero + 2, _zero), 2)
    _table.find(_texts)
    _table.words(_texts.data).hashes(2)
