"""Sorted runs: what tokenising leaves for the shuffle, as an external sort's first half does.

A run is two files, ``NAME.documents.npy`` (one ``RUN_RECORD`` per piece of a document, by the seeded hash that is its
place in the shuffle) and ``NAME.tokens.npy`` (their tokens in that order). A range of hashes is one range of rows and
one range of tokens, so that a bucket is later read from each run in one go. A run holds what fits in ``run_bytes``; a
shard writes as many as it needs. Rejected: appending to bucket files while
tokenising (buckets × pieces files, or writers that wait for each other), and Arrow or Parquet (nothing here is
nullable, nested or worth compressing twice; ``numpy.load`` maps these as they are).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.kernels import kernel
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import write_array
from slimpajama.tokens.layout import token_files
from slimpajama.tokens.pieces import PIECE, in_order

__all__ = ["RUN_RECORD", "RunWriter", "SortedRun", "copy_documents", "gathered"]

RUN_RECORD = np.dtype([*PIECE.descr, ("key", "<u8"), ("start", "<u8"), ("split", "u1")])
"""A piece, its place in the shuffle, its first token in the run, and the published split of its shard. With the
columns of a source behind that, if it has some."""

CHUNK_TOKENS = 1 << 18
"""Tokens gathered at a time while writing: they are still in the processor's cache when they are hashed."""


class SortedRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run that was written: its name, unique in the source, and its two files."""

    name: str
    tokens: FileRecord
    documents: FileRecord


class RunWriter:
    """Collects tokenised documents and writes a run whenever ``run_bytes`` of them are there.

    ``runs``: those written so far. Tokens go where the run is gathered from at once; keeping each batch's and joining
    them took twice the memory and a copy more.
    """

    def __init__(self, folder: Path, name: str, dtype: np.dtype[Any], run_bytes: int) -> None:
        self.runs: list[SortedRun] = []
        self._folder, self._name, self._dtype, self._run_bytes = folder, name, dtype, run_bytes
        self._documents: list[NDArray[np.void]] = []
        self._tokens = np.empty(run_bytes // dtype.itemsize, dtype=dtype)
        self._used = self._held = 0

    def add(self, documents: NDArray[np.void], tokens: NDArray[np.unsignedinteger[Any]]) -> None:
        """Take n ``RUN_RECORD`` rows (``start`` is filled in here), and the tokens of all of them in their order."""
        if documents.size == 0:
            return
        size = documents.nbytes + tokens.nbytes
        if self._held and self._held + size > self._run_bytes:
            self.flush()
        self._documents.append(documents)
        end = self._used + tokens.size
        if end > self._tokens.size:  # a batch that alone is larger than a run
            self._tokens = np.empty(end, dtype=self._dtype)
        self._tokens[self._used : end] = tokens
        self._used = end
        self._held += size

    def flush(self) -> None:
        """Write what is held as a run; nothing where nothing is."""
        if not self._documents:
            return
        documents, tokens = np.concatenate(self._documents), self._tokens[: self._used]
        self._documents, self._used, self._held = [], 0, 0
        lengths = documents["tokens"].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        order = in_order(documents, documents["key"])
        documents, starts, lengths = documents[order], starts[order], lengths[order]
        documents["start"] = (np.cumsum(lengths) - lengths).astype(np.uint64)
        name = f"{self._name}.{len(self.runs):04d}"
        files = token_files(self._folder, name)
        written = write_array(files.tokens, self._dtype, tokens.size, gathered(tokens, starts, lengths))
        self.runs.append(
            SortedRun(name, written, write_array(files.documents, documents.dtype, documents.size, [documents]))
        )


def gathered(
    tokens: NDArray[np.unsignedinteger[Any]],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    chunk_tokens: int = CHUNK_TOKENS,
) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    """The tokens of n documents in the given order, in chunks of about ``chunk_tokens``."""
    ends = np.cumsum(lengths)
    first = 0
    while first < lengths.size:
        begin = int(ends[first] - lengths[first])
        last = max(int(np.searchsorted(ends, begin + chunk_tokens, side="right")), first + 1)
        chunk = np.empty(int(ends[last - 1]) - begin, dtype=tokens.dtype)
        copy_documents(tokens, starts[first:last], lengths[first:last], chunk)
        yield chunk
        first = last


def copy_documents(
    tokens: NDArray[np.unsignedinteger[Any]],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    out: NDArray[np.unsignedinteger[Any]],
) -> None:
    """``out`` becomes ``tokens[start : start + length]`` of each of n documents, one after the other."""
    readable = tokens.view()
    readable.flags.writeable = False  # as a mapped file's are: kernels are compiled for each kind of array
    _copy_documents(readable, starts, lengths, out)


@kernel
def _copy_documents(
    tokens: NDArray[np.unsignedinteger[Any]],
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    out: NDArray[np.unsignedinteger[Any]],
) -> None:
    begin = 0
    for index in range(starts.size):
        start = starts[index]
        for offset in range(lengths[index]):
            out[begin + offset] = tokens[start + offset]
        begin += lengths[index]
