"""What clustering puts aside on disk: columns by place, and pairs for the range of ids they are about.

Both are plain numbers in files of one scratch folder, written and read from front to back in batches, so that disks
and page caches do what they are best at. The stage removes them; after a worker that was killed, the run does.
Rejected: one memory map for everything (its pages count as this process's memory until they are given back, and
parents read at random would thrash).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from slimpajama.storage.atomic import cannot_write
from slimpajama.storage.paths import TEMPORARY_SUFFIX, opened

__all__ = ["BATCH", "Column", "IdRange", "Scratch", "Spill"]

BATCH = 1 << 20
"""Values or pairs that are handled at a time."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """The scratch folder, and how many values or pairs are handled at a time."""

    folder: Path
    batch: int = BATCH


Pair = tuple[NDArray[np.uint64], NDArray[np.uint64]]


@dataclass(frozen=True, slots=True)
class IdRange:
    """Linked documents number ``first`` to ``first + size``, exclusive: those with ids from ``low`` on and, unless it
    is ``None``, below ``high``."""

    first: int
    size: int
    low: int
    high: int | None

    def part_of(self, ascending: NDArray[np.uint64]) -> tuple[int, int]:
        """Where the ids of this range begin and end in an array."""
        begin = int(np.searchsorted(ascending, np.uint64(self.low)))
        end = ascending.size if self.high is None else int(np.searchsorted(ascending, np.uint64(self.high)))
        return begin, end


class Column:
    """A value for each linked document, in the order of ids."""

    def __init__(self, scratch: Scratch, name: str, dtype: Any = np.uint64) -> None:
        self._batch = scratch.batch
        self._path = scratch.folder / f"{name}{TEMPORARY_SUFFIX}"
        self._dtype = np.dtype(dtype)

    def write(self, first: int, values: NDArray[Any]) -> None:
        """Write ``values`` at place ``first``."""
        try:
            with self._path.open("r+b" if self._path.exists() else "wb") as file:
                file.seek(self._dtype.itemsize * first)
                file.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        except OSError as fault:
            raise cannot_write(self._path, fault) from fault

    def read(self, first: int, size: int) -> NDArray[Any]:
        """The values of ``size`` documents from place ``first`` on. Raises :class:`OSError`."""
        return _read(self._path, first, size, self._dtype)

    def batches(self, part: IdRange) -> Iterator[tuple[int, NDArray[Any]]]:
        """The values of a range in batches, each with the place of its first one within the range."""
        for begin in range(0, part.size, self._batch):
            yield begin, self.read(part.first + begin, min(self._batch, part.size - begin))


class Spill:
    """Pairs ``(id, value)``, kept apart by the range that the id lies in."""

    def __init__(self, scratch: Scratch, name: str, ranges: Sequence[IdRange]) -> None:
        self._folder = scratch.folder
        self._batch = scratch.batch
        self._name = name
        self._lows = np.array([part.low for part in ranges], dtype=np.uint64)
        self._sizes = [0] * len(ranges)

    def append(self, ids: NDArray[np.uint64], values: NDArray[np.uint64]) -> None:
        """Put pairs aside."""
        numbers = np.searchsorted(self._lows, ids, side="right") - 1
        for number in np.unique(numbers).tolist():
            chosen = numbers == number
            path = self._path(number)
            try:
                with path.open("ab") as file:
                    file.write(np.column_stack((ids[chosen], values[chosen])).data)
            except OSError as fault:
                raise cannot_write(path, fault) from fault
            self._sizes[number] += int(np.count_nonzero(chosen))

    def pairs(self, number: int) -> Iterator[Pair]:
        """What was put aside for range ``number``, in batches. Raises :class:`OSError`."""
        for begin in range(0, self._sizes[number], self._batch):
            size = min(self._batch, self._sizes[number] - begin)
            both = _read(self._path(number), 2 * begin, 2 * size, np.dtype(np.uint64)).reshape(-1, 2)
            yield np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])

    def remove(self, number: int) -> None:
        """Forget what was put aside for range ``number``, which has been read."""
        self._path(number).unlink(missing_ok=True)
        self._sizes[number] = 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number}{TEMPORARY_SUFFIX}"


def _read(path: Path, first: int, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = np.empty(size, dtype=dtype)
    with opened(path) as file:
        file.seek(values.itemsize * first)
        filled = cast(io.BufferedReader, file).readinto(values.view(np.uint8).data)
    if filled != values.nbytes:
        raise OSError(f"{path} ends after {filled:,} of {values.nbytes:,} bytes")
    return values
