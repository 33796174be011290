"""What a selection takes of each bucket of a source, counted from the rows of its pieces.

The index of a store says what each scope keeps; what a range of duplicates or repeats come to is counted here, once
when a mixture is planned, and handed to the workers. Costs reading the rows of a source: 59 bytes a piece. What was
counted is kept for this process, as a swarm of recipes asks for the same parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from slimpajama.storage.npy import map_array
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.pieces import begins
from slimpajama.tokens.reading_store import reading_store
from slimpajama.tokens.selection import Selection

__all__ = ["SelectedSizes", "selected_sizes"]


_KEPT = 4096
"""Selections whose sizes are remembered."""


@dataclass(frozen=True, slots=True)
class SelectedSizes:
    """By bucket, the ``tokens`` of an epoch; in all, the ``documents``, each time they come, and the ``distinct``
    tokens, each once."""

    tokens: tuple[int, ...]
    documents: int
    distinct: int


@lru_cache(maxsize=_KEPT)
def selected_sizes(
    layout: StoreLayout, fingerprint: str, source: str, split: str, buckets: int, selection: Selection
) -> SelectedSizes:
    """Count the pieces of a source's split that ``selection`` takes. ``fingerprint``: of the store.

    Raises :class:`InputError` for a broken store.
    """
    tokens: list[int] = []
    documents = distinct = 0
    for number in range(buckets):
        with reading_store():
            rows = map_array(layout.bucket(source, split, number).documents)
        chosen = selection.chosen(rows)
        places, first = chosen.places, slice(None) if chosen.copies is None else chosen.copies == 0
        lengths = rows["tokens"].astype(np.int64)
        tokens.append(int(lengths[places].sum()))
        distinct += int(lengths[places[first]].sum())
        documents += int(begins(rows)[places].sum())
    return SelectedSizes(tuple(tokens), documents, distinct)
