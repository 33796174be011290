"""How many training documents and tokens of a source each value of its metadata columns has, counted from the rows.

Counted when a store is finished, for its summary, and again when it is verified. Costs a sort of each bucket's hashes;
memory: a bucket's rows, and a line for each value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.tokens.columns import column_field
from slimpajama.tokens.pieces import begins
from slimpajama.tokens.summary import ColumnValue, PerScope

__all__ = ["ValueCounts", "column_values", "count_values"]

_SCOPES = ("global", "local")

ValueCounts = Mapping[int, NDArray[np.int64]]
"""By the hash of a value ``int64[4]``: documents kept globally and locally, then tokens kept globally and locally."""


def count_values(buckets: Iterable[NDArray[np.void]], columns: Sequence[str]) -> dict[str, ValueCounts]:
    """By column, the counts of each value in the rows of some buckets."""
    counts: dict[str, dict[int, NDArray[np.int64]]] = {column: {} for column in columns}
    for rows in buckets:
        beat()
        kept = [rows[f"kept_{scope}"] for scope in _SCOPES]
        weights = [mask * number for number in (begins(rows), rows["tokens"].astype(np.int64)) for mask in kept]
        for column in columns:
            hashes, which = np.unique(rows[column_field(column)], return_inverse=True)
            sums = np.zeros((len(weights), hashes.size), dtype=np.int64)
            for own, weight in zip(sums, weights, strict=True):
                np.add.at(own, which, weight)
            for value, more in zip(hashes.tolist(), sums.T, strict=True):
                counts[column][value] = counts[column].get(value, 0) + more
    return {**counts}


def column_values(source: str, column: str, counts: ValueCounts, shown: Mapping[int, str]) -> tuple[ColumnValue, ...]:
    """The values of a column as a summary tells them, those with the most tokens first.

    ``shown``: all values that were seen in documents, by their hashes. Raises :class:`ConservationError` where a row
    has another one.
    """
    unknown = next((value for value in counts if value not in shown), None)
    if unknown is not None:
        raise ConservationError(
            f"a document of source {source} has a value of {column} that was seen in none ({unknown:016x}); remove the "
            "token store and run again, and report this"
        )
    nothing = np.zeros(4, dtype=np.int64)
    found = []
    for value, text in shown.items():
        documents_global, documents_local, tokens_global, tokens_local = counts.get(value, nothing).tolist()
        found.append(
            ColumnValue(
                value=text,
                hash=f"{value:016x}",
                documents=PerScope(global_=documents_global, local=documents_local),
                tokens=PerScope(global_=tokens_global, local=tokens_local),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.tokens.global_, -one.tokens.local, one.value, one.hash)))
