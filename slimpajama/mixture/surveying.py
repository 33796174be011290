"""First look at the kept documents: how many each source has, and which the holdout could draw.

Reads two columns of the decisions, no text. What comes back per shard is a few thousand ids however large it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from slimpajama.mixture.documents import DocumentBatch
from slimpajama.mixture.holdout import candidates
from slimpajama.mixture.kept import KeptShard, kept_documents
from slimpajama.mixture.tokenizer_training import sample_documents

__all__ = ["SampleItem", "Survey", "SurveyItem", "excerpts", "survey"]

BEGINNING_BYTES = 1 << 18
"""Read at a time where only the beginning of a shard is wanted."""


@dataclass(frozen=True, slots=True)
class SurveyItem:
    """One shard, and the rate and seed of the draw."""

    shard: KeptShard
    rate: float
    seed: int


@dataclass(frozen=True, slots=True)
class Survey:
    """``survivors``: documents of the shard kept globally; ``text_bytes``: of all kept ones; ``candidates``
    ``uint64[k]``: survivors that the holdout could draw."""

    survivors: int
    text_bytes: int
    candidates: NDArray[np.uint64]


def survey(item: SurveyItem) -> Survey:
    """Look at the decisions of one shard."""
    kept = pc.field(f"kept_{item.shard.scope}") & (pc.field("source") == item.shard.source)
    table = pq.read_table(item.shard.decisions, columns=["id", "kept_global", "bytes"], filters=kept)
    ids = table.column("id").to_numpy()[table.column("kept_global").to_numpy()]
    size = int(table.column("bytes").to_numpy().sum())
    return Survey(int(ids.size), size, candidates(ids, item.rate, item.seed))


@dataclass(frozen=True, slots=True)
class SampleItem:
    """One shard; ``share`` of the documents among its first ``limit`` bytes of text are wanted."""

    shard: KeptShard
    share: float
    seed: int
    limit: int


def excerpts(item: SampleItem) -> list[tuple[int, str]]:
    """Ids and beginnings of a seeded sample of the shard's documents, to train or check a tokenizer on."""
    return list(sample_documents(_beginning(item.shard, item.limit), item.share, item.seed))


def _beginning(shard: KeptShard, limit: int) -> Iterator[DocumentBatch]:
    """Batches up to the one in which ``limit`` bytes (or characters: near enough) of text are reached."""
    read = 0
    for batch in kept_documents(shard, block_bytes=BEGINNING_BYTES):
        yield batch
        read += sum(map(len, batch.texts))
        if read >= limit:
            return
