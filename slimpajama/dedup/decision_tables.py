"""Looks up single decisions of a finished deduplication, by id, by place, or by the document's own id.

An id names its shard, the manifest names the table of that shard, and the statistics of the table's row groups lead to
the group that holds the id: a footer and one row group are read, however many documents there are. The
members of a cluster, and ids that records hold themselves, are found by a filter over one or two columns of all tables.
Rejected: a filter over all tables for every look-up (seconds at ten million documents, minutes at a billion), and an
index from ids to rows (another file to keep right).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from slimpajama.corpus.pieces import POSITION_BITS
from slimpajama.dedup.files.manifest import Manifest, ManifestPart
from slimpajama.storage.parquet_dataset import parquet_dataset
from slimpajama.storage.paths import opened
from slimpajama.storage.reading import reading

__all__ = ["Decision", "DecisionTables", "OneScope"]

OneScope = Literal["global", "local"]

MOST_NAMESAKES = 1000
"""Records of one own id that are looked up."""

_POSITION = (1 << POSITION_BITS) - 1


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the decisions, with the names of their columns; ``None`` where a column does not apply or exist."""

    id: int
    source: str
    shard: str
    position: int
    status: str
    cluster_global: int | None
    cluster_local: int | None
    kept_global: bool
    kept_local: bool
    bytes: int
    cleaned_chars: int | None
    match_global: str | None = None
    match_local: str | None = None
    similarity_global: float | None = None
    similarity_local: float | None = None
    size_global: int | None = None
    size_local: int | None = None
    exact_copies: int | None = None
    cluster_sources: tuple[str, ...] | None = None
    evaluation_overlap: float | None = None
    document_id: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Decision:
        """The decision in a row of a table, whose other columns are left out."""
        known = {name: row[name] for name in (one.name for one in fields(cls)) if name in row}
        if known.get("cluster_sources") is not None:
            known["cluster_sources"] = tuple(known["cluster_sources"])
        return cls(**known)

    def kept(self, scope: OneScope) -> bool:
        """Whether the scope keeps it."""
        return self.kept_global if scope == "global" else self.kept_local

    def cluster(self, scope: OneScope) -> int | None:
        """The survivor of its cluster in a scope; ``None`` where it is alone."""
        return self.cluster_global if scope == "global" else self.cluster_local

    def removed(self, scope: OneScope) -> bool:
        """Whether the scope removes it as a duplicate."""
        return self.status in ("kept", "duplicate") and not self.kept(scope)

    def match(self, scope: OneScope) -> str | None:
        """``exact`` or ``near``: how it matches the survivor, where it is removed."""
        return self.match_global if scope == "global" else self.match_local

    def size(self, scope: OneScope) -> int | None:
        """Documents in its cluster, where the scope keeps it."""
        return self.size_global if scope == "global" else self.size_local


@dataclass(frozen=True)
class DecisionTables:
    """The tables of decisions below ``root`` that ``manifest`` lists."""

    root: Path
    manifest: Manifest

    @functools.cached_property
    def tables(self) -> tuple[Path, ...]:
        """All tables, in the order of the corpus."""
        return tuple(self.root / name for name in dict.fromkeys(part.decisions for part in self.manifest.parts))

    @functools.cached_property
    def _by_input(self) -> dict[str, dict[str, ManifestPart]]:
        """The bundles that each input file is in, in the order of its pieces: each by its first part."""
        found: dict[str, dict[str, ManifestPart]] = {}
        for part in self.manifest.parts:
            for one in part.inputs:
                found.setdefault(one.path, {}).setdefault(part.bundle, part)
        return found

    @functools.cached_property
    def _numbers_of_input(self) -> dict[str, tuple[int, ...]]:
        return {one.path: one.numbers for part in self.manifest.parts for one in part.inputs}

    @functools.cached_property
    def _input_of_number(self) -> dict[int, str]:
        return {number: path for path, numbers in self._numbers_of_input.items() for number in numbers}

    @property
    def shards(self) -> Sequence[str]:
        """The input files, as paths below the input."""
        return list(self._by_input)

    def by_id(self, id: int) -> Decision | None:
        """The decision on the document with this id, if there is one."""
        return self.by_ids([id]).get(id)

    def by_ids(self, ids: Iterable[int]) -> dict[int, Decision]:
        """The decisions on those of these documents that there are; each row group is read once."""
        by_table: dict[str, set[int]] = {}
        for one in set(ids):
            part = self.part(self._input_of_number.get(one >> POSITION_BITS, ""), one & _POSITION)
            if part is not None:
                by_table.setdefault(part.decisions, set()).add(one)
        rows = (row for table, own in by_table.items() for row in _rows_of(self.root / table, own))
        return {row.id: row for row in rows}

    def at(self, shard: str, position: int) -> Decision | None:
        """The decision on the record that begins at a position of an input file, if there is one."""
        part = self.part(shard, position)
        if part is None:
            return None
        ids = {(number << POSITION_BITS) | position for number in self._numbers_of_input[shard]}
        return next(iter(_rows_of(self.root / part.decisions, ids)), None)

    def part(self, shard: str, position: int) -> ManifestPart | None:
        """The first part of the bundle that holds what begins at a position of an input file, if there is one."""
        parts = self._by_input.get(shard, {}).values()
        # A record belongs to the piece it begins in.
        return max((part for part in parts if part.start <= position), key=lambda part: part.start, default=None)

    def by_document_id(self, document_id: str) -> list[Decision]:
        """The decisions on the records that hold this id; a filter over one column of all tables."""
        return self._with_value("document_id", document_id, MOST_NAMESAKES)

    @property
    def has_document_ids(self) -> bool:
        """Whether the run had the setting ``id_field``."""
        return bool(self.tables) and "document_id" in _schema(self.tables[0]).names

    def members(self, scope: OneScope, survivor: int, most: int) -> list[Decision]:
        """The first ``most`` documents of a cluster; a filter over one column of all tables."""
        return self._with_value(f"cluster_{scope}", survivor, most)

    def _with_value(self, column: str, value: str | int, most: int) -> list[Decision]:
        """The first ``most`` rows of all tables with a value in a column."""
        import pyarrow.compute as pc

        with reading(self.root):
            dataset = parquet_dataset(self.tables)
            alike = pc.field(column) == pa.scalar(value, dataset.schema.field(column).type)
            ids = dataset.scanner(columns=["id"], filter=alike).head(most).column("id").to_pylist()
        found = self.by_ids(ids)
        return [found[one] for one in ids]


def _schema(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    with reading(path), opened(path) as source, pq.ParquetFile(source) as file:
        return file.schema_arrow


def _rows_of(path: Path, ids: set[int]) -> list[Decision]:
    """The rows of a table on these documents, of those that are there."""
    import pyarrow.parquet as pq

    found: list[Decision] = []
    wanted = np.array(sorted(ids), dtype=np.uint64)
    with reading(path), opened(path, range_bytes=1 << 20) as source, pq.ParquetFile(source) as file:
        metadata = file.metadata
        names = [metadata.schema.column(index).path for index in range(metadata.num_columns)]
        column = names.index("id")
        for number in range(metadata.num_row_groups):
            span = metadata.row_group(number).column(column).statistics
            if span is not None and span.has_min_max and not any(span.min <= one <= span.max for one in ids):
                continue
            own = file.read_row_group(number, columns=["id"]).column("id").to_numpy()
            places = np.flatnonzero(np.isin(own, wanted)).tolist()
            if places:
                rows = file.read_row_group(number)
                found += (Decision.of(rows.slice(place, 1).to_pylist()[0]) for place in places)
    return found
