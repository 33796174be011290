"""The split that an input comes with: shards in folders called ``validation`` or ``test`` beside one called ``train``.

These folders may lie at the top of the input or anywhere below it. Mixtures take such a split and draw nothing, in no
source: whoever published it compares results on it. Looks at paths alone.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["HELD_OUT", "TRAIN", "published_splits"]

TRAIN = "train"
HELD_OUT = ("validation", "test")


def published_splits(paths: Sequence[str]) -> tuple[str, ...]:
    """For each shard, by its path, the split that it is published for; all train where no split is published."""
    folders = [tuple(path.split("/")[:-1]) for path in paths]
    beside_train = {folder[:depth] for folder in folders for depth, name in enumerate(folder) if name == TRAIN}
    return tuple(_split_of(folder, beside_train) for folder in folders)


def _split_of(folder: tuple[str, ...], beside_train: set[tuple[str, ...]]) -> str:
    for depth, name in enumerate(folder):
        if name in HELD_OUT and folder[:depth] in beside_train:
            return name
    return TRAIN
