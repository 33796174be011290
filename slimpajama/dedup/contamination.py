"""Which documents of a batch hold evaluation items, and the file that this is noted in.

Documents are looked up as they are stored: those that normalisation changes, after it. Only those that take part are
looked at, as short and broken ones go nowhere. Costs what :mod:`slimpajama.text.word_runs` costs, and a few bytes for
each match. The file has a row for each pair of a document and an item: where in the text the first of the shared runs
begins, and the text from there, so that a person can judge it. Rejected: a column of the rows (a document may hold
many items, and most hold none).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.evaluation_index import EvaluationIndex, IndexFiles, Matches
from slimpajama.storage.atomic import OutputFile, atomic_file
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.local_cache import local_copy
from slimpajama.text.normalisation import Normalisation, normaliser

__all__ = ["EXCERPT", "MatchRows", "MatchesWriter", "Screen", "join_matches", "largest_overlaps", "read_matches"]

EXCERPT = 160
"""Bytes of the text that are kept from the first shared run on."""

SCHEMA = pa.schema(
    [
        ("id", pa.uint64()),
        ("source", pa.uint8()),
        ("item", pa.int64()),
        ("overlap", pa.float32()),
        ("position", pa.int64()),
        ("excerpt", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Screen:
    """What documents are held against: an ``index`` of items, and what becomes of those that match."""

    index: IndexFiles
    action: Literal["remove", "mark"]

    @property
    def described(self) -> dict[str, object]:
        """What rows depend on."""
        return {"items": self.index.digest, "overlap": self.index.overlap, "action": self.action}

    def found(self, texts: Texts, rewritten: NDArray[np.bool_], normalisation: Normalisation) -> MatchRows:
        """The items that ``texts`` hold. ``rewritten`` ``bool[n]``: normalisation changes the text."""
        index = _opened(self.index)
        parts = [_looked_up(index, texts.chosen(~rewritten), np.flatnonzero(~rewritten))]
        if rewritten.any():
            normalise = normaliser(normalisation)
            stored = Texts.of([normalise(text) for text in texts.chosen(rewritten).decoded()])
            parts.append(_looked_up(index, stored, np.flatnonzero(rewritten)))
        whole = [np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(MatchRows)]
        order = np.argsort(whole[0], kind="stable")
        return MatchRows(*(column[order] for column in whole))


@functools.lru_cache(maxsize=1)
def _opened(files: IndexFiles) -> EvaluationIndex:
    """Once in each worker."""
    return files.open()


@dataclass(frozen=True, slots=True)
class MatchRows:
    """As :class:`~slimpajama.dedup.evaluation_index.Matches`, each with an excerpt of the text from its place on."""

    texts: NDArray[np.int64]
    items: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    begins: NDArray[np.int64]
    excerpts: NDArray[np.object_]


def _looked_up(index: EvaluationIndex, texts: Texts, numbers: NDArray[np.int64]) -> MatchRows:
    found: Matches = index.matches(texts)
    begins = texts.starts[found.texts] + found.begins
    ends = np.minimum(begins + EXCERPT, texts.stops[found.texts])
    data = texts.data.data
    excerpts = np.empty(begins.size, dtype=np.object_)
    for place, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        excerpts[place] = str(data[begin:end], "utf-8", "ignore")
    return MatchRows(numbers[found.texts], found.items, found.overlaps, found.begins, excerpts)


@dataclass(slots=True)
class MatchesWriter:
    """Writes matches to ``path``, which is made with the first of them and is whole when ``stack`` is closed."""

    path: Path
    stack: ExitStack
    file: OutputFile | None = None
    _writer: Any = None

    def append(self, ids: NDArray[np.uint64], sources: NDArray[np.uint8], rows: MatchRows) -> None:
        """Add ``rows`` on documents of these ids and sources."""
        if not rows.texts.size:
            return
        if self.file is None:
            self.file = self.stack.enter_context(atomic_file(self.path))
            self._writer = self.stack.enter_context(pa.ipc.new_file(self.file, SCHEMA))
        columns = [ids, sources, rows.items, rows.overlaps.astype(np.float32), rows.begins, rows.excerpts]
        arrays = [pa.array(column, one.type) for column, one in zip(columns, SCHEMA, strict=True)]
        self._writer.write_batch(pa.record_batch(arrays, SCHEMA))


def read_matches(path: Path) -> pa.Table:
    """All matches of a file."""
    with pa.memory_map(str(local_copy(path))) as source, pa.ipc.open_file(source) as file:
        return file.read_all()


def largest_overlaps(path: Path | None) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """The documents that a file of matches names, in ascending order, and the largest overlap of each with an item."""
    if path is None:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.float32)
    table = read_matches(path)
    ids, overlaps = table.column("id").to_numpy(), table.column("overlap").to_numpy()
    order = np.lexsort((-overlaps, ids))
    found, first = np.unique(ids[order], return_index=True)
    return found, overlaps[order][first]


def join_matches(paths: Sequence[Path], path: Path) -> FileRecord:
    """Write the matches of several files as one, in their order."""
    with atomic_file(path) as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for part in paths:
            for batch in read_matches(part).to_batches():
                writer.write_batch(batch)
    return file.record
