"""Shuffle: runs become buckets; each is one range of the shuffle's hash, gathered from all runs and sorted.

The second half of the external sort. The number of buckets follows from the tokens there are, not from how
the input was cut, how many workers there are or what memory they have, so neither do the bytes written. Buckets are
independent tasks: a worker reads one range of each run (tens of kilobytes where the corpus is terabytes), drops
documents whose text is held out, sorts, and writes. Memory: one bucket (``bucket_bytes``), gathered and sorted, and its
documents. Disk: runs and store side by side, twice the tokens, until the store is finished. Rejected: a random
permutation (needs all documents at once).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import InputError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, read_range, write_array
from slimpajama.storage.paths import is_remote, path_of
from slimpajama.tokens.decontamination import contaminated
from slimpajama.tokens.holdout import SPLITS, TRAIN
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.run_files import gathered
from slimpajama.tokens.stages.held_out import HeldOutResult, runs_digest
from slimpajama.tokens.stages.tokenize import TokenizeResult, TokenizeSettings
from slimpajama.tokens.store import DOCUMENT, BucketDigests, BucketEntry
from slimpajama.tokens.summary import PerScope
from slimpajama.tokens.token_run import TokenRun

__all__ = ["BucketPayload", "BucketResult", "ShuffleStage", "plan_buckets"]


@dataclass(frozen=True, slots=True)
class BucketPayload:
    """Bucket ``number`` of the ``buckets`` of a source's split, to be gathered from the ``runs`` of the source."""

    layout: StoreLayout
    source: str
    split: str
    number: int
    buckets: int
    runs: tuple[str, ...]
    dtype: str


class BucketResult(StageResult, frozen=True, kw_only=True):
    """One bucket. ``decontaminated``: documents that were left out, because their text is held out."""

    source: str
    split: str
    number: int
    documents: PerScope
    tokens: PerScope
    decontaminated: PerScope
    tokens_file: FileRecord
    documents_file: FileRecord

    @property
    def bytes(self) -> int:
        """Size of its files."""
        return self.tokens_file.bytes + self.documents_file.bytes

    @property
    def entry(self) -> BucketEntry:
        """What the store's index says of it."""
        digests = BucketDigests(self.tokens_file.blake2b, self.documents_file.blake2b)
        return BucketEntry(documents=self.documents, tokens=self.tokens, digests=digests)


@dataclass(frozen=True)
class ShuffleStage(Stage[BucketPayload, BucketResult]):
    """The buckets of what was ``tokenized`` with ``settings``, without training documents of the held-out ``texts``."""

    tokens: TokenRun
    tokenized: Sequence[TokenizeResult]
    texts: HeldOutResult
    settings: TokenizeSettings

    name: ClassVar[str] = "shuffle"
    title: ClassVar[str] = "shuffle"
    version: ClassVar[int] = 5
    result_type = BucketResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled",)
    scales_with: ClassVar[Scale] = "kept text"

    def tasks(self) -> Sequence[Task[BucketPayload]]:
        """One for each bucket."""
        sources = self.tokens.documents.sources
        digest = runs_digest(self.tokenized)
        held_out = written_files([self.texts.texts])
        by_source = {source: [one for one in self.tokenized if one.source == source] for source in sources}
        files = {
            source: (*written_files(file for result in own for file in result.files), *held_out)
            for source, own in by_source.items()
        }
        return [
            Task(
                f"{bucket.source}-{bucket.split}-{bucket.number:05d}",
                bucket,
                {"version": self.version, "runs": digest, "buckets": bucket.buckets},
                sum(result.tokens.of(bucket.split) for result in by_source[bucket.source]) // bucket.buckets,
                files[bucket.source],
            )
            for bucket in plan_buckets(sources, self.tokenized, self.settings, self.tokens.layout)
        ]

    @staticmethod
    def run(payload: BucketPayload) -> BucketResult:
        """Gather, decontaminate, sort and write one bucket."""
        documents, tokens = _collected(payload)
        removed = np.zeros(documents.size, dtype=np.bool_)
        if payload.split == SPLITS[TRAIN]:
            held_out = map_array(payload.layout.held_out_texts).reshape(-1, 2)
            removed = contaminated(documents["text"], held_out)
        decontaminated = _per_scope(documents[removed], np.ones(int(removed.sum()), dtype=np.int64))
        order = np.argsort(documents["key"], kind="stable")
        order = order[~removed[order]]
        chosen = documents[order]
        table = np.zeros(chosen.size, dtype=DOCUMENT)
        for field in DOCUMENT.names or ():
            table[field] = chosen[field]
        lengths = table["tokens"].astype(np.int64)
        files = payload.layout.bucket(payload.source, payload.split, payload.number)
        tokens_file = write_array(
            files.tokens,
            tokens.dtype,
            int(lengths.sum()),
            gathered(tokens, chosen["start"].astype(np.int64), lengths),
        )
        return BucketResult(
            source=payload.source,
            split=payload.split,
            number=payload.number,
            documents=_per_scope(table, np.ones(table.size, dtype=np.int64)),
            tokens=_per_scope(table, lengths),
            decontaminated=decontaminated,
            tokens_file=tokens_file,
            documents_file=write_array(files.documents, DOCUMENT, table.size, [table]),
        )


def plan_buckets(
    sources: Sequence[str], tokenized: Sequence[TokenizeResult], settings: TokenizeSettings, layout: StoreLayout
) -> list[BucketPayload]:
    """The buckets of a store. ``sources``: all of them, in the order the store is to show.

    Raises :class:`InputError` where runs are gone: their shards are to be tokenised again.
    """
    for result in tokenized:
        # In an object store, the stage before has just listed them.
        if not is_remote(layout.root) and not all(path_of(file.path).is_file() for file in result.files):
            raise InputError(
                f"the tokens of shard {result.shard} of source {result.source} are no longer in {layout.runs}; "
                f"remove {layout.root} and run the same command again"
            )
    dtype = np.dtype(np.uint16 if settings.tokenizer.vocabulary <= 1 << 16 else np.uint32)
    found = []
    for source in sources:
        # Sorted: in what order shards finished, or were listed, is not to be seen in the store.
        runs = tuple(sorted(run.name for result in tokenized if result.source == source for run in result.runs))
        for split in SPLITS:
            size = sum(result.tokens.of(split) for result in tokenized if result.source == source)
            buckets = -(-size * dtype.itemsize // settings.bucket_bytes)
            found += [
                BucketPayload(layout, source, split, number, buckets, runs, dtype.str) for number in range(buckets)
            ]
    return found


def _collected(payload: BucketPayload) -> tuple[NDArray[np.void], NDArray[np.unsignedinteger[Any]]]:
    """The bucket's documents from all runs, and their tokens; ``start`` counts in the latter."""
    split = SPLITS.index(payload.split)
    low, high = (-(-(place << 64) // payload.buckets) for place in (payload.number, payload.number + 1))
    parts = []
    for run in payload.runs:
        rows = map_array(payload.layout.run(payload.source, run).documents)
        rows = rows[bisect_left(rows["split"], split) : bisect_left(rows["split"], split + 1)]
        keys = rows["key"]
        parts.append(np.array(rows[bisect_left(keys, low, key=int) : bisect_left(keys, high, key=int)]))
    documents = np.concatenate(parts)
    lengths = documents["tokens"].astype(np.int64)
    tokens = np.empty(int(lengths.sum()), dtype=np.dtype(payload.dtype))
    begin = 0
    for run, part in zip(payload.runs, parts, strict=True):
        if part.size:
            end = begin + int(part["tokens"].sum(dtype=np.int64))
            read_range(payload.layout.run(payload.source, run).tokens, int(part["start"][0]), tokens[begin:end])
            begin = end
    documents["start"] = (np.cumsum(lengths) - lengths).astype(np.uint64)
    return documents, tokens


def _per_scope(documents: NDArray[np.void], weights: NDArray[np.int64]) -> PerScope:
    """The weights of those that each scope keeps, summed."""
    return PerScope(
        global_=int(weights[documents["kept_global"]].sum()), local=int(weights[documents["kept_local"]].sum())
    )
