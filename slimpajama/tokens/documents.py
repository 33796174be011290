"""What the mixture stages read: batches of deduplicated documents of one source.

A batch is whatever part of a source fits comfortably in memory (a few thousand documents, some megabytes); nothing
depends on where one batch ends and the next begins. Rejected: one object per document, which costs more than
tokenising a short one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts

__all__ = ["DocumentBatch"]


@dataclass(frozen=True, slots=True)
class DocumentBatch:
    """n documents of one source, each kept in one scope at least.

    ``ids``: ``uint64[n]``, ``shard << 40 | position``. ``texts``: n normalised texts. ``kept_global``, ``kept_local``:
    ``bool[n]``, kept by that deduplication. ``clusters``: ``uint64[n]``, the id of the survivor of the document's
    global cluster, which is its own id where it is alone or survives. ``duplicates_global``, ``duplicates_local``:
    ``int64[n]``, documents in its cluster, itself among them, 0 where that scope does not keep it. ``metadata``: for
    each document what lies at the path of each column, none where there are no columns.
    """

    ids: NDArray[np.uint64]
    texts: Texts
    kept_global: NDArray[np.bool_]
    kept_local: NDArray[np.bool_]
    clusters: NDArray[np.uint64]
    duplicates_global: NDArray[np.int64]
    duplicates_local: NDArray[np.int64]
    metadata: Sequence[tuple[Any, ...]] = ()
