"""All documents that occur in a link, in the order of their ids, and how they are cut so that memory holds one range.

A document occurs in the links of up to as many files as there are bands, so that how many there are is only known once
the files are merged. That is done in ranges small enough whatever they turn out to hold, cut by a sample of each file;
then neighbours are joined as long as they fit. One range, where all fit. Reads all ids once, writes the distinct ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.spill import Column, IdRange
from slimpajama.dedup.clustering.union_find import Links, union

__all__ = ["ranges_of_links"]

_SAMPLES = 1 << 12
"""Ids of each array that show how all of its ids lie."""


def ranges_of_links(files: Sequence[Callable[[], Links]], column: Column, capacity: int) -> list[IdRange]:
    """Write the ids of all linked documents to ``column``, and cut them into ranges of at most ``capacity``.

    ``files``: each opens one file of links. There is at least one range.
    """
    ranges: list[IdRange] = []
    first = 0
    for low, high in _cuts(files, capacity):
        part = IdRange(0, 0, low, high)
        found = union([array[slice(*part.part_of(array))] for array in _arrays(files)])
        column.write(first, found)
        last = ranges[-1] if ranges else None
        if last and last.size + found.size <= capacity:
            ranges[-1] = IdRange(last.first, last.size + found.size, last.low, high)
        else:
            ranges.append(IdRange(first, found.size, low, high))
        first += found.size
    return ranges


def _arrays(files: Sequence[Callable[[], Links]]) -> Iterator[NDArray[np.uint64]]:
    for links in files:
        opened = links()
        yield opened.documents
        yield opened.anchors


def _cuts(files: Sequence[Callable[[], Links]], capacity: int) -> list[tuple[int, int | None]]:
    """Ranges [low, high) of ids, in each of which at most about ``capacity`` ids are named, repeats counted."""
    sampled, weights = [], []
    for array in _arrays(files):
        places = np.linspace(0, array.size, min(_SAMPLES, array.size), endpoint=False).astype(np.int64)
        sampled.append(array[places])
        weights.append(np.full(places.size, array.size / max(1, places.size)))
    ids = np.concatenate([np.empty(0, dtype=np.uint64), *sampled])
    order = np.argsort(ids)
    counts = np.cumsum(np.concatenate([np.empty(0), *weights])[order])
    # The sample may be off by one of its steps in each array: so much is left free.
    wanted = int(counts[-1] // (0.9 * capacity)) + 1 if ids.size else 1
    targets = np.arange(1, wanted) * (counts[-1] / wanted) if wanted > 1 else np.empty(0)
    lows = sorted({0, *ids[order][np.searchsorted(counts, targets)].tolist()})
    return list(zip(lows, [*lows[1:], None], strict=True))
