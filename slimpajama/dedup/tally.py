"""The count of all verdicts, by source, which must come out even: every record that was read is somewhere.

Documents and bytes are added up piece by piece; a few numbers for each source, however many documents there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.files.sketches import BAD, CONTAMINATED, SHORT, SOUND
from slimpajama.dedup.verdicts import Verdicts
from slimpajama.errors import ConservationError

__all__ = ["Nested", "RemovedFor", "Tally", "nested"]

Nested = tuple[tuple[tuple[int, ...], ...], ...]
"""An array of three dimensions in a stage result."""

_REPORT = "nothing of this run may be used: please report it with the run's summary"


class RemovedFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Global duplicates of the source of this number whose survivor is of that one; ``bytes``: of their text."""

    source: int
    survivor: int
    documents: int
    bytes: int


@dataclass(slots=True)
class Tally:
    """Documents and bytes by source.

    ``counts`` ``int64[sources, 9, 2]``: read, short, bad, kept globally, kept locally, sound, removed as exact copies
    globally, and locally, contaminated, each as documents and bytes. ``removed`` ``int64[sources, owners, 2]``: global
    duplicates of the row's source whose survivor is of the column's; the last of ``owners`` may be an earlier run.
    ``stood_for`` ``int64[sources, 2, 2]``, globally and locally: documents in clusters of survivors of the source, and
    documents of the source whose survivor an earlier run has.
    """

    sources: int
    owners: int
    counts: NDArray[np.int64] = field(init=False)
    removed: NDArray[np.int64] = field(init=False)
    stood_for: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros((self.sources, 9, 2), dtype=np.int64)
        self.removed = np.zeros((self.sources, self.owners, 2), dtype=np.int64)
        self.stood_for = np.zeros((self.sources, 2, 2), dtype=np.int64)

    def add(
        self,
        sources: NDArray[np.uint8],
        sizes: NDArray[np.int64],
        status: NDArray[np.uint8],
        verdicts: Verdicts,
        owners: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> None:
        """Count records: ``owners`` ``int64[n]`` are the sources of their survivors, globally and locally."""
        scopes = (verdicts.global_, verdicts.local)
        flags = (
            np.ones(sources.size, dtype=np.bool_),
            status == SHORT,
            status == BAD,
            *(scope.kept for scope in scopes),
            status == SOUND,
            *(scope.exact for scope in scopes),
            status == CONTAMINATED,
        )
        for column, flag in enumerate(flags):
            self.counts[:, column] += _sums(sources[flag], sizes[flag], self.sources)
        gone = (status == SOUND) & ~verdicts.global_.kept
        pairs = sources[gone].astype(np.int64) * self.owners + owners[0][gone]
        self.removed += _sums(pairs, sizes[gone], self.sources * self.owners).reshape(self.removed.shape)
        for number, (scope, of) in enumerate(zip(scopes, owners, strict=True)):
            np.add.at(self.stood_for[:, number, 0], sources, scope.size)
            np.add.at(self.stood_for[:, number, 1], sources[of >= self.sources], 1)

    def removals(self) -> tuple[RemovedFor, ...]:
        """What ``removed`` has that is not zero: of hundreds of sources, few share documents with many."""
        pairs = np.argwhere(self.removed[:, :, 0])
        return tuple(RemovedFor(i, j, *self.removed[i, j].tolist()) for i, j in pairs.tolist())

    def merge(self, counts: Nested, removed: Sequence[RemovedFor], stood_for: Nested) -> None:
        """Add another tally, as a stage result holds it."""
        self.counts += np.array(counts, dtype=np.int64).reshape(self.counts.shape)
        for one in removed:
            self.removed[one.source, one.survivor] += (one.documents, one.bytes)
        self.stood_for += np.array(stood_for, dtype=np.int64).reshape(self.stood_for.shape)

    def check(self, names: Sequence[str], checked: bool = False) -> None:
        """Raise :class:`ConservationError` unless records and bytes are conserved in every source.

        ``checked``: removals are, so that what is kept globally need not be kept locally.
        """
        for name, columns, removed in zip(names, self.counts, self.removed.sum(axis=1), strict=True):
            read, short, bad, kept, kept_locally, sound, exact, exact_locally, contaminated = columns
            if not (
                np.array_equal(read, kept + short + bad + contaminated + removed)
                and np.array_equal(read, sound + short + bad + contaminated)
                and (checked or (kept <= kept_locally).all())
                and (kept_locally + exact_locally <= sound).all()
                and (exact <= removed).all()
            ):
                raise ConservationError(
                    f"source {name!r}: read {read.tolist()} (documents, bytes) is not kept {kept.tolist()} + short "
                    f"{short.tolist()} + bad {bad.tolist()} + contaminated {contaminated.tolist()} + duplicate "
                    f"{removed.tolist()}; {_REPORT}"
                )

    def check_sizes(self) -> None:
        """Raise :class:`ConservationError` unless each document is counted once, in the cluster of its survivor.

        To be called on the tally of all pieces: clusters are spread over them.
        """
        sound = int(self.counts[:, 5, 0].sum())
        for scope, (in_clusters, in_earlier) in zip(("global", "local"), self.stood_for.sum(axis=0), strict=True):
            if in_clusters + in_earlier != sound:
                raise ConservationError(
                    f"the {scope} clusters of documents that stay hold {in_clusters:,} documents and those of earlier "
                    f"runs {in_earlier:,}, but {sound:,} documents were compared; {_REPORT}"
                )


def _sums(groups: NDArray[Any], sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """``int64[count, 2]``: how many there are of each group, and their sizes together (exact: no float weights)."""
    sums = np.zeros((count, 2), dtype=np.int64)
    np.add.at(sums[:, 0], groups, 1)
    np.add.at(sums[:, 1], groups, sizes)
    return sums


def nested(array: NDArray[np.int64]) -> Nested:
    """``int64[a, b, c]`` as a stage result holds it."""
    return tuple(tuple(map(tuple, rows)) for rows in array.tolist())
