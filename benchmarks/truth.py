"""What a deduplication of a corpus is judged by: its documents, their shingle sets, and all pairs of J >= 0.5.

Made once for an input, in minutes, compared with sets of strings for some documents, and kept as one file in a folder
for later runs. The file's name holds a digest of the input's files and of how sets are made, so another input or
another kind of shingle makes another file.
"""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.exact_jaccard import Pairs, ShingleSets, join, shingle_sets
from benchmarks.peer_programs.shards import shingles
from slimpajama.corpus.discovery import POSITION_BITS, Corpus, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.text.cleaning import clean_code_points
from slimpajama.text.nfc import nfc

__all__ = ["LEAST_PERCENT", "MIN_CLEANED", "Truth", "compare_by_hand", "documents", "truth_of"]

LEAST_PERCENT = 50
"""Pairs of less similarity are not listed."""

MIN_CLEANED = 200
"""Documents of fewer cleaned characters are left out, as deduplication leaves them out."""

LONGEST_BY_HAND = 6_000
"""Characters of a text that is compared without the join."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Truth:
    """n documents in the order in which pieces are read. ``names``: ``shard:position`` of each. ``bytes`` ``int64[n]``:
    of their texts. ``pairs``: all of J >= 0.5."""

    names: list[str]
    bytes: NDArray[np.int64]
    sets: ShingleSets
    pairs: Pairs


def documents(corpus: Corpus) -> tuple[list[str], list[str]]:
    """Names and texts of all documents that are long enough."""
    reader = LineReader()
    names, texts = [], []
    for piece in corpus.pieces:
        shards = {shard.index: piece.file.relative for shard in piece.shards}
        for batch in read_records(piece, reader):
            sound = batch.ids[batch.sound].tolist()
            for number, text in zip(sound, map(nfc, batch.texts.decoded()), strict=True):
                if clean_code_points(text).size >= MIN_CLEANED:
                    shard, position = number >> POSITION_BITS, number & ((1 << POSITION_BITS) - 1)
                    names.append(f"{shards[shard]}:{position}")
                    texts.append(text)
    return names, texts


def truth_of(folder: Path, cache: Path) -> Truth:
    """The truth of all shards below ``folder``, from ``cache`` if it is there."""
    corpus = discover(folder)
    files = [(piece.name, piece.file.size, piece.file.modified_ns) for piece in corpus.pieces]
    known = (_VERSION, MIN_CLEANED, LEAST_PERCENT, files)
    file = cache / f"truth-{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}.npz"
    if not file.exists():
        names, texts = documents(corpus)
        sizes = np.array([len(text.encode()) for text in texts], dtype=np.int64)
        sets = shingle_sets(texts)
        truth = Truth(names, sizes, sets, join(sets, LEAST_PERCENT))
        compare_by_hand(truth, texts)
        _save(truth, file)
    return _load(file)


def compare_by_hand(truth: Truth, texts: list[str], some: int = 400) -> None:
    """Compare ``some`` texts pair by pair, as sets of strings, half of them drawn from the pairs that were found.

    Raises :class:`ValueError` where that is not what the join says.
    """
    rng = random.Random(1)
    short = [number for number, text in enumerate(texts) if len(text) < LONGEST_BY_HAND]
    paired = sorted(set(truth.pairs.left.tolist()) & set(short))
    drawn = {*rng.sample(short, min(some // 2, len(short))), *rng.sample(paired, min(some // 4, len(paired)))}
    partners = dict(zip(truth.pairs.left.tolist(), truth.pairs.right.tolist(), strict=True))
    chosen = sorted(drawn | {partners[number] for number in drawn if number in partners} & set(short))
    sets = {number: set(shingles(texts[number])) for number in chosen}
    found = set(zip(truth.pairs.left.tolist(), truth.pairs.right.tolist(), truth.pairs.common.tolist(), strict=True))
    for one, other in combinations(chosen, 2):
        common = len(sets[one] & sets[other])
        near = 100 * common >= LEAST_PERCENT * len(sets[one] | sets[other])
        if near != ((one, other, common) in found):
            raise ValueError(f"{truth.names[one]} and {truth.names[other]} share {common} shingles; the join differs")


def _save(truth: Truth, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    with unfinished.open("wb") as stream:
        np.savez(
            stream,
            names=np.array(truth.names),
            bytes=truth.bytes,
            sizes=truth.sets.sizes,
            starts=truth.sets.starts,
            shared=truth.sets.shared,
            pairs=np.stack([truth.pairs.left, truth.pairs.right, truth.pairs.common]),
        )
    unfinished.rename(file)


def _load(file: Path) -> Truth:
    with np.load(file) as stored:
        return Truth(
            names=stored["names"].tolist(),
            bytes=stored["bytes"],
            sets=ShingleSets(stored["sizes"], stored["starts"], stored["shared"]),
            pairs=Pairs(*stored["pairs"]),
        )
