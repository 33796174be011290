"""The split that an input comes with: shards in folders called ``validation`` or ``test`` beside one called ``train``.

Where there is one, nothing is drawn, in no source: whoever published it compares results on it. Looks at paths alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.tokens.holdout import SPLITS, TRAIN

__all__ = ["published_splits"]


def published_splits(names: Sequence[str]) -> tuple[int, ...]:
    """For each shard, by its path, the index of its split in ``SPLITS``; all train where no split is published."""
    folders = [tuple(name.split("/")[:-1]) for name in names]
    beside_train = {folder[:depth] for folder in folders for depth, name in enumerate(folder) if name == SPLITS[TRAIN]}
    return tuple(_split_of(folder, beside_train) for folder in folders)


def _split_of(folder: tuple[str, ...], beside_train: set[tuple[str, ...]]) -> int:
    for depth, name in enumerate(folder):
        if name in SPLITS[1:] and folder[:depth] in beside_train:
            return SPLITS.index(name)
    return TRAIN
