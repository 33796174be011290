"""``decontamination/matches.parquet``: which documents hold which evaluation items, and looking one document up."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.storage.parquet_dataset import parquet_dataset

__all__ = ["MATCHES_SCHEMA", "HeldItem", "held_items"]

MATCHES_SCHEMA = pa.schema(
    [
        ("id", pa.uint64()),
        ("source", pa.string()),
        ("shard", pa.string()),
        ("shard_position", pa.int64()),
        ("set", pa.string()),
        ("file", pa.string()),
        ("line", pa.int64()),
        ("overlap", pa.float32()),
        ("position", pa.int64()),
        ("excerpt", pa.string()),
    ]
)
"""``line``: of the item in its file, from 1; ``overlap``: share of the item's runs that the document holds;
``position``: byte of the document's text at which the first of them begins; ``excerpt``: the text from there on."""


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An evaluation item that a document holds; the fields are columns of the table."""

    set_name: str
    file: str
    line: int
    overlap: float
    position: int
    excerpt: str


def held_items(layout: DedupLayout, id: int) -> tuple[HeldItem, ...]:
    """The items that a document holds; none where the run looked for none."""
    if not layout.matches.exists():
        return ()
    dataset = parquet_dataset([layout.matches])
    import pyarrow.compute as pc

    own = dataset.to_table(filter=pc.field("id") == pa.scalar(id, pa.uint64()))
    columns = ("set", "file", "line", "overlap", "position", "excerpt")
    return tuple(HeldItem(*(row[name] for name in columns)) for row in own.to_pylist())
