"""The records of many small shards as batches of the usual size, and their kept lines as one stream.

A batch costs as much to start with as hundreds of its documents, so what small shards hold is joined before it is
sketched. Each shard is opened, judged and compared with what was read first by itself, as a shard of its own task is.
Holds one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from slimpajama.corpus.content import ContentDigest
from slimpajama.corpus.fields import Fields
from slimpajama.corpus.line_batch import LineBatch
from slimpajama.corpus.lines import MOST_LINES, LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.corpus.records import RecordBatch, joined_batches, read_records
from slimpajama.corpus.shard_writer import changed

__all__ = ["bundle_batches", "bundle_records"]


def bundle_records(bundle: Bundle, reader: LineReader, fields: Fields, contents: list[str]) -> Iterator[RecordBatch]:
    """All records of a bundle, piece by piece, in batches of about ``reader.block_bytes``.

    The digest of each piece is appended to ``contents`` once it was read.
    """
    waiting: list[RecordBatch] = []
    size = count = 0
    content = ContentDigest()
    if len(bundle.pieces) == 1:
        yield from read_records(bundle.first, reader, fields=fields, content=content)
        contents.append(content.take())
        return
    for piece in bundle.pieces:
        for batch in read_records(piece, reader, fields=fields, content=content):
            waiting.append(batch)
            size, count = size + int(batch.sizes.sum()), count + batch.ids.size
            if size >= reader.block_bytes or count >= MOST_LINES:
                yield joined_batches(waiting)
                waiting, size, count = [], 0, 0
        contents.append(content.take())
    if waiting:
        yield joined_batches(waiting)


def bundle_batches(
    bundle: Bundle,
    numbers: NDArray[np.int64],
    positions: NDArray[np.int64],
    read: Callable[[int, slice], Iterator[LineBatch]],
) -> Iterator[LineBatch]:
    """The output lines of records, piece by piece.

    ``numbers`` ``int64[n]``: of the piece of each record, ascending; ``positions`` ``int64[n]``: where it begins there.
    ``read``: gives the lines of some of these records, which are all that are wanted of the piece of that number, and
    empty batches where a part was compared with what it was. Raises :class:`InputChanged` where lines are missing.
    """
    bounds = np.searchsorted(numbers, np.arange(len(bundle.pieces) + 1)).tolist()
    for number, piece in enumerate(bundle.pieces):
        place, end = bounds[number], bounds[number + 1]
        for batch in read(number, slice(place, end)):
            if batch:
                yield batch
                place += len(batch)
        if place < end:
            raise changed(piece, int(positions[place]))
