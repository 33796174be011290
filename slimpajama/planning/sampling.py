"""A sample of a corpus as a small corpus of its own: the beginnings of shards drawn by a seed, in the same folders.

Of a shard that is larger than its part, whole lines from the beginning are taken (or whole row groups of Parquet), and
what part of the file they stand for is measured: so it is known how much text a byte of a file holds, and how many
documents. Half of the sample goes to sources by their size, half to all alike, so that a small source is known, too.
Costs reading, decompressing and writing the sample. Rejected: documents drawn from everywhere (the whole corpus would
have to be read).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimpajama.corpus.discovery import Corpus, ShardFile

__all__ = ["SampledFile", "draw_sample", "strata_of"]

FEWEST_FILES = 4
"""Of each stratum, where it has so many: one alone would say nothing of how they differ."""

FEWEST_BYTES = 1 << 20
"""Of each of these files: less is mostly the edge, where a block of the compression or a line is cut."""


@dataclass(frozen=True, slots=True)
class SampledFile:
    """What was taken stands for ``taken`` bytes of a file of ``size`` bytes of the ``stratum``."""

    relative: str
    stratum: int
    size: int
    taken: int


def strata_of(corpus: Corpus) -> dict[int, list[ShardFile]]:
    """The files of each source, by its number, or by -1 where each file holds several sources."""
    strata: dict[int, list[ShardFile]] = {}
    for piece in {piece.file.relative: piece for piece in corpus.pieces}.values():
        strata.setdefault(-1 if piece.mixed else piece.shards[0].source, []).append(piece.file)
    return strata


def draw_sample(
    corpus: Corpus, wanted: int, target: Path, seed: int, fewest_bytes: int = FEWEST_BYTES
) -> list[SampledFile]:
    """Write about ``wanted`` bytes of the corpus' files below ``target``; returns what was taken.

    At least ``fewest_bytes`` are taken of each file that is drawn.

    Raises :class:`ShardUnreadable` for a file that is not what its name says.
    """
    strata = strata_of(corpus)
    whole = sum(file.size for file in corpus.files)
    sampled = []
    for stratum, members in sorted(strata.items()):
        own = sum(file.size for file in members)
        budget = math.ceil(wanted * (own / max(whole, 1) + 1 / len(strata)) / 2)
        rng = random.Random(f"{seed} {stratum}")  # noqa: S311 - nothing secret
        sampled += _from_stratum(stratum, members, budget, target, rng, fewest_bytes)
    return sampled


def _from_stratum(
    stratum: int, members: Sequence[ShardFile], budget: int, target: Path, rng: random.Random, fewest_bytes: int
) -> list[SampledFile]:
    fewest = min(FEWEST_FILES, len(members))
    share = max(fewest_bytes, budget // fewest)
    found: list[SampledFile] = []
    for file in rng.sample(list(members), len(members)):
        if len(found) >= fewest and sum(one.taken for one in found) >= budget:
            break
        path = target / file.relative
        path.parent.mkdir(parents=True, exist_ok=True)
        found.append(SampledFile(file.relative, stratum, file.size, file.format.copy_beginning(file, share, path)))
    return found
