"""Where the pieces of a stream lie: what packing and provenance ask of a stream beside its tokens.

Plain arrays. Rejected: the rows of the store themselves, whose places depend on the order of the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PieceSpans"]


@dataclass(frozen=True, slots=True)
class PieceSpans:
    """Successive pieces of an epoch. ``starts``, ``lengths`` ``int64[n]``: in tokens, from the front of the epoch.
    ``ids`` ``uint64[n]``: of their documents. ``first``, ``ends`` ``bool[n]``: whether the document begins with the
    piece, and whether it ends with it."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    ids: NDArray[np.uint64]
    first: NDArray[np.bool_]
    ends: NDArray[np.bool_]

    def since(self, start: int) -> PieceSpans:
        """Those that begin at ``start`` or later."""
        skip = int(np.searchsorted(self.starts, start))
        return PieceSpans(
            self.starts[skip:], self.lengths[skip:], self.ids[skip:], self.first[skip:], self.ends[skip:]
        )
