"""What a finished store holds out, as ``holdout.npy`` lists it: read from its buckets, so it can be made again.

Reads the rows of pieces of validation and test, no tokens. Memory: 24 bytes for each held-out document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, write_array
from slimpajama.tokens.holdout import HELD_OUT, SPLITS
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.reading_store import reading_store
from slimpajama.tokens.store import BucketEntry

__all__ = ["Entries", "held_out_rows", "write_holdout"]

Entries: TypeAlias = Mapping[str, Mapping[str, Sequence[BucketEntry]]]
"""By source and split, the buckets of a store."""


def write_holdout(layout: StoreLayout, entries: Entries) -> FileRecord:
    """Write ``holdout.npy`` of what lies in the buckets of validation and test."""
    rows = held_out_rows(layout, entries)
    return write_array(layout.holdout, HELD_OUT, rows.size, [rows])


def held_out_rows(layout: StoreLayout, entries: Entries) -> NDArray[np.void]:
    """The contents that lie in the buckets of validation and test, as rows ``HELD_OUT``, by content.

    Raises :class:`InputError` where one cannot be read.
    """
    found = [np.zeros(0, dtype=HELD_OUT)]
    for source, splits in entries.items():
        for split in SPLITS[1:]:
            files = [layout.bucket(source, split, number).documents for number in range(len(splits[split]))]
            if not files:
                continue
            with reading_store():
                rows = np.concatenate([*map(map_array, files)])
            contents, which = np.unique(rows["text"], axis=0, return_inverse=True)
            table = np.zeros(contents.shape[0], dtype=HELD_OUT)
            table["text"], table["split"] = contents, SPLITS.index(split)
            np.add.at(table["tokens"], which.ravel(), rows["tokens"].astype(np.uint64))
            found.append(table)
    rows = np.concatenate(found)
    return rows[np.lexsort((rows["text"][:, 1], rows["text"][:, 0]))]
