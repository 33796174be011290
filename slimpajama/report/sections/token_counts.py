"""Counts the tokens of each source in the store: how often each comes, in two halves by document.

The train tokens that the global scope keeps are counted, all of them up to ``MOST_TOKENS`` of a source; of a larger
one so many whole buckets, in a seeded order (a bucket is itself a random part of its source). About 10 ms a million
tokens, and 16 bytes for each token of the vocabulary and each source. Special tokens are left out: nobody wrote them.
Halves are by the hash of a document's text, so that its pieces stay together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.storage.npy import MappedArray, map_array
from slimpajama.tokens.reading_store import reading_store
from slimpajama.tokens.seeded_order import seeded_hash
from slimpajama.tokens.store import TokenStore

__all__ = ["TokenCounts", "count_tokens", "document_lengths"]

MOST_TOKENS = 128 << 20
"""Of each source; a distribution of fifty thousand tokens is known well by then."""

SEED = 1

CHUNK = 1 << 22
"""Tokens at a time."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """``halves``: ``int64[2, vocabulary]`` for each source; ``counted``: tokens in all."""

    halves: dict[str, NDArray[np.int64]]
    counted: int


def count_tokens(store: TokenStore, sources: Sequence[str], specials: Iterable[int], most: int) -> TokenCounts:
    """Count the tokens of ``sources``, ``most`` of each at least where there are so many."""
    left_out = list(specials)
    halves = {}
    for source in sources:
        own = np.zeros((2, store.vocabulary), dtype=np.int64)
        for bucket in _buckets(store, source, most):
            own += _counted(store, source, bucket)
        own[:, left_out] = 0
        halves[source] = own
    return TokenCounts(halves, sum(int(own.sum()) for own in halves.values()))


def document_lengths(store: TokenStore, source: str) -> NDArray[np.int64]:
    """``int64[documents]``: the tokens of each train document of a source that the global scope keeps."""
    found = [np.zeros(0, dtype=np.int64)]
    for bucket in range(len(store.buckets(source, "train"))):
        rows = _rows(store, source, bucket)
        last = rows[rows["ends"] & rows["kept_global"]]
        found.append(last["piece"].astype(np.int64) * store.piece_tokens + last["tokens"])
    return np.concatenate(found)


def _buckets(store: TokenStore, source: str, most: int) -> list[int]:
    """All buckets, or as many in a seeded order as hold ``most`` tokens."""
    sizes = [bucket.tokens.global_ for bucket in store.buckets(source, "train")]
    if sum(sizes) <= most:
        return list(range(len(sizes)))
    order = np.argsort(seeded_hash(np.arange(len(sizes), dtype=np.uint64), SEED, "buckets for the report")).tolist()
    before = np.cumsum([0, *(sizes[bucket] for bucket in order)])
    return [bucket for bucket, begin in zip(order, before.tolist(), strict=False) if begin < most]


def _rows(store: TokenStore, source: str, bucket: int) -> NDArray[np.void]:
    with reading_store():
        return map_array(store.layout.bucket(source, "train", bucket).documents)


def _counted(store: TokenStore, source: str, bucket: int) -> NDArray[np.int64]:
    rows = _rows(store, source, bucket)
    with reading_store():
        tokens = MappedArray(store.layout.bucket(source, "train", bucket).tokens)
    half = seeded_hash(rows["text"][:, 0], SEED, "halves for the report") & np.uint64(1)
    group = np.where(rows["kept_global"], half.astype(np.uint8), 2).astype(np.uint8)
    lengths = rows["tokens"].astype(np.int64)
    found = np.zeros((2, store.vocabulary), dtype=np.int64)
    begin = 0
    for part in _parts(lengths):
        size = int(lengths[part].sum())
        here: NDArray[Any] = tokens.array[begin : begin + size]
        groups = np.repeat(group[part], lengths[part])
        for number in (0, 1):
            found[number] += np.bincount(here[groups == number], minlength=store.vocabulary)
        tokens.release()
        begin += size
    return found


def _parts(lengths: NDArray[np.int64]) -> list[slice]:
    """Consecutive rows of about ``CHUNK`` tokens."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    cuts = np.searchsorted(ends, np.arange(CHUNK, total, CHUNK)).tolist()
    edges = sorted({0, *cuts, lengths.size})
    return [slice(first, last) for first, last in pairwise(edges)]
