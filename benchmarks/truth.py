"""What a deduplication of a corpus is judged by: its documents, their shingle sets, and all pairs of J >= 0.5.

Made once for an input, in minutes, and kept as one file in a folder for later runs. The file's name holds a digest of
the input's files and of how sets are made, so another input or another kind of shingle makes another file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.exact_jaccard import Pairs, ShingleSets, join, shingle_sets
from slimpajama.corpus.discovery import POSITION_BITS, Corpus, discover
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.records import read_records
from slimpajama.text.cleaning import clean_code_points
from slimpajama.text.nfc import nfc

__all__ = ["LEAST_PERCENT", "MIN_CLEANED", "Truth", "documents", "truth_of"]

LEAST_PERCENT = 50
"""Pairs of less similarity are not listed."""

MIN_CLEANED = 200
"""Documents of fewer cleaned characters are left out, as deduplication leaves them out."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Truth:
    """n documents in the order of their ids. ``names``: ``shard:position`` of each. ``bytes`` ``int64[n]``: of their
    texts. ``pairs``: all of J >= 0.5."""

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
            sound = [number for place, number in enumerate(batch.ids) if place not in batch.bad]
            for number, text in zip(sound, map(nfc, batch.texts), strict=True):
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
        _save(Truth(names, sizes, sets, join(sets, LEAST_PERCENT)), file)
    return _load(file)


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
