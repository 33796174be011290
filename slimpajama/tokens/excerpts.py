"""Excerpts of the corpus, to train a tokenizer on or to try it.

They come from each source by its size, half from one at most, out of the beginnings of some shards, so that a few
times what is wanted is read however large the corpus is. Rejected: reading every shard (days, for a tokenizer that is
no better).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slimpajama.tokens.dedup_reader import KeptShard, kept_documents
from slimpajama.tokens.documents import DocumentBatch
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.tokenizer_training import sample_documents

__all__ = ["ExcerptSample", "excerpts", "plan_excerpts", "shared_out"]

BEGINNING_BYTES = 1 << 18
"""Read at a time where only the beginning of a shard is wanted."""

SAMPLED_SHARDS = 16
"""Shards of a source that excerpts are taken from, at most."""

READ_PER_EXCERPT = 4
"""Bytes read for each byte of excerpts: long documents give only their beginning."""


@dataclass(frozen=True, slots=True)
class ExcerptSample:
    """One shard; ``share`` of the documents among its first ``limit`` bytes of text are wanted."""

    shard: KeptShard
    share: float
    seed: int
    limit: int


def plan_excerpts(
    shards: Sequence[KeptShard], text_bytes: Sequence[int], target: int, seed: int
) -> list[ExcerptSample]:
    """Which shards to take about ``target`` bytes of excerpts from, given how much text each has."""
    found: list[ExcerptSample] = []
    sizes = dict.fromkeys((shard.source for shard in shards), 0)
    for shard, size in zip(shards, text_bytes, strict=True):
        sizes[shard.source] += size
    shared = shared_out(sizes, target)
    for source in dict.fromkeys(shard.source for shard in shards):
        own = [at for at, shard in enumerate(shards) if shard.source == source and text_bytes[at]]
        order = np.argsort(seeded_hash(np.arange(len(own), dtype=np.uint64), seed, "shards for the tokenizer"))
        chosen = [own[at] for at in sorted(order[:SAMPLED_SHARDS].tolist())]
        wanted = shared[source]
        limit = int(READ_PER_EXCERPT * wanted) // max(1, len(chosen)) + 1
        available = sum(min(text_bytes[at], limit) for at in chosen)
        share = min(1.0, wanted / max(1, available))
        found += [ExcerptSample(shards[at], share, seed, limit) for at in chosen]
    return found


def shared_out(sizes: Mapping[str, int], target: int) -> dict[str, float]:
    """How many of ``target`` bytes each source gives: by its size, but half at most where there are others."""
    there = {source: size for source, size in sizes.items() if size}
    total = sum(there.values())
    shared = {source: target * sizes[source] / max(1, total) for source in sizes}
    largest = max(there, key=lambda source: there[source], default="")
    if len(there) > 1 and shared[largest] > target / 2:
        others = total - there[largest]
        shared |= {source: target / 2 * size / others for source, size in there.items() if source != largest}
        shared[largest] = target / 2
    return shared


def excerpts(sample: ExcerptSample) -> list[tuple[int, str]]:
    """Ids and beginnings of a seeded sample of the shard's documents, to train or check a tokenizer on."""
    return list(sample_documents(_beginning(sample.shard, sample.limit), sample.share, sample.seed))


def _beginning(shard: KeptShard, limit: int) -> Iterator[DocumentBatch]:
    """Batches up to the one in which ``limit`` characters of text are reached.

    What is made from the input is read to its end, where it has proved to be what was deduplicated.
    """
    read = 0
    for batch in kept_documents(shard, block_bytes=BEGINNING_BYTES):
        if read < limit:
            yield batch
        elif shard.unwritten is None:
            return
        read += sum(map(len, batch.texts.decoded()))
