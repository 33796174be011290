"""Runs of words that are looked for in texts: a sorted table behind a table of bits.

Most runs of a text are in no table, so the first look is at a block of 64 bits, in which each of four to eight entries
has set three: one run in thirty or fewer passes. Entries of equal leading bits lie in one bucket, of which there are
about as many as entries. An entry is found by its *anchor*, a few words of it, and counts if the *whole* run around
them is there, too: so runs of all lengths are found by one look for each word. Costs 50 bytes an entry.
Rejected: a look for each length (nine a word), and a binary search for every word (twenty cache misses).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts
from slimpajama.engine.kernels import kernel
from slimpajama.text.run_letters import letters
from slimpajama.text.word_runs import WordScratch, hash_words, power, run_hash

__all__ = ["RunEntries", "RunHits", "RunTable"]

_IN_BLOCK = 8
"""Entries whose marks are in one block of 64 bits, at most, on average."""
_AT_ONCE = 1024
_ONE, _SIX, _TWELVE, _LOW = map(np.uint64, (1, 6, 12, 63))


@dataclass(frozen=True, slots=True)
class RunEntries:
    """n runs, in the order of their anchors.

    ``anchors``, ``wholes``: ``uint64[n]``, hashes of the anchor and of the whole run; ``leads``, ``lengths``:
    ``int64[n]``, words of the whole before the anchor, and all; ``owners``: ``int64[n]``, what the run belongs to.
    """

    anchors: NDArray[np.uint64]
    wholes: NDArray[np.uint64]
    leads: NDArray[np.int64]
    lengths: NDArray[np.int64]
    owners: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RunHits:
    """Where entries were found, ``int64[n]`` each: the number of the text, that of the entry, and the byte of the text
    at which the run begins."""

    texts: NDArray[np.int64]
    entries: NDArray[np.int64]
    begins: NDArray[np.int64]


class RunTable:
    """Looks for ``entries`` by their anchors, of ``anchor_words`` words each."""

    def __init__(self, entries: RunEntries, anchor_words: int) -> None:
        # Kernels are compiled for arrays that can be written to, and for others: entries may come from a mapped file.
        self.entries = entries = RunEntries(*(_read_only(getattr(entries, one.name)) for one in fields(entries)))
        count = entries.anchors.size
        blocks = max(1, int(count // _IN_BLOCK).bit_length())
        buckets = max(1, int(count - 1).bit_length())
        self._anchor_words = anchor_words
        self._block_shift, self._bucket_shift = np.uint64(64 - blocks), np.uint64(64 - buckets)
        self._blocks = np.zeros(1 << blocks, dtype=np.uint64)
        self._maybe = np.empty(_AT_ONCE + 1, dtype=np.uint64)
        self._firsts = np.zeros((1 << buckets) + 1, dtype=np.int64)
        _fill(entries.anchors, self._block_shift, self._bucket_shift, self._blocks, self._firsts)
        longest = max(anchor_words, int(entries.lengths.max(initial=0)))
        self._powers = np.array([power(length) for length in range(longest + 1)], dtype=np.uint64)
        self._scratch = WordScratch()
        self._found = np.empty((1 << 12, 3), dtype=np.int64)

    def find(self, texts: Texts) -> RunHits:
        """All places of all entries in ``texts``."""
        entries = self.entries
        self._scratch.make_ready(int(texts.sizes.max(initial=0)))
        while True:
            count = _find_runs(
                texts.data,
                texts.starts,
                texts.stops,
                letters(),
                self._scratch.padded,
                self._scratch.edges,
                self._scratch.prefixes,
                self._scratch.begins,
                entries.anchors,
                entries.wholes,
                entries.leads,
                entries.lengths,
                self._powers,
                self._blocks,
                self._block_shift,
                self._firsts,
                self._bucket_shift,
                self._anchor_words,
                self._maybe,
                self._found,
            )
            if count <= self._found.shape[0]:
                found = self._found[:count]
                return RunHits(found[:, 0].copy(), found[:, 1].copy(), found[:, 2].copy())
            self._found = np.empty((count, 3), dtype=np.int64)

    def words(self, text: NDArray[np.uint8]) -> TextRuns:
        """All runs of one text ``uint8[n]``."""
        scratch = self._scratch
        scratch.make_ready(text.size)
        count = hash_words(text, letters(), scratch.padded, scratch.edges, scratch.prefixes, scratch.begins)
        return TextRuns(scratch.prefixes[: count + 1].copy(), scratch.begins[:count].astype(np.int64))


@dataclass(frozen=True, slots=True)
class TextRuns:
    """The words of one text: ``prefixes`` ``uint64[n + 1]`` of their hashes, ``begins`` ``int64[n]`` in bytes."""

    prefixes: NDArray[np.uint64]
    begins: NDArray[np.int64]

    def hashes(self, length: int) -> NDArray[np.uint64]:
        """``uint64[max(0, n - length + 1)]``: of all runs of so many words, in order."""
        hashes = np.empty(max(0, self.begins.size - length + 1), dtype=np.uint64)
        _hash_runs(self.prefixes, length, power(length), hashes)
        return hashes


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


@kernel
def _hash_runs(prefixes: NDArray[np.uint64], length: int, raised: np.uint64, hashes: NDArray[np.uint64]) -> None:
    for first in range(hashes.shape[0]):
        hashes[first] = run_hash(prefixes, first, length, raised)


@kernel
def _marks(anchor: np.uint64) -> np.uint64:
    """Up to three bits, by the lowest bits of an anchor."""
    return (  # type: ignore[no-any-return]
        (_ONE << (anchor & _LOW)) | (_ONE << ((anchor >> _SIX) & _LOW)) | (_ONE << ((anchor >> _TWELVE) & _LOW))
    )


@kernel
def _fill(
    anchors: NDArray[np.uint64],
    block_shift: np.uint64,
    bucket_shift: np.uint64,
    blocks: NDArray[np.uint64],
    firsts: NDArray[np.int64],
) -> None:
    """Mark ``anchors`` in ``blocks``, and set where the entries of each bucket begin."""
    for anchor in anchors:
        blocks[anchor >> block_shift] |= _marks(anchor)
        firsts[(anchor >> bucket_shift) + _ONE] += 1
    for bucket in range(1, firsts.shape[0]):
        firsts[bucket] += firsts[bucket - 1]


@kernel
def _find_runs(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    table: NDArray[np.uint32],
    padded: NDArray[np.uint8],
    edges: NDArray[np.uint64],
    prefixes: NDArray[np.uint64],
    begins: NDArray[np.uint64],
    anchors: NDArray[np.uint64],
    wholes: NDArray[np.uint64],
    leads: NDArray[np.int64],
    lengths: NDArray[np.int64],
    powers: NDArray[np.uint64],
    blocks: NDArray[np.uint64],
    block_shift: np.uint64,
    firsts: NDArray[np.int64],
    bucket_shift: np.uint64,
    anchor_words: int,
    maybe: NDArray[np.uint64],
    found: NDArray[np.int64],
) -> int:
    """Fill ``found`` ``int64[m, 3]`` as far as it goes; returns how many places there are."""
    count = 0
    ahead, raised = np.uint64(anchor_words), powers[anchor_words]
    for text in range(starts.shape[0]):
        words = hash_words(data[starts[text] : stops[text]], table, padded, edges, prefixes, begins)
        last = np.uint64(max(0, words - anchor_words + 1))
        first = np.uint64(0)
        while first < last:
            # Places that may be in the table are gathered before any is looked at: so no word waits for another.
            stop = min(last, first + np.uint64(maybe.shape[0] - 1))
            candidates = np.uint64(0)
            while first < stop:
                anchor = prefixes[first + ahead] - prefixes[first] * raised
                marks = _marks(anchor)
                maybe[candidates] = first
                candidates += np.uint64(blocks[anchor >> block_shift] & marks == marks)
                first += _ONE
            for candidate in range(candidates):
                place = maybe[candidate]
                anchor = prefixes[place + ahead] - prefixes[place] * raised
                bucket = anchor >> bucket_shift
                for entry in range(firsts[bucket], firsts[bucket + _ONE]):
                    if anchors[entry] != anchor:
                        continue
                    begin, length = np.int64(place) - leads[entry], lengths[entry]
                    if begin < 0 or begin + length > words:
                        continue
                    if run_hash(prefixes, begin, length, powers[length]) != wholes[entry]:
                        continue
                    if count < found.shape[0]:
                        found[count, 0] = text
                        found[count, 1] = entry
                        found[count, 2] = np.int64(begins[begin])
                    count += 1
    return count
