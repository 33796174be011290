"""The files of a mixture as one long list of sequences, read by number.

Formats of plain token ids are mapped into memory: any range of sequences costs a copy of its tokens and nothing else,
so that many ranks can share the files. Parquet has to be unpacked, a group of sequences at a time; the last one is
kept, so reading in order unpacks each group once for every process that reads of it. Nothing is held open but the last
file.

Where documents begin is read from Parquet's columns, from the ``.csv.gz`` file of ``olmo`` and from the ``.ds.index``
file of ``nanotron``. A ``megatron`` file does not say it: there, documents are taken to begin after each end-of-text
token, which misses where a piece of a long document follows a piece of another. ``nanotron`` does not tell padding from
a document that is an end-of-text token alone.
"""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import ConfigError, InputError
from slimpajama.training.listed_files import ListedFiles, Split, listed_files

__all__ = ["FORMATS", "SequenceBatch", "SequenceFiles"]


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """n sequences. ``tokens`` ``[n, length]``, unsigned or ``int32``; ``starts`` ``int64``, ascending: the places in
    ``tokens.ravel()`` at which documents begin, or go on at the front of a sequence; ``filled`` ``int64[n]``: tokens
    before the padding, or ``None`` where nothing is padded."""

    tokens: NDArray[Any]
    starts: NDArray[np.int64]
    filled: NDArray[np.int64] | None


class _OpenFile(ABC):
    """One file of sequences."""

    @abstractmethod
    def read(self, first: int, last: int) -> SequenceBatch:
        """Sequences ``first`` to ``last``."""


def _mapped(path: Path, kind: str, length: int) -> NDArray[Any]:
    tokens = np.memmap(path, dtype=kind, mode="r")
    if tokens.size % length:
        raise InputError(
            f"{path} holds {tokens.size:,} tokens, not whole sequences of {length:,}; run slimpajama verify"
        )
    return tokens.reshape(-1, length)


class _TokenFile(_OpenFile):
    """Plain token ids. ``stretches``: where stretches begin and end in the file, in tokens."""

    def __init__(self, tokens: NDArray[Any], begins: NDArray[np.int64], ends: NDArray[np.int64], padded: bool) -> None:
        self._tokens = tokens
        self._begins, self._ends = begins, ends
        self._padded = padded

    def read(self, first: int, last: int) -> SequenceBatch:
        length = self._tokens.shape[1]
        low, high = np.searchsorted(self._begins, (first * length, last * length))
        filled = None
        if self._padded:
            edges = np.arange(first + 1, last + 1, dtype=np.int64) * length
            filled = self._ends[np.searchsorted(self._begins, edges) - 1] - (edges - length)
        return SequenceBatch(self._tokens[first:last], self._begins[low:high] - first * length, filled)


class _EndOfTextFile(_OpenFile):
    """Plain token ids that nothing tells more of."""

    def __init__(self, tokens: NDArray[Any], end_of_text: int, padded: bool) -> None:
        self._tokens = tokens
        self._end = end_of_text
        self._padded = padded

    def read(self, first: int, last: int) -> SequenceBatch:
        tokens = self._tokens[first:last]
        length = tokens.shape[1]
        starts = np.flatnonzero(tokens.ravel() == self._end) + 1
        filled = None
        if self._padded:
            # Padding is end-of-text tokens too: all at the end of a sequence but the first of them.
            backwards = tokens[:, ::-1] != self._end
            run = np.where(backwards.any(axis=1), backwards.argmax(axis=1), length)
            filled = length - np.maximum(run.astype(np.int64) - 1, 0)
            starts = starts[starts % length < filled[np.minimum(starts // length, last - first - 1)]]
        return SequenceBatch(tokens, starts[starts < tokens.size], filled)


class _ParquetFile(_OpenFile):
    def __init__(self, path: Path, length: int, padded: bool) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, memory_map=True)
        self._length = length
        self._padded = padded
        groups = range(self._file.num_row_groups)
        rows = (self._file.metadata.row_group(number).num_rows for number in groups)
        self._ends = list(accumulate(rows, initial=0))
        self._group: tuple[int, SequenceBatch, NDArray[np.int64]] | None = None

    def read(self, first: int, last: int) -> SequenceBatch:
        parts = []
        while first < last:
            number = bisect_right(self._ends, first) - 1
            batch, edges = self._unpacked(number)
            begin = self._ends[number]
            until = min(last, self._ends[number + 1])
            low, high = first - begin, until - begin
            parts.append(
                SequenceBatch(
                    batch.tokens[low:high],
                    batch.starts[edges[low] : edges[high]] - low * self._length,
                    None if batch.filled is None else batch.filled[low:high],
                )
            )
            first = until
        return joined(parts)

    def _unpacked(self, number: int) -> tuple[SequenceBatch, NDArray[np.int64]]:
        if self._group is None or self._group[0] != number:
            names = ["input_ids", "doc_starts", *(["padding_start"] if self._padded else [])]
            table = self._file.read_row_group(number, columns=names, use_threads=False)
            columns = [table.column(name).combine_chunks() for name in names]
            tokens = columns[0].flatten().to_numpy().reshape(-1, self._length)
            edges = columns[1].offsets.to_numpy().astype(np.int64)
            inside = columns[1].flatten().to_numpy().astype(np.int64)
            rows = np.repeat(np.arange(tokens.shape[0], dtype=np.int64), np.diff(edges))
            filled = columns[2].to_numpy().astype(np.int64) if self._padded else None
            self._group = (number, SequenceBatch(tokens, inside + rows * self._length, filled), edges - edges[0])
        return self._group[1:]


def joined(parts: list[SequenceBatch]) -> SequenceBatch:
    """The sequences of all ``parts``, one after the other."""
    if len(parts) == 1:
        return parts[0]
    offsets = accumulate((part.tokens.size for part in parts), initial=0)
    filled = [part.filled for part in parts if part.filled is not None]
    return SequenceBatch(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.starts + offset for part, offset in zip(parts, offsets, strict=False)]),
        np.concatenate(filled) if filled else None,
    )


def _open_olmo(path: Path, listed: ListedFiles) -> _OpenFile:
    vocabulary = listed.store.vocabulary
    kind = "u1" if vocabulary <= 1 << 8 else "<u2" if vocabulary <= 1 << 16 else "<u4"
    with gzip.open(path.with_name(path.name[: -len(".npy")] + ".csv.gz")) as file:
        edges = np.array(file.read().replace(b"\n", b",").split(b",")[:-1], dtype=np.int64).reshape(-1, 2)
    return _TokenFile(_mapped(path, kind, listed.length), edges[:, 0].copy(), edges[:, 1].copy(), listed.padded)


def _open_nanotron(path: Path, listed: ListedFiles) -> _OpenFile:
    tokens = _mapped(path, "<u2" if listed.store.vocabulary <= 1 << 16 else "<u4", listed.length)
    ends = np.fromfile(path.with_name(path.name + ".index"), dtype="<u8").astype(np.int64)
    begins = np.concatenate((ends[:0], [0], ends[:-1])) if ends.size else ends
    if listed.padded:
        # Padding is the last document of its sequence, and of end-of-text tokens alone; others have text.
        last = np.flatnonzero(ends % listed.length == 0)
        firsts = tokens.reshape(-1)[begins[last]]
        alone = last[(firsts == listed.store.end_of_text) & (begins[last] % listed.length > 0)]
        kept = np.setdiff1d(np.arange(ends.size), alone)
        begins, ends = begins[kept], ends[kept]
    return _TokenFile(tokens, begins, ends, listed.padded)


def _open_megatron(path: Path, listed: ListedFiles) -> _OpenFile:
    kind = "<u2" if listed.store.vocabulary < 65_500 else "<i4"
    return _EndOfTextFile(_mapped(path, kind, listed.length), listed.store.end_of_text, listed.padded)


def _open_parquet(path: Path, listed: ListedFiles) -> _OpenFile:
    return _ParquetFile(path, listed.length, listed.padded)


FORMATS = {
    "nanotron": (".ds", _open_nanotron),
    "olmo": (".npy", _open_olmo),
    "megatron": (".bin", _open_megatron),
    "parquet": (".parquet", _open_parquet),
}
"""By name: the ending of the file with the tokens, and how it is opened. The first that a mixture has is read."""


class SequenceFiles:
    """A split of the mixture in ``folder``, in ``format`` or the fastest one that it lies there in.

    ``sources``: of what is held out. Raises :class:`InputError` where there is no such mixture, and
    :class:`ConfigError` where it has not that format, split or source.
    """

    def __init__(
        self,
        folder: Path,
        format: str | None = None,
        split: Split = "train",
        sources: Sequence[str] | None = None,
    ) -> None:
        listed = listed_files(folder, split, sources)
        readable = [name for name in FORMATS if name in listed.formats]
        chosen = format or next(iter(readable), None)
        if chosen is None or chosen not in readable:
            raise ConfigError(
                f"the {'mixture' if split == 'train' else split} in {folder} is there in {', '.join(listed.formats)}"
                + (f", not in {format}" if format else "")
                + f"; build it in one of {', '.join(FORMATS)} to read it here"
            )
        ending, self._opener = FORMATS[chosen]
        files = [file for file in listed.files if file.format == chosen and file.path.name.endswith(ending)]
        self.format = chosen
        self.length = listed.length
        self.end_of_text = listed.store.end_of_text
        self.fingerprint = listed.fingerprint
        self._listed = listed
        self._paths = [file.path for file in files]
        self._ends = list(accumulate((file.sequences for file in files), initial=0))
        self._open: tuple[int, _OpenFile] | None = None

    @property
    def sequences(self) -> int:
        """Of all files."""
        return self._ends[-1]

    def read(self, first: int, last: int) -> SequenceBatch:
        """Sequences ``first`` to ``last`` in the order of the files. Raises :class:`InputError` for a broken file."""
        parts = []
        while first < last:
            number = bisect_right(self._ends, first) - 1
            begin, until = self._ends[number], min(last, self._ends[number + 1])
            parts.append(self._file(number).read(first - begin, until - begin))
            first = until
        return joined(parts)

    def _file(self, number: int) -> _OpenFile:
        if self._open is None or self._open[0] != number:
            try:
                self._open = (number, self._opener(self._paths[number], self._listed))
            except (OSError, ValueError) as fault:
                raise InputError(f"cannot read {self._paths[number]}: {fault}; run slimpajama verify") from fault
        return self._open[1]
