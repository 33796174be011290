"""What is held out: which documents are validation and test, and what may not be in train because of them.

Two tables. ``holdout.npy`` of a finished store lists the held-out contents with their splits, so that a later store can
take them over. While a store is made, the draw's table lists the clusters that are not for train. The survivor of a
held-out cluster goes to its split, every other member goes nowhere, in either scope; a training document whose exact
text is held out is left out, too. Costs 48 bytes of memory for each cluster, and one lookup per row of the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import InputError
from slimpajama.storage.npy import map_array
from slimpajama.tokens.contents import is_among, sorted_contents

__all__ = [
    "DECONTAMINATED",
    "DRAWN",
    "EXCLUDED",
    "HELD_OUT",
    "LEFT_OUT",
    "NEAR_HELD_OUT",
    "RESERVE",
    "SPLITS",
    "STATES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Holdout",
    "cut_to_given",
    "load_holdout",
    "read_held_out",
]

STATES = ("train", "validation", "test", "reserve", "excluded", "decontaminated", "near_held_out")
"""What becomes of a document: it is in a split, or in none. ``reserve``: next to be held out when the corpus grows.
``excluded``: a near-duplicate of a document that is held out or in the reserve. ``decontaminated``: its text is held
out. ``near_held_out``: it shares much with a held-out text."""

SPLITS = STATES[:3]
LEFT_OUT = STATES[3:]
TRAIN, VALIDATION, TEST, RESERVE, EXCLUDED, DECONTAMINATED, NEAR_HELD_OUT = range(len(STATES))

HELD_OUT = np.dtype([("text", "<u8", (2,)), ("split", "u1"), ("tokens", "<u8")])
"""A row of ``holdout.npy``: a content, the index of its split, and how many of its tokens the split has."""

DRAWN = np.dtype([("cluster", "<u8"), ("text", "<u8", (2,)), ("state", "u1"), ("tokens", "<u8"), ("whole", "<u8")])
"""A row of the draw: a cluster and the content of its survivor; what becomes of it; how many tokens it gives, and how
many it has."""

_NONE = np.zeros((0, 2), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Holdout:
    """The clusters that are not for train, in ascending order.

    ``clusters``: ``uint64[h]``. ``states``: ``uint8[h]``, of their survivors. ``given``: ``int64[h]``, how many tokens
    of the survivor its split gets; ``whole``: ``int64[h]``, how many it has. ``contents``: ``uint64[c, 2]``, sorted, of
    those that are in a split.
    """

    clusters: NDArray[np.uint64]
    states: NDArray[np.uint8]
    given: NDArray[np.int64]
    whole: NDArray[np.int64]
    contents: NDArray[np.uint64]

    @classmethod
    def of(cls, drawn: NDArray[np.void]) -> Holdout:
        """The holdout of n rows ``DRAWN``, in any order."""
        drawn = drawn[np.argsort(drawn["cluster"], kind="stable")]
        states = np.ascontiguousarray(drawn["state"])
        held_out = (states == VALIDATION) | (states == TEST)
        return cls(
            np.ascontiguousarray(drawn["cluster"]),
            states,
            drawn["tokens"].astype(np.int64),
            drawn["whole"].astype(np.int64),
            sorted_contents(drawn["text"][held_out]),
        )

    def places(self, clusters: NDArray[np.uint64]) -> NDArray[np.int64]:
        """``int64[n]``: where each of ``uint64[n]`` clusters stands here; -1 where it does not."""
        if not self.clusters.size:
            return np.full(clusters.size, -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.clusters, clusters), self.clusters.size - 1)
        return np.where(self.clusters[places] == clusters, places, -1)

    def states_of(self, rows: NDArray[np.void], dropped: NDArray[np.uint64] = _NONE) -> NDArray[np.uint8]:
        """``uint8[n]``: what becomes of each of n rows of a run, as an index of ``STATES``.

        ``dropped``: ``uint64[d, 2]``, sorted: contents that share much with a held-out text.
        """
        places = self.places(rows["cluster"])
        found = np.flatnonzero(places >= 0)
        states = np.zeros(rows.size, dtype=np.uint8)
        survives = rows["cluster"][found] == rows["id"][found]
        states[found] = np.where(survives, self.states[places[found]], EXCLUDED)
        # In a published split, what is not the one document of its cluster and of its text is in no split.
        states[(rows["split"] != TRAIN) & (states == TRAIN)] = EXCLUDED
        for state, contents in ((DECONTAMINATED, self.contents), (NEAR_HELD_OUT, dropped)):
            if contents.size:
                training = np.flatnonzero(states == TRAIN)
                states[training[is_among(rows["text"][training], contents)]] = state
        return states


def cut_to_given(rows: NDArray[np.void], holdout: Holdout, piece_tokens: int) -> NDArray[np.void]:
    """The rows of held-out documents, each cut to what its document gives; those that give nothing are left out."""
    given = holdout.given[holdout.places(rows["cluster"])] - rows["piece"].astype(np.int64) * piece_tokens
    rows = rows[given > 0].copy()
    given = given[given > 0]
    rows["ends"] &= given >= rows["tokens"]
    rows["tokens"] = np.minimum(given, rows["tokens"])
    return rows


def load_holdout(path: Path) -> Holdout:
    """The holdout of the rows ``DRAWN`` in a file. Raises :class:`InputError` naming one that is no such file."""
    return Holdout.of(_rows(path, DRAWN))


def read_held_out(path: Path) -> NDArray[np.void]:
    """The rows ``HELD_OUT`` of a ``holdout.npy``, by content. Raises :class:`InputError` where it is none."""
    return _rows(path, HELD_OUT)


def _rows(path: Path, dtype: np.dtype[Any]) -> NDArray[np.void]:
    remedy = "give one that this version wrote, or remove it and run the same command again to make it anew"
    try:
        rows: NDArray[np.void] = map_array(path)
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot read the holdout {path}: {fault}; {remedy}") from fault
    if rows.dtype != dtype:
        raise InputError(f"{path} is no holdout, as it has other columns; {remedy}")
    return rows
