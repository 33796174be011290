"""What was found when some removals of a run were compared with the documents that stay for them.

The stage that draws and compares them hands over similarities by source; this counts them for the summary. A share is
of the sample: sources are drawn from alike, however many removals they have.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["RemovalSample", "SampledSource"]

BINS = tuple(f"{tenth / 10:.1f}" for tenth in range(11))
"""The least similarity of each bin; the last holds those of 1."""


class SampledSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Removals from one source: how many were compared, how many are below the threshold, and the lowest similarity."""

    looked_at: int
    below_threshold: int
    lowest: float | None


class RemovalSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Removals drawn by ``seed`` and compared exactly with the documents that stay for them.

    ``threshold``: the Jaccard similarity that they are held against. ``histogram``: how many there are by similarity,
    each bin named by its least value; the bin ``1.0`` holds those of 1 alone. ``sources``: the same by source.
    """

    seed: int
    threshold: float
    looked_at: int
    below_threshold: int
    lowest: float | None
    histogram: dict[str, int]
    sources: dict[str, SampledSource]

    @classmethod
    def of(cls, seed: int, threshold: float, similarities: Mapping[str, NDArray[np.float64]]) -> RemovalSample:
        """The figures of ``similarities`` by source."""
        every = np.concatenate([*similarities.values(), np.empty(0)])
        # A similarity is a fraction, so a tenth may come out a rounding below itself.
        bins = np.bincount(np.minimum(np.floor(every * 10 + 1e-9), 10).astype(np.int64), minlength=len(BINS))
        whole = _figures(every, threshold)
        return cls(
            seed=seed,
            threshold=threshold,
            looked_at=whole.looked_at,
            below_threshold=whole.below_threshold,
            lowest=whole.lowest,
            histogram=dict(zip(BINS, bins.tolist(), strict=True)),
            sources={name: _figures(own, threshold) for name, own in similarities.items()},
        )


def _figures(similarities: NDArray[np.float64], threshold: float) -> SampledSource:
    lowest = round(float(similarities.min()), 6) if similarities.size else None
    return SampledSource(int(similarities.size), int((similarities < threshold).sum()), lowest)
