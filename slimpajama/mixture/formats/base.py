"""What a format of mixture files is.

To add one, write a subclass of :class:`MixtureFormat` in a module that workers can import, and call
``MIXTURE_FORMATS.register`` (:mod:`slimpajama.registry`) with an instance before the format is asked for by name. Its
writer gets sequences group by group, in their final order; its ``differences`` reads a written file back for
``slimpajama verify``. Rejected: a format as a pair of functions (the card and the check would need two more places).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MixtureFormat",
    "SequenceGroup",
    "SequenceShape",
    "SequenceWriter",
    "WrittenPart",
    "filled_tokens",
    "lies_beside",
    "stretches",
]


@dataclass(frozen=True, slots=True)
class SequenceShape:
    """What all sequences of a file share: ``length`` in tokens, the ``sources`` that a group's numbers name, and the
    ``vocabulary``, one more than the largest token id. ``padded``: whether sequences may end in padding.
    ``sequences``: how many the file holds. ``provenance``: whether the documents of each sequence are told."""

    length: int
    sources: tuple[str, ...]
    vocabulary: int
    padded: bool = False
    sequences: int = 0
    provenance: bool = False


@dataclass(frozen=True, slots=True)
class SequenceGroup:
    """Successive sequences of a file. ``tokens`` ``uint32[n, length]``; ``starts`` ``int64[m]``, ascending: places in
    ``tokens.ravel()`` at which documents begin; ``sources`` ``int32[n]``: the source of each sequence, by number;
    ``filled`` ``int64[n]``: tokens of each sequence before its padding, or ``None`` where nothing is padded;
    ``ids`` ``uint64``: the document of each of the :func:`stretches`, or ``None`` where nobody asks; ``documents``: how
    many begin in them, and ``cut``: those of them that are not whole in one sequence."""

    tokens: NDArray[np.uint32]
    starts: NDArray[np.int64]
    sources: NDArray[np.int32]
    filled: NDArray[np.int64] | None = None
    ids: NDArray[np.uint64] | None = None
    documents: int = 0
    cut: int = 0


def filled_tokens(group: SequenceGroup) -> NDArray[np.int64]:
    """``int64[n]``: tokens of each sequence before its padding."""
    rows, length = group.tokens.shape
    return np.full(rows, length, dtype=np.int64) if group.filled is None else group.filled


def stretches(group: SequenceGroup) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each stretch of one document inside one sequence begins and ends: places in ``tokens.ravel()``.

    Padding is in no stretch.
    """
    rows, length = group.tokens.shape
    edges = np.arange(rows, dtype=np.int64) * length
    filled = filled_tokens(group)
    begins = np.union1d(group.starts, edges[filled > 0])
    ends = np.minimum(np.append(begins[1:], rows * length), (edges + filled)[begins // length])
    return begins, ends


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """One written file of a split: its ``name``, its size in ``bytes``, and how many ``sequences`` it holds."""

    name: str
    bytes: int
    sequences: int


class SequenceWriter(Protocol):
    """Takes the groups of a file in order."""

    def write(self, group: SequenceGroup) -> None:
        """Append a group, whose arrays are used again for the next one."""


class MixtureFormat(ABC):
    """A way to write packed sequences into files.

    ``name``: what ``--format`` and a manifest call it. ``endings``: of the files that one part of a split becomes.
    ``contents``: lines for the dataset card that say what the files hold.
    ``says_padding``: whether a reader can tell where padding begins. ``folder_names``: of the :meth:`folder_files`.
    ``holds_provenance``: whether its own files tell the documents of a sequence, where that is asked for.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]
    contents: ClassVar[tuple[str, ...]]
    says_padding: ClassVar[bool] = False
    folder_names: ClassVar[tuple[str, ...]] = ()
    holds_provenance: ClassVar[bool] = False

    @abstractmethod
    def writer(self, files: Sequence[BinaryIO], shape: SequenceShape) -> AbstractContextManager[SequenceWriter]:
        """Write to ``files``, one for each ending, open for appending. Leaving the context completes them."""

    @abstractmethod
    def differences(self, path: Path, shape: SequenceShape, groups: Iterator[SequenceGroup]) -> Iterator[str]:
        """Read a written file again: yield a clause for each way in which it differs from ``groups``.

        The clause continues the sentence that begins with the path. ``path`` has one of ``endings``.
        """

    def refusal(self, shape: SequenceShape) -> str | None:
        """Why sequences of that shape cannot be written in this format, and what to do, or ``None`` where they can."""
        return None

    def folder_files(self, shape: SequenceShape, parts: Sequence[WrittenPart]) -> Mapping[str, bytes]:
        """What lies beside all the files of train, by name: an index that a loader wants."""
        return {}

    def card_header(self, splits: Sequence[str]) -> Mapping[str, object]:
        """What the YAML head of the dataset card says, so that ``datasets`` finds the files of each split."""
        return {}


def lies_beside(one: MixtureFormat, other: MixtureFormat) -> bool:
    """Whether a mixture can lie in one folder in both formats: no file of the one has the name of one of the other."""
    return not set(one.endings) & set(other.endings)
