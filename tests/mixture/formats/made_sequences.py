"""Sequences as lists, made by chance, and written in a format."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from slimpajama.mixture.formats.base import MixtureFormat, SequenceGroup, SequenceShape, WrittenPart
from slimpajama.storage.atomic import atomic_file


@dataclass
class Sequences:
    """Sequences as lists: ids, the places where documents begin, the source, and tokens before the padding."""

    tokens: list[list[int]]
    starts: list[list[int]]
    sources: list[int]
    filled: list[int]

    def group(self, first: int, last: int, padded: bool) -> SequenceGroup:
        length = len(self.tokens[0])
        places = [(row - first) * length + start for row in range(first, last) for start in self.starts[row]]
        return SequenceGroup(
            np.array(self.tokens[first:last], dtype=np.uint32),
            np.array(places, dtype=np.int64),
            np.array(self.sources[first:last], dtype=np.int32),
            np.array(self.filled[first:last], dtype=np.int64) if padded else None,
        )


def made(seed: int, rows: int, length: int, vocabulary: int, padded: bool) -> Sequences:
    rng = np.random.default_rng(seed)
    filled = rng.integers(1, length + 1, rows).tolist() if padded else [length] * rows
    starts = [sorted({*rng.integers(0, full, rng.integers(0, 4)).tolist()}) for full in filled]
    return Sequences(
        rng.integers(0, vocabulary, (rows, length)).tolist(), starts, rng.integers(0, 2, rows).tolist(), filled
    )


def write(format: MixtureFormat, stem: Path, shape: SequenceShape, groups: Sequence[SequenceGroup]) -> list[Path]:
    paths = [stem.with_name(stem.name + ending) for ending in format.endings]
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_file(path)) for path in paths]
        writer = stack.enter_context(format.writer([cast(BinaryIO, file) for file in files], shape))
        for group in groups:
            writer.write(group)
    part = WrittenPart(paths[0].name, paths[0].stat().st_size, sum(group.tokens.shape[0] for group in groups))
    for name, content in format.folder_files(shape, [part]).items():
        stem.with_name(name).write_bytes(content)
    return paths
