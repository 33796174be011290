"""Precedence: which of several documents stays, as columns to sort by.

Documents of an earlier run come before all others, in the order of their ids. Then count the keys of the setting
``prefer`` in their order: the number of the source, which follows from the id, and the ranks that the rows hold; then
the id. Ids follow the order of sources too, so for the default, ``source`` alone, the id is all that is needed.

To sort documents: ``order = precedence.order(ids, ranks)``; ``ids[order]`` is from the one that is preferred to the
last. To take the first of each of many clusters in one go: ``np.lexsort((*reversed(precedence.columns(ids, ranks)),
cluster))``, of which the first of each run of equal clusters stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.preference import preference
from slimpajama.corpus.discovery import POSITION_BITS
from slimpajama.dedup.source_ids import SourceRanges

__all__ = ["RANK", "Precedence"]

RANK = "rank_"
"""Of a column of a rows file, before its number."""


@dataclass(frozen=True, slots=True)
class Precedence:
    """``prefer``: the setting. ``sources``: of the run. ``first_shard``: those before it are of an earlier run."""

    prefer: tuple[str, ...]
    sources: SourceRanges
    first_shard: int = 0

    @property
    def ranks(self) -> int:
        """How many columns of ranks a row has."""
        return sum(preference(key).kind != "source" for key in self.prefer)

    @property
    def rank_columns(self) -> list[str]:
        """The names of these columns in a rows file of this run; those of an earlier run may not have them."""
        return [f"{RANK}{number}" for number in range(self.ranks)]

    def columns(self, ids: NDArray[np.uint64], ranks: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
        """What documents are sorted by, the most important first and the ids last: each ``uint64[n]``, smaller first.

        ``ranks`` ``uint64[n, self.ranks]``: of each document; those of documents of an earlier run do not matter.
        """
        if not self.ranks:
            return [ids]
        own = ids >= np.uint64(self.first_shard << POSITION_BITS)
        columns = [own.astype(np.uint64)] if self.first_shard else []
        column = 0
        for key in self.prefer:
            if preference(key).kind == "source":
                values = self.sources.reported_of(ids).astype(np.uint64)
            else:
                values, column = ranks[:, column], column + 1
            columns.append(np.where(own, values, np.uint64(0)))
        return [*columns, ids]

    @property
    def first_own(self) -> int:
        """The first id that is not of an earlier run."""
        return self.first_shard << POSITION_BITS

    def places(self, ids: NDArray[np.uint64], ranks: NDArray[np.uint64]) -> NDArray[np.int64] | None:
        """``int64[n]``: where each document comes in :meth:`order`; ``None`` where that is the order of ids."""
        if not self.ranks:
            return None
        places = np.empty(ids.size, dtype=np.int64)
        places[self.order(ids, ranks)] = np.arange(ids.size)
        return places

    def order(self, ids: NDArray[np.uint64], ranks: NDArray[np.uint64]) -> NDArray[np.int64]:
        """``int64[n]``: the places of the documents, from the one that is preferred to the last."""
        return np.lexsort(tuple(reversed(self.columns(ids, ranks))))
