"""What a stage takes for a run, a piece, a document, and a byte of text, from four small corpora.

One corpus is a piece of one document, one is several such pieces, one is documents of a few words, one is text: a
sample of the input. That is four equations for four rates, of which none is negative: where what was measured is so
uncertain that one would be, those rates are taken that come nearest. Rejected: scaling all that a sample takes by its
text or documents, which multiplies what each shard costs by the documents in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Observed", "Rates", "rates_of"]


@dataclass(frozen=True, slots=True)
class Observed:
    """A deduplication of ``pieces`` that hold so many ``documents`` and bytes of ``text``: ``seconds`` by stage."""

    pieces: int
    documents: int
    text: int
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds of one stage: ``once`` a run, and for each ``piece``, ``document`` and byte of ``text``."""

    once: float
    piece: float
    document: float
    text: float

    def seconds(self, pieces: int, documents: int, text: int) -> float:
        """Of a run."""
        return self.once + self.piece * pieces + self.document * documents + self.text * text


def rates_of(stage: str, corpora: Sequence[Observed], *, by_text: bool = True) -> Rates:
    """The rates of a stage that took no time where it did not run. ``by_text``: whether text may cost anything."""
    seconds = np.array([one.seconds.get(stage, 0.0) for one in corpora])
    amounts = np.array([[1, one.pieces, one.documents, one.text] for one in corpora], dtype=np.float64)
    # A second more or less in a corpus that takes long says less than one in a small corpus.
    weights = 1 / np.maximum(seconds, 1e-3)
    scale = amounts.max(axis=0)
    best, nearest = np.zeros(4), float("inf")
    columns = 4 if by_text else 3
    for size in range(columns, 0, -1):
        for told in map(list, itertools.combinations(range(columns), size)):
            rates = np.zeros(4)
            system = (amounts[:, told] / scale[told]) * weights[:, None]
            rates[told] = np.linalg.lstsq(system, seconds * weights, rcond=None)[0] / scale[told]
            distance = float(np.linalg.norm((amounts @ rates - seconds) * weights))
            if (rates * scale >= -1e-9).all() and distance < nearest - 1e-9:
                best, nearest = np.maximum(rates, 0.0), distance
    return Rates(*best.tolist())
