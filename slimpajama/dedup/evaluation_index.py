"""The index of evaluation items, and which documents hold how much of which item.

An item is the set of its distinct runs of words; a document that holds at least a share of them matches. A document
that holds ``needed`` of r runs holds at least one of any r - needed + 1 of them: so only that many runs of an item,
those that the fewest other items have, stand in the table that all texts are looked up in, and only items found there
are compared run by run. This keeps the table small, and a template that thousands of items begin with calls none of
them up. An item of fewer words than a run is one run as a whole. Each run in the table is looked for by those five of
its words in a row that are the rarest. Memory: 50 bytes for each run in the table, 16 for each run of an item.
Rejected: an index of all runs (five times as large at an overlap of 0.8, and each template costs a look at each of its
items).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.decontaminate import SHORTEST_ITEM
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.run_table import RunEntries, RunTable
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, write_array
from slimpajama.text.word_runs import RunHashes, run_hashes

__all__ = ["EvaluationIndex", "IndexFiles", "ItemRuns", "Matches", "item_runs", "table_entries"]

_NAMES = ("anchors", "wholes", "leads", "lengths", "owners", "runs", "firsts", "offsets", "words")


@dataclass(frozen=True, slots=True)
class ItemRuns:
    """The distinct runs of n items: number i has ``runs[offsets[i]:offsets[i + 1]]``, ascending, of ``words[i]`` words
    each; none where it cannot be looked for.

    ``runs``: ``uint64[m]``; ``firsts``: ``int64[m]``, the word of the item at which the run first begins; ``offsets``:
    ``int64[n + 1]``; ``words``: ``int64[n]``.
    """

    runs: NDArray[np.uint64]
    firsts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    words: NDArray[np.int64]

    def of(self, item: int) -> NDArray[np.uint64]:
        """The runs of one item."""
        return self.runs[self.offsets[item] : self.offsets[item + 1]]

    @property
    def counts(self) -> NDArray[np.int64]:
        """``int64[n]``: how many runs each item has."""
        return np.diff(self.offsets)


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """Where an index lies: arrays that all workers map. ``overlap`` is that of the settings; ``digest``: of what
    was written there."""

    folder: Path
    overlap: float
    digest: str = ""

    def write(self, items: ItemRuns, entries: RunEntries) -> tuple[FileRecord, ...]:
        """Write both."""
        arrays = [getattr(entries, name) for name in _NAMES[:5]] + [getattr(items, name) for name in _NAMES[5:]]
        return tuple(
            write_array(self._path(name), array.dtype, array.size, [array])
            for name, array in zip(_NAMES, arrays, strict=True)
        )

    def open(self) -> EvaluationIndex:
        """The index."""
        arrays = [map_array(self._path(name)) for name in _NAMES]
        return EvaluationIndex(ItemRuns(*arrays[5:]), RunEntries(*arrays[:5]), self.overlap)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


def _runs(texts: Texts, length: int) -> RunHashes:
    return run_hashes(texts.data, texts.starts, texts.stops, length)


def item_runs(texts: Sequence[str], ngram: int) -> ItemRuns:
    """The runs of items, of ``ngram`` words or of all words that there are; none of fewer words than five."""
    encoded = Texts.of(texts)
    words = np.minimum(np.diff(_runs(encoded, 1).offsets), ngram)
    owners, places = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    hashes = [np.zeros(0, dtype=np.uint64)]
    for length in range(SHORTEST_ITEM, ngram + 1):
        own = np.flatnonzero(words == length)
        if own.size:
            found = _runs(encoded.chosen(own), length)
            counts = np.diff(found.offsets)
            owners.append(np.repeat(own, counts))
            places.append(np.arange(found.hashes.size) - np.repeat(found.offsets[:-1], counts))
            hashes.append(found.hashes)
    owner, hashed, place = np.concatenate(owners), np.concatenate(hashes), np.concatenate(places)
    order = np.lexsort((place, hashed, owner))
    owner, hashed, place = owner[order], hashed[order], place[order]
    first = np.ones(owner.size, dtype=np.bool_)
    first[1:] = (owner[1:] != owner[:-1]) | (hashed[1:] != hashed[:-1])
    offsets = np.append(0, np.cumsum(np.bincount(owner[first], minlength=len(texts)))).astype(np.int64)
    return ItemRuns(hashed[first], place[first], offsets, words)


def needed(runs: NDArray[np.int64], overlap: float) -> NDArray[np.int64]:
    """``int64[n]``: how many of so many ``runs`` make a share of at least ``overlap``."""
    least: NDArray[np.int64] = np.maximum(1, np.ceil(runs * overlap - 1e-9)).astype(np.int64)
    return least


def table_entries(items: ItemRuns, texts: Sequence[str], overlap: float) -> RunEntries:
    """What is looked for in all ``texts`` of items, so that no document that matches is missed."""
    counts = items.counts
    owners = np.repeat(np.arange(counts.size), counts)
    _, inverse, holders = np.unique(items.runs, return_inverse=True, return_counts=True)
    order = np.lexsort((items.firsts, holders[inverse], owners))  # of each item, the runs of the fewest items first
    ranks = np.arange(owners.size) - np.repeat(items.offsets[:-1], counts)
    chosen = order[ranks <= (counts - needed(counts, overlap))[owners]]
    owners, firsts = owners[chosen], items.firsts[chosen]
    lengths = items.words[owners]
    encoded = Texts.of(texts)
    leads = _rarest_words(encoded, owners, firsts, lengths)
    windows = _runs(encoded, SHORTEST_ITEM)
    anchors = windows.hashes[windows.offsets[owners] + firsts + leads]
    order = np.lexsort((owners, anchors))
    columns = (anchors, items.runs[chosen], leads, lengths, owners)
    return RunEntries(*(np.ascontiguousarray(column[order]) for column in columns))


def _rarest_words(
    texts: Texts, owners: NDArray[np.int64], firsts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """``int64[n]``: where in each run, which begins at word ``firsts`` of the text of number ``owners``, the five words
    in a row begin that are rarest in all texts together."""
    single = _runs(texts, 1)
    _, inverse, counts = np.unique(single.hashes, return_inverse=True, return_counts=True)
    sums = np.append(0.0, np.cumsum(np.log(counts[inverse])))
    begins = single.offsets[owners] + firsts
    best, leads = np.full(owners.size, np.inf), np.zeros(owners.size, dtype=np.int64)
    for lead in range(int(lengths.max(initial=0)) - SHORTEST_ITEM + 1):
        last = sums.size - 1
        commonness = sums[np.minimum(begins + lead + SHORTEST_ITEM, last)] - sums[np.minimum(begins + lead, last)]
        better = (lead + SHORTEST_ITEM <= lengths) & (commonness < best)
        best[better], leads[better] = commonness[better], lead
    return leads


@dataclass(frozen=True, slots=True)
class Matches:
    """n matches, in the order of texts, then of items.

    ``texts``, ``items``: ``int64[n]``, their numbers; ``overlaps``: ``float64[n]``, share of the item's runs that the
    text holds; ``begins``: ``int64[n]``, the byte of the text at which the first of these runs begins.
    """

    texts: NDArray[np.int64]
    items: NDArray[np.int64]
    overlaps: NDArray[np.float64]
    begins: NDArray[np.int64]

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, float, int]]) -> Matches:
        """Matches one by one, as columns."""
        texts, items, overlaps, begins = zip(*found, strict=True) if found else ((), (), (), ())
        whole = np.int64
        return cls(np.array(texts, whole), np.array(items, whole), np.array(overlaps, float), np.array(begins, whole))


class EvaluationIndex:
    """Looks up texts among ``items``, of whose runs a text must hold a share of ``overlap``."""

    def __init__(self, items: ItemRuns, entries: RunEntries, overlap: float) -> None:
        self._items = items
        self._overlap = overlap
        self._table = RunTable(entries, SHORTEST_ITEM)

    def matches(self, texts: Texts) -> Matches:
        """The items that ``texts`` hold."""
        hits = self._table.find(texts)
        if not hits.texts.size:
            return Matches.of([])
        candidates = np.unique(np.stack([hits.texts, self._table.entries.owners[hits.entries]], axis=1), axis=0)
        found: list[tuple[int, int, float, int]] = []
        for text in np.unique(candidates[:, 0]).tolist():
            runs = self._table.words(texts.data[texts.starts[text] : texts.stops[text]])
            own_runs: dict[int, NDArray[np.uint64]] = {}  # by their length in words, ascending
            for item in candidates[candidates[:, 0] == text, 1].tolist():
                words, wanted = int(self._items.words[item]), self._items.of(item)
                if words not in own_runs:
                    own_runs[words] = np.unique(runs.hashes(words))
                own = own_runs[words]
                held = own[np.minimum(np.searchsorted(own, wanted), own.size - 1)] == wanted
                count = int(held.sum())
                if count >= int(needed(np.array([wanted.size]), self._overlap)[0]):
                    first = int(np.argmax(np.isin(runs.hashes(words), wanted[held])))
                    found.append((text, item, count / wanted.size, int(runs.begins[first])))
        return Matches.of(found)
