"""First look at the kept documents: how many each source has, and which the holdout could draw.

Reads two columns of the decisions, no text. What comes back per shard is a few thousand ids however large it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from slimpajama.storage.npy import map_array, write_array
from slimpajama.storage.paths import opened
from slimpajama.tokens.dedup_reader import KeptShard, kept_documents, kept_rows
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.holdout import candidates, draw_holdout
from slimpajama.tokens.tokenizer_training import sample_documents

__all__ = ["VERSION", "HoldoutItem", "SampleItem", "SurveyItem", "draw", "excerpts", "survey"]

BEGINNING_BYTES = 1 << 18
"""Read at a time where only the beginning of a shard is wanted."""


VERSION = 1


@dataclass(frozen=True, slots=True)
class SurveyItem:
    """One shard, the rate and seed of the draw, and where the candidates go."""

    shard: KeptShard
    rate: float
    seed: int
    candidates_file: Path


def survey(item: SurveyItem) -> dict[str, Any]:
    """Look at the decisions of one shard, and write the survivors that the holdout could draw, ``uint64[k]``.

    Returns ``survivors``, the documents of the shard kept globally, ``text_bytes`` of all kept ones, and ``files``.
    """
    with opened(item.shard.decisions) as decisions:
        table = pq.read_table(decisions, columns=["id", "kept_global", "bytes"], filters=kept_rows(item.shard))
    ids = table.column("id").to_numpy()[table.column("kept_global").to_numpy()]
    chosen = candidates(ids, item.rate, item.seed)
    return {
        "survivors": int(ids.size),
        "text_bytes": int(table.column("bytes").to_numpy().sum()),
        "files": [write_array(item.candidates_file, chosen.dtype, chosen.size, [chosen])],
    }


@dataclass(frozen=True, slots=True)
class HoldoutItem:
    """For each source its survivors and files of candidates; rate and seed of the draw; where the holdout goes."""

    sources: tuple[tuple[str, int, tuple[Path, ...]], ...]
    rate: float
    seed: int
    holdout_file: Path


def draw(item: HoldoutItem) -> dict[str, Any]:
    """Draw the holdout; returns its ``account`` (see :func:`slimpajama.tokens.holdout.draw_holdout`) and ``files``."""
    chosen = {}
    for source, _, files in item.sources:
        joined = np.zeros(0, dtype=np.uint64)
        for file in files:
            joined = candidates(np.concatenate([joined, map_array(file)]), item.rate, item.seed)
        chosen[source] = joined
    counts = {source: survivors for source, survivors, _ in item.sources}
    holdout, account = draw_holdout(chosen, counts, item.rate, item.seed)
    return {"account": account, "files": [holdout.save(item.holdout_file)]}


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
