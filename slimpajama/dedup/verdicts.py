"""The verdict on every record, from its row and the groups.

Nothing but arithmetic on arrays; the stage that writes the tables is :mod:`slimpajama.dedup.stages.decide`, and what is
counted of verdicts is in :mod:`slimpajama.dedup.tally`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from slimpajama.dedup.files.groups import Groups
from slimpajama.dedup.files.sketches import BAD, CONTAMINATED, DOCUMENT_ID, SHORT, SOUND

__all__ = ["MATCHES", "SCHEMA", "VERDICTS", "InScope", "Verdicts", "decide", "decisions_schema", "source_lists"]

VERDICTS = ("kept", "short", "bad", "duplicate", "contaminated")

MATCHES = ("near", "exact")
"""How a removed document matches its survivor: in some of its bands, or in all of its cleaned text."""

SCHEMA = pa.schema(
    [
        ("id", pa.uint64()),
        ("source", pa.string()),
        ("shard", pa.string()),
        ("position", pa.int64()),
        ("status", pa.string()),
        ("cluster_global", pa.uint64()),
        ("cluster_local", pa.uint64()),
        ("kept_global", pa.bool_()),
        ("kept_local", pa.bool_()),
        ("bytes", pa.int64()),
        ("cleaned_chars", pa.int64()),
        ("match_global", pa.string()),
        ("match_local", pa.string()),
        ("similarity_global", pa.float32()),
        ("similarity_local", pa.float32()),
        ("size_global", pa.int64()),
        ("size_local", pa.int64()),
        ("exact_copies", pa.int64()),
        ("cluster_sources", pa.list_(pa.string())),
    ]
)

EVALUATION_OVERLAP = pa.field("evaluation_overlap", pa.float32())
"""With decontamination only: the largest share of an item that a document holds, null where it holds none."""


def decisions_schema(decontaminated: bool, with_document_ids: bool) -> pa.Schema:
    """The columns of a table of decisions, by what the run was asked for."""
    schema = SCHEMA.append(EVALUATION_OVERLAP) if decontaminated else SCHEMA
    return schema.append(DOCUMENT_ID) if with_document_ids else schema


@dataclass(frozen=True, slots=True)
class InScope:
    """What becomes of n records in one scope.

    ``grouped`` ``bool[n]``: in a cluster with others; ``survivors`` ``uint64[n]``: the id of the one that stays, its
    own where it is alone; ``similarity`` ``float32[n]`` to it, NaN where not computed; ``kept``, ``exact`` ``bool[n]``:
    it stays, or is removed for one of equal text. ``size``, ``copies`` ``int64[n]``: documents in its cluster, and of
    equal text there, where it stays, else 0.
    """

    grouped: NDArray[np.bool_]
    survivors: NDArray[np.uint64]
    similarity: NDArray[np.float32]
    kept: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    size: NDArray[np.int64]
    copies: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What becomes of n records. ``status`` ``uint8[n]`` indexes ``VERDICTS`` and is the global one; ``sources``
    ``bool[n, s]``: which sources are in its global cluster, where it stays there."""

    status: NDArray[np.uint8]
    global_: InScope
    local: InScope
    sources: NDArray[np.bool_]


def decide(
    ids: NDArray[np.uint64],
    status: NDArray[np.uint8],
    own_sources: NDArray[np.uint8],
    sources: int,
    global_groups: Groups,
    local_groups: Groups,
) -> Verdicts:
    """Look up records ``ids`` ``uint64[n]`` with row ``status`` ``uint8[n]`` in the groups of both scopes.

    A sound document is kept where it survives its cluster, or is in none. ``own_sources`` ``uint8[n]``: the source of
    each, of so many ``sources``.
    """
    sound = status == SOUND
    in_global, places = _in_scope(ids, sound, global_groups)
    in_local, _ = _in_scope(ids, sound, local_groups)
    verdict = np.full(ids.size, VERDICTS.index("duplicate"), dtype=np.uint8)
    verdict[in_global.kept] = VERDICTS.index("kept")
    verdict[status == SHORT] = VERDICTS.index("short")
    verdict[status == BAD] = VERDICTS.index("bad")
    verdict[status == CONTAMINATED] = VERDICTS.index("contaminated")
    present = np.zeros((ids.size, sources), dtype=np.bool_)
    alone = np.flatnonzero(in_global.kept & ~in_global.grouped)
    present[alone, own_sources[alone]] = True
    first = np.flatnonzero(in_global.kept & in_global.grouped)
    bits = np.unpackbits(global_groups.sources[places[first]], axis=1, bitorder="little")
    present[first] = bits[:, :sources]
    return Verdicts(verdict, in_global, in_local, present)


def _in_scope(ids: NDArray[np.uint64], sound: NDArray[np.bool_], groups: Groups) -> tuple[InScope, NDArray[np.int64]]:
    """What one scope says of records, and the place of each in ``groups``, valid where it is grouped."""
    places = np.zeros(ids.size, dtype=np.int64)
    grouped = np.zeros(ids.size, dtype=np.bool_)
    if groups.id.size:
        places = np.minimum(np.searchsorted(groups.id, ids), groups.id.size - 1)
        grouped = groups.id[places] == ids
    survivors = ids.copy()
    survivors[grouped] = groups.survivor[places[grouped]]
    kept = sound & (survivors == ids)
    size = kept.astype(np.int64)
    copies = size.copy()
    exact = np.zeros(ids.size, dtype=np.bool_)
    similarity = np.full(ids.size, np.nan, dtype=np.float32)
    exact[grouped] = groups.exact[places[grouped]]
    similarity[grouped] = groups.similarity[places[grouped]]
    stays = grouped & kept
    size[stays] = groups.size[places[stays]]
    copies[stays] = groups.exact_copies[places[stays]]
    return InScope(grouped, survivors, similarity, kept, exact, size, copies), places


def source_lists(present: NDArray[np.bool_], names: Sequence[str], valid: NDArray[np.bool_]) -> pa.Array:
    """``list<string>[n]``: of each row of ``present`` ``bool[n, s]`` the ``names`` marked, null where not ``valid``."""
    rows, columns = np.nonzero(present & valid[:, np.newaxis])
    offsets = np.append(0, np.cumsum(np.bincount(rows, minlength=valid.size))).astype(np.int32)
    values = pa.DictionaryArray.from_arrays(pa.array(columns.astype(np.int32)), pa.array(names)).cast(pa.string())
    masked: Any = pa.array(~valid)
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=masked)
