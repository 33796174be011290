"""Where the pieces of a stream lie: what packing and provenance ask of a stream beside its tokens.

Plain arrays. Rejected: the rows of the store themselves, whose places depend on the order of the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
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

    @classmethod
    def joined(cls, parts: Sequence[PieceSpans]) -> PieceSpans:
        """Those of all ``parts``, one after the other."""
        if not parts:
            places, flags = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.bool_)
            return cls(places, places, np.empty(0, dtype=np.uint64), flags, flags)
        return cls(
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.ends for part in parts]),
        )

    def since(self, start: int) -> PieceSpans:
        """Those that begin at ``start`` or later."""
        return self.part(int(np.searchsorted(self.starts, start)), self.starts.size, 0)

    def part(self, low: int, high: int, moved: int) -> PieceSpans:
        """Numbers ``low`` to ``high``, their starts ``moved`` by so many tokens."""
        return PieceSpans(
            self.starts[low:high] + moved,
            self.lengths[low:high],
            self.ids[low:high],
            self.first[low:high],
            self.ends[low:high],
        )
