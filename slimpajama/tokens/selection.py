"""Which pieces of a source a stream is made of: those that one scope of the deduplication keeps.

A value that a recipe gives to the token store. Costs a mask per bucket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.dedup import Scope

__all__ = ["SCOPES", "Selection"]

SCOPES: tuple[Scope, ...] = ("global", "local")


@dataclass(frozen=True, slots=True)
class Selection:
    """The documents that ``scope`` keeps."""

    scope: str

    def chosen(self, rows: NDArray[np.void]) -> NDArray[np.int64]:
        """The places of the chosen ones of a bucket's rows, ascending."""
        return np.flatnonzero(rows[f"kept_{self.scope}"])
