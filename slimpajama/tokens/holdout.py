"""Which documents are validation and test: whole global clusters, drawn by a seeded hash of the cluster's id.

A cluster's id is that of its survivor, so one draw per source over its survivors settles it: the
``rate * documents`` survivors with the smallest hashes are held out, the first half of them for validation, the
other for test. The count is exact, not a matter of luck. The survivor goes to its split; every other member of the
cluster is in no split at all, in either scope. A source of at least ``SMALLEST`` survivors gives at least one
document to each; a smaller one may round to none, and the account says so.

Workers reduce their ids to ``candidates`` (a few times the rate), so that the draw over a billion documents needs
some tens of megabytes; the result is a sorted array of 16 bytes per held-out cluster. Rejected: a fixed threshold of
the hash (a source of 1,000 documents would give anything from none to six), and drawing documents instead of
clusters (a known near-duplicate of a training document would be tested on). Near-duplicates that LSH missed are in
clusters of their own, so a few of them may be in train and in another split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import ConfigError, InputError
from slimpajama.storage.atomic import atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy
from slimpajama.tokens.seeded_order import seeded_hash

__all__ = [
    "RATE",
    "SMALLEST",
    "SPLITS",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "HeldOutCounts",
    "Holdout",
    "HoldoutAccount",
    "candidates",
    "draw_holdout",
    "load_holdout",
]

RATE = 0.0017
"""Validation and test together as a share of a source's documents: the published ratio."""

SMALLEST = 20
"""A source of this many survivors or more has a document in validation and one in test, whatever the rate."""

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(3)

_PURPOSE = "holdout"
_MARGIN = 4.0
_LOWEST = 1000
_RECORD = np.dtype([("cluster", "<u8"), ("split", "u1")])


@dataclass(frozen=True, slots=True)
class Holdout:
    """The held-out clusters. ``clusters``: ``uint64[h]`` ascending; ``splits``: ``uint8[h]``, index in ``SPLITS``."""

    clusters: NDArray[np.uint64]
    splits: NDArray[np.uint8]

    def split_of(self, clusters: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """``uint8[n]``: the split of each of ``uint64[n]`` clusters; ``TRAIN`` where it is not held out."""
        if self.clusters.size == 0:
            return np.zeros(clusters.size, dtype=np.uint8)
        places = np.minimum(np.searchsorted(self.clusters, clusters), self.clusters.size - 1)
        found = self.clusters[places] == clusters
        return np.where(found, self.splits[places], np.uint8(TRAIN)).astype(np.uint8)

    def save(self, path: Path) -> FileRecord:
        """Write the clusters as one ``.npy`` table, atomically; returns the file's record."""
        table = np.empty(self.clusters.size, dtype=_RECORD)
        table["cluster"], table["split"] = self.clusters, self.splits
        with atomic_file(path) as file:
            np.lib.format.write_array(cast(BinaryIO, file), table, allow_pickle=False)
        return file.record


class HeldOutCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``survivors`` of one source, and how many of them validation and test have."""

    survivors: int
    validation: int
    test: int


class HoldoutAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was drawn of each source; the last two list the sources that gave that split no document."""

    rate: float
    sources: dict[str, HeldOutCounts]
    without_validation: tuple[str, ...]
    without_test: tuple[str, ...]


def load_holdout(path: Path) -> Holdout:
    """What :meth:`Holdout.save` wrote. Raises :class:`InputError` naming a file that is not there or not that."""
    try:
        table = np.load(local_copy(path), allow_pickle=False)
        return Holdout(table["cluster"].astype(np.uint64), table["split"].astype(np.uint8))
    except (OSError, ValueError, IndexError) as fault:
        raise InputError(
            f"cannot read the holdout {path}: {fault}; remove it and run the same command again to draw it anew"
        ) from fault


def candidates(survivors: NDArray[np.uint64], rate: float, seed: int) -> NDArray[np.uint64]:
    """Those of ``uint64[n]`` survivors' ids that a draw at ``rate`` can take, however many others there are.

    Ids with a hash in the lowest ``4 * rate`` of all hashes, and the 1,000 lowest at any rate (small sources):
    what is left out would be drawn less often than once in 10**100 sources. Applying it to joined candidates gives the
    candidates of the whole.
    """
    keys = seeded_hash(survivors, seed, _PURPOSE)
    low = keys <= np.uint64(min(_MARGIN * rate * 2.0**64, 2.0**64 - 2048.0))
    if keys.size > _LOWEST:
        low |= keys <= np.partition(keys, _LOWEST - 1)[_LOWEST - 1]
    else:
        low[:] = True
    chosen: NDArray[np.uint64] = survivors[low]
    return chosen


def draw_holdout(
    candidate_ids: Mapping[str, NDArray[np.uint64]], survivors: Mapping[str, int], rate: float, seed: int
) -> tuple[Holdout, HoldoutAccount]:
    """Draw from each source's candidates, given how many survivors the source has; returns it and the account.

    Raises :class:`ConfigError` for a rate outside 0 … 0.5.
    """
    if not 0 <= rate <= 0.5:
        raise ConfigError(
            f"the holdout rate is {rate}; it is a share of the documents, from 0 to 0.5 (published: {RATE})"
        )
    clusters, splits = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.uint8)]
    account: dict[str, HeldOutCounts] = {}
    for source, count in survivors.items():
        ids = np.unique(candidate_ids[source])
        drawn = ids[np.argsort(seeded_hash(ids, seed, _PURPOSE))][: holdout_size(count, rate)]
        validation = (drawn.size + 1) // 2
        clusters.append(drawn)
        splits.append(np.where(np.arange(drawn.size) < validation, VALIDATION, TEST).astype(np.uint8))
        account[source] = HeldOutCounts(count, validation, drawn.size - validation)
    joined, joined_splits = np.concatenate(clusters), np.concatenate(splits)
    order = np.argsort(joined)
    return Holdout(joined[order], joined_splits[order]), HoldoutAccount(
        rate=rate,
        sources=account,
        without_validation=tuple(source for source, counts in account.items() if counts.validation == 0),
        without_test=tuple(source for source, counts in account.items() if counts.test == 0),
    )


def holdout_size(survivors: int, rate: float) -> int:
    """How many of ``survivors`` documents are held out: ``rate`` of them, rounded half up; at least two of twenty."""
    if rate == 0:
        return 0
    size = int(rate * survivors + 0.5)
    return max(size, 2) if survivors >= SMALLEST else size
