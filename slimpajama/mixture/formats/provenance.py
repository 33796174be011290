"""Which documents a sequence is made of: ``document_ids``, and ``document_tokens``, how many tokens of each.

Two columns of lists, in the order of the tokens: of the Parquet file itself, or, for a format that has no columns, of a
Parquet file beside it with the ending ``.provenance``, row by row as its sequences. Ids are those of the decisions of
the deduplication. Costs some 12 bytes a document. Rejected: sources and texts, which the decisions and shards have.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slimpajama.mixture.formats.base import SequenceGroup, stretches
from slimpajama.storage.paths import opened

__all__ = [
    "PROVENANCE_ENDING",
    "PROVENANCE_FIELDS",
    "ProvenanceWriter",
    "provenance_arrays",
    "provenance_difference",
    "provenance_differences",
]

PROVENANCE_ENDING = ".provenance"

PROVENANCE_FIELDS = (
    pa.field("document_ids", pa.list_(pa.uint64()), nullable=False),
    pa.field("document_tokens", pa.list_(pa.int32()), nullable=False),
)


def provenance_arrays(group: SequenceGroup) -> list[pa.Array]:
    """The two columns of a group."""
    rows, length = group.tokens.shape
    begins, ends = stretches(group)
    edges = np.searchsorted(begins, np.arange(rows + 1, dtype=np.int64) * length).astype(np.int32)
    columns = (pa.array(group.ids, pa.uint64()), pa.array((ends - begins).astype(np.int32)))
    return [pa.ListArray.from_arrays(pa.array(edges), column) for column in columns]


def provenance_difference(table: pa.Table, group: SequenceGroup) -> str:
    """How a row group differs from the provenance that it should have, or nothing."""
    for field, expected in zip(PROVENANCE_FIELDS, provenance_arrays(group), strict=True):
        if not table.column(field.name).combine_chunks().equals(expected):
            return f"differs from plan and store in column {field.name}"
    return ""


class ProvenanceWriter:
    """Writes the file beside, a row group for each group; use as a context."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, pa.schema(PROVENANCE_FIELDS), compression="zstd", write_statistics=False)

    def __enter__(self) -> ProvenanceWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, group: SequenceGroup) -> None:
        """Append a group."""
        table = pa.Table.from_arrays(provenance_arrays(group), schema=pa.schema(PROVENANCE_FIELDS))
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))


def provenance_differences(path: Path, groups: Iterator[SequenceGroup]) -> Iterator[str]:
    """Read a file beside again: a clause for the first group that differs."""
    with opened(path) as source, pq.ParquetFile(source) as file:
        number = -1
        for number, group in enumerate(groups):
            if number == file.num_row_groups:
                yield f"ends after {number} row groups"
                return
            difference = provenance_difference(file.read_row_group(number), group)
            if difference:
                yield f"{difference} of row group {number}"
                return
        if number + 1 != file.num_row_groups:
            yield "holds more than the planned sequences"
