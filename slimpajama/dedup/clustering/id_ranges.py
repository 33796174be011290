"""All documents that occur in a link, in the order of their ids, and how they are cut so that memory holds one range.

A document occurs in the links of up to as many files as there are bands, so that how many there are is only known once
the files are merged. That is done in ranges small enough whatever they turn out to hold, cut by a sample of each file;
then neighbours are joined as long as they fit. One range, where all fit. Reads all ids once, writes the distinct ones;
each thread of a team merges a range of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.spill import Column, IdRange
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import Links, union
from slimpajama.engine.heartbeat import beat

__all__ = ["ranges_of_links"]

PARTS = 4
"""For each thread, where memory does not ask for more."""

_SAMPLES = 1 << 12
"""Ids of each array that show how all of its ids lie."""


def ranges_of_links(
    files: Sequence[Callable[[], Links]], column: Column, capacity: int, most: int, team: Team
) -> list[IdRange]:
    """Write the ids of all linked documents to ``column``, and cut them into ranges of at most ``capacity``.

    ``files``: each opens one file of links; ``most``: documents of the range, where one holds all. There is at least
    one range.
    """
    ranges: list[IdRange] = []
    first = 0
    cuts = _cuts(files, capacity, team)
    for at in range(0, len(cuts), team.threads):
        beat()
        parts = [IdRange(0, 0, low, high) for low, high in cuts[at : at + team.threads]]
        for part, found in zip(parts, team.map(functools.partial(_distinct_ids, files), parts), strict=True):
            column.write(first, found)
            last = ranges[-1] if ranges else None
            if last and last.size + found.size <= capacity:
                ranges[-1] = IdRange(last.first, last.size + found.size, last.low, part.high)
            else:
                ranges.append(IdRange(first, found.size, part.low, part.high))
            first += found.size
    return [IdRange(0, first, 0, None)] if first <= most else ranges


def _distinct_ids(files: Sequence[Callable[[], Links]], part: IdRange) -> NDArray[np.uint64]:
    return union([array[slice(*part.part_of(array))] for array in _arrays(files)])


def _arrays(files: Sequence[Callable[[], Links]]) -> Iterator[NDArray[np.uint64]]:
    for links in files:
        opened = links()
        yield opened.documents
        yield opened.anchors


def _cuts(files: Sequence[Callable[[], Links]], capacity: int, team: Team) -> list[tuple[int, int | None]]:
    """Ranges [low, high) of ids, in each of which at most about ``capacity`` ids are named, repeats counted.

    There are enough of them for the ``team``.
    """
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
    if team.threads > 1 and ids.size:
        wanted = max(wanted, min(PARTS * team.threads, int(counts[-1]) // team.fewest))
        wanted = -(-wanted // team.threads) * team.threads if wanted >= team.threads else wanted
    targets = np.arange(1, wanted) * (counts[-1] / wanted) if wanted > 1 else np.empty(0)
    lows = sorted({0, *ids[order][np.searchsorted(counts, targets)].tolist()})
    return list(zip(lows, [*lows[1:], None], strict=True))
