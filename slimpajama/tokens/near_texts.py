"""Which texts say nearly the same as a held-out one: they hold half of its 13-word runs, or it holds half of theirs.

Containment either way, so that neither a page around a held-out text nor an excerpt of one stays in train. Runs that
stand in more than 32 documents do not count, on either side: a licence, a notice of cookies or the frame of a forum is
what it is in every document, and held-out texts with them would take all others along (of the real text of the tests,
one licence would take 236 of 3,000 files of GitHub). A held-out text that consists of such runs is thus not searched
for; how many do, for at least half, is found as well. Costs two passes over what documents share with held-out texts,
four bytes a run of theirs. Memory: that of one shard. Rejected: the whole of both texts as the measure, common runs
included in it (a page whose frame is longer than its text would never be near another).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.texts import Texts
from slimpajama.engine.heartbeat import beat
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, write_array
from slimpajama.tokens.contents import sorted_contents, text_hashes
from slimpajama.tokens.held_out_runs import HeldOutRuns, distinct_runs

__all__ = ["MOST_HOLDERS", "SHARING", "NearTexts", "SharingFiles", "near_contents", "sharing_of", "write_sharing"]

MOST_HOLDERS = 32
"""Documents that a run may stand in to count."""

COMMON_SHARE = 0.5
"""Of the runs of a held-out text: where so many stand in more documents, train may hold most of it."""

SHARING = np.dtype([("text", "<u8", (2,)), ("runs", "<u4"), ("shared", "<u4")])
"""A document that shares runs with held-out texts: its content, its runs, each once, and how many it ``shared``."""


@dataclass(frozen=True, slots=True)
class SharingFiles:
    """Rows ``SHARING``, and the numbers of the runs that they share, ``uint32``, one after the other."""

    documents: Path
    runs: Path


@dataclass(frozen=True, slots=True)
class Sharing:
    """The content of :class:`SharingFiles`."""

    rows: NDArray[np.void]
    runs: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class NearTexts:
    """``contents``: ``uint64[n, 2]``, sorted, of those that are near a held-out text.

    ``common``: ``bool[h]``, which held-out texts consist, for at least ``COMMON_SHARE``, of runs that do not count.
    """

    contents: NDArray[np.uint64]
    common: NDArray[np.bool_]


def sharing_of(texts: Texts, held_out: HeldOutRuns) -> Sharing:
    """What normalised ``texts`` share with held-out ones."""
    numbers, runs = held_out.shared(texts)
    places, counts = np.unique(numbers, return_counts=True)
    rows = np.zeros(places.size, dtype=SHARING)
    sharing = texts.chosen(places)
    rows["text"], rows["shared"] = text_hashes(sharing.encoded()), counts
    rows["runs"] = np.diff(distinct_runs(sharing, held_out.every).offsets)
    return Sharing(rows, runs.astype(np.uint32))


def write_sharing(files: SharingFiles, parts: Sequence[Sharing]) -> tuple[FileRecord, FileRecord]:
    """Write all ``parts``, in order."""
    rows, runs = [part.rows for part in parts], [part.runs for part in parts]
    return (
        write_array(files.documents, SHARING, sum(part.size for part in rows), rows),
        write_array(files.runs, np.dtype("<u4"), sum(part.size for part in runs), runs),
    )


def near_contents(
    held_out: HeldOutRuns, files: Sequence[SharingFiles], share: float, most_holders: int = MOST_HOLDERS
) -> NearTexts:
    """The texts that share at least ``share`` of the runs of one of the two texts."""
    holders = np.zeros(held_out.runs.size, dtype=np.int64)
    for file in files:
        beat()
        holders += np.bincount(map_array(file.runs), minlength=holders.size)
    counts = holders <= most_holders
    per_run = np.diff(held_out.firsts)
    sizes = np.bincount(held_out.texts[np.repeat(counts, per_run)], minlength=held_out.sizes.size)
    # Of the texts that hold a run, the one with the fewest runs is the easiest to be near to.
    smallest = np.minimum.reduceat(sizes[held_out.texts], held_out.firsts[:-1]) if counts.size else sizes
    found = [np.zeros((0, 2), dtype=np.uint64)]
    for file in files:
        beat()
        rows, runs = map_array(file.documents), map_array(file.runs)
        if not rows.size:
            continue
        ends = np.cumsum(rows["shared"], dtype=np.int64)
        begins = ends - rows["shared"]
        shared = np.add.reduceat(counts[runs].astype(np.int64), begins)
        own = rows["runs"].astype(np.int64) - (rows["shared"] - shared)
        least = np.minimum.reduceat(np.where(counts[runs], smallest[runs], np.iinfo(np.int64).max), begins)
        may_be = np.flatnonzero((shared > 0) & (shared >= _enough(share, np.minimum(own, least))))
        near = [
            place
            for place in may_be.tolist()
            if _is_near(held_out, runs[begins[place] : ends[place]], counts, sizes, own[place], share)
        ]
        found.append(rows["text"][near].astype(np.uint64))
    common = (sizes <= (1 - COMMON_SHARE) * held_out.sizes) & (held_out.sizes > 0)
    return NearTexts(sorted_contents(np.concatenate(found)), common)


def _is_near(
    held_out: HeldOutRuns,
    runs: NDArray[np.uint32],
    counts: NDArray[np.bool_],
    sizes: NDArray[np.int64],
    own: int,
    share: float,
) -> bool:
    """Whether a document of ``own`` runs that shares ``runs`` is near one held-out text, of ``sizes`` runs each."""
    runs = runs[counts[runs]]
    parts = [held_out.texts[held_out.firsts[run] : held_out.firsts[run + 1]] for run in runs.tolist()]
    texts, shared = np.unique(np.concatenate(parts), return_counts=True)
    return bool((shared >= _enough(share, np.minimum(own, sizes[texts]))).any())


def _enough(share: float, runs: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(runs * share - 1e-9, dtype=np.float64)
