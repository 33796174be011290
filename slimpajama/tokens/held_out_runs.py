"""The 13-word runs of held-out texts, and which of them other texts hold.

Of a held-out document, the part that its split is given counts, as that is what is measured: a long book gives only its
beginning, and a text that shares nothing but the rest tells nothing about it. The part is cut by its share of the
document's tokens. Texts of fewer than 13 words have no runs; of them, only equal texts are found. Memory: 60 bytes for
each run, of at most six million; where a published split holds more, one in two, four, eight … is looked at, of all
texts alike. Rejected: the whole held-out text (a document with the measured part and little else of a long one would
pass), and MinHash with more bands (it knows nothing of a text that is a part of another).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts
from slimpajama.dedup.run_table import RunEntries, RunTable
from slimpajama.storage.npy import map_array
from slimpajama.text.word_runs import RUN_WORDS, RunHashes, run_hashes

__all__ = ["HELD_OUT_RUN", "HeldOutFiles", "HeldOutRuns", "beginnings", "distinct_runs", "thinned"]

HELD_OUT_RUN = np.dtype([("run", "<u8"), ("text", "<u4")])
"""A run of a held-out text, each once; ``text``: its number in the file."""

MOST_RUNS = 6 << 20
"""Of held-out texts, in memory."""

_UNUSED_BITS = np.uint64(20)
"""Bits of a hash that the table of runs has no other use for begin here."""


def beginnings(texts: Texts, given: NDArray[np.int64], whole: NDArray[np.int64]) -> Texts:
    """Of each of n texts, the part that is ``given`` of so many tokens in the ``whole``: ``int64[n]`` each."""
    stops = texts.starts + texts.sizes * given // np.maximum(whole, 1)
    for number, stop in enumerate(stops.tolist()):
        while texts.starts[number] < stop < texts.stops[number] and texts.data[stop] & 0xC0 == 0x80:
            stop -= 1  # not within a character
        stops[number] = stop
    return Texts(texts.data, texts.starts, stops)


def thinned(hashes: NDArray[np.uint64], every: int) -> NDArray[np.bool_]:
    """``bool[n]``: which of n hashes are looked at, one in ``every``, a power of two."""
    looked_at: NDArray[np.bool_] = (hashes >> _UNUSED_BITS) & np.uint64(every - 1) == 0
    return looked_at


def distinct_runs(texts: Texts, every: int = 1) -> RunHashes:
    """The runs of each text that are looked at, each once, in ascending order."""
    found = run_hashes(texts.data, texts.starts, texts.stops)
    parts = [np.zeros(0, dtype=np.uint64)]
    for begin, end in zip(found.offsets[:-1].tolist(), found.offsets[1:].tolist(), strict=True):
        own = found.hashes[begin:end]
        own = np.sort(own[thinned(own, every)])  # one text at a time: ten times as fast as all by two keys
        first = np.ones(own.size, dtype=np.bool_)
        first[1:] = own[1:] != own[:-1]
        parts.append(own[first])
    counts = [part.size for part in parts]  # the first is no text, and empty
    return RunHashes(np.concatenate(parts), np.cumsum(counts, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class HeldOutFiles:
    """Files of rows ``HELD_OUT_RUN``, of as many ``texts`` and ``runs``; ``digest``: of what they hold."""

    paths: tuple[Path, ...]
    texts: tuple[int, ...]
    runs: int
    digest: str

    @property
    def every(self) -> int:
        """One in so many runs is looked at."""
        every = 1
        while self.runs > MOST_RUNS * every:
            every *= 2
        return every

    def open(self) -> HeldOutRuns:
        """What they hold; the last one that was opened is remembered."""
        return _opened(self)


@functools.lru_cache(maxsize=1)
def _opened(files: HeldOutFiles) -> HeldOutRuns:
    return HeldOutRuns.read(files.paths, files.texts, files.every)


class HeldOutRuns:
    """r runs of h held-out texts.

    ``runs``: ``uint64[r]``, ascending, each once. ``texts[firsts[i]:firsts[i + 1]]``: the numbers of the texts that
    hold run i. ``sizes``: ``int64[h]``, runs of each text. ``every``: one run in so many is looked at.
    """

    def __init__(self, runs: NDArray[np.uint64], texts: NDArray[np.int64], count: int, every: int = 1) -> None:
        """``runs``, ``texts``: a run of a text each, each pair once; of ``count`` texts."""
        order = np.lexsort((texts, runs))
        runs, self.texts = runs[order], texts[order]
        self.runs, firsts = np.unique(runs, return_index=True)
        self.firsts = np.append(firsts, runs.size).astype(np.int64)
        self.sizes: NDArray[np.int64] = np.bincount(texts, minlength=count)
        self.every = every
        zeros = np.zeros(self.runs.size, dtype=np.int64)
        self._table = RunTable(RunEntries(self.runs, self.runs, zeros, zeros + RUN_WORDS, zeros), RUN_WORDS)

    @classmethod
    def read(cls, paths: Sequence[Path], counts: Sequence[int], every: int = 1) -> HeldOutRuns:
        """The runs of all files of rows ``HELD_OUT_RUN``; ``counts``: of the texts of each."""
        runs, texts, before = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)], 0
        for path, count in zip(paths, counts, strict=True):
            rows = map_array(path)
            rows = rows[thinned(rows["run"], every)]
            runs.append(rows["run"].astype(np.uint64))
            texts.append(rows["text"].astype(np.int64) + before)
            before += count
        return cls(np.concatenate(runs), np.concatenate(texts), before, every)

    def shared(self, texts: Texts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The runs that ``texts`` hold: numbers of texts and of runs, ascending, each pair once."""
        hits = self._table.find(texts)
        if not self.runs.size:
            return hits.texts, hits.entries
        pairs = np.unique(hits.texts * self.runs.size + hits.entries)
        return pairs // self.runs.size, pairs % self.runs.size
