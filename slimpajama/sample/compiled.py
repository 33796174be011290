"""Importing this module makes the kernels that write the sample ready: loaded from numba's cache, or compiled."""

from __future__ import annotations

from slimpajama.engine.kernels import compilation_announced
from slimpajama.sample.jaccard import jaccard
from slimpajama.sample.roles import Document, SampleSpec
from slimpajama.sample.texts import text_of

__all__: list[str] = []

with compilation_announced(__name__):
    _text = text_of(SampleSpec(seed=1, docs=5000), Document(kind=1, index=0, length=2000, short=False, odd=False))
    jaccard(_text, _text[1000:])
