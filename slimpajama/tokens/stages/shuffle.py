"""Shuffle: runs become buckets; each is one range of the shuffle's hash, gathered from all runs and sorted.

The second half of the external sort. The number of buckets follows from the tokens there are, not from how
the input was cut, how many workers there are or what memory they have, so neither do the bytes written. Buckets are
independent tasks: a worker reads one range of each run (tens of kilobytes where the corpus is terabytes), keeps what
belongs in its split, sorts, and writes. The buckets of train count what is left out and why. Memory: one bucket
(``bucket_bytes``), gathered and sorted, and its rows. Disk: runs and store side by side, twice the tokens, until the
store is finished. Rejected: a random permutation (needs all documents at once).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import InputError
from slimpajama.stages.stage import Scale, Stage, StageResult, Task
from slimpajama.stages.written_files import written_files
from slimpajama.storage.atomic import content_digest, fingerprint
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.npy import map_array, read_ranges, write_array
from slimpajama.storage.paths import is_remote, path_of
from slimpajama.tokens.columns import with_columns
from slimpajama.tokens.holdout import SPLITS, STATES, TRAIN, cut_to_given, load_holdout
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.pieces import PIECE, begins, in_order
from slimpajama.tokens.run_files import RUN_RECORD, gathered
from slimpajama.tokens.stages.holdout import HoldoutResult
from slimpajama.tokens.stages.tokenize import TokenizeResult, TokenizeSettings
from slimpajama.tokens.store import BucketDigests, BucketEntry
from slimpajama.tokens.summary import PerScope
from slimpajama.tokens.token_run import TokenRun

__all__ = ["BucketPayload", "BucketResult", "ShuffleStage", "plan_buckets", "runs_digest"]


@dataclass(frozen=True, slots=True)
class BucketPayload:
    """Bucket ``number`` of the ``buckets`` of a source's split, to be gathered from some ``runs`` of the source.

    ``dropped``: a file of sorted contents, ``uint64[2 * n]``, that are not to be in train although they were not held
    out; they are counted as ``near_held_out``. ``columns``: the metadata that is kept of the source.
    """

    layout: StoreLayout
    source: str
    split: str
    number: int
    buckets: int
    runs: tuple[str, ...]
    dtype: str
    piece_tokens: int
    dropped: Path | None
    columns: tuple[str, ...] = ()


class BucketResult(StageResult, frozen=True, kw_only=True):
    """One bucket. ``documents``: that begin in it. ``left_documents``, ``left_tokens``: by why they are left out.

    A bucket of a held-out split leaves out nothing but the tokens ``beyond`` those that its documents give.
    """

    source: str
    split: str
    number: int
    documents: PerScope
    tokens: PerScope
    left_documents: dict[str, PerScope]
    left_tokens: dict[str, PerScope]
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
    """The buckets of what was ``tokenized`` with ``settings``, split as the ``holdout`` says.

    ``dropped``: contents that are kept out of train, if there are any; see :class:`BucketPayload`.
    """

    tokens: TokenRun
    tokenized: Sequence[TokenizeResult]
    holdout: HoldoutResult
    settings: TokenizeSettings
    dropped: FileRecord | None = None

    name: ClassVar[str] = "shuffle"
    title: ClassVar[str] = "shuffle"
    version: ClassVar[int] = 6
    result_type = BucketResult
    kernels: ClassVar[tuple[str, ...]] = ("slimpajama.tokens.compiled",)
    scales_with: ClassVar[Scale] = "kept text"

    def tasks(self) -> Sequence[Task[BucketPayload]]:
        """One for each bucket."""
        sources = self.tokens.documents.sources
        inputs = {
            "version": self.version,
            "runs": runs_digest(self.tokenized),
            "holdout": content_digest([self.holdout.drawn]),
            "dropped": None if self.dropped is None else content_digest([self.dropped]),
        }
        beside = written_files([self.holdout.drawn, *([self.dropped] if self.dropped else [])])
        by_source = {source: [one for one in self.tokenized if one.source == source] for source in sources}
        files = {
            source: (*written_files(file for result in own for file in result.files), *beside)
            for source, own in by_source.items()
        }
        dropped = None if self.dropped is None else path_of(self.dropped.path)
        columns = {source: self.tokens.columns_of(source) for source in sources}
        return [
            Task(
                f"{bucket.source}-{bucket.split}-{bucket.number:05d}",
                bucket,
                inputs | {"buckets": bucket.buckets},
                split_tokens(bucket.source, bucket.split, by_source[bucket.source], self.holdout) // bucket.buckets,
                files[bucket.source],
            )
            for bucket in plan_buckets(
                sources, self.tokenized, self.holdout, self.settings, self.tokens.layout, dropped, columns
            )
        ]

    @staticmethod
    def run(payload: BucketPayload) -> BucketResult:
        """Choose, gather, sort and write the pieces of one bucket."""
        holdout = load_holdout(payload.layout.drawn)
        dropped = _contents(payload.dropped)
        state = STATES.index(payload.split)
        parts, tallies = [np.zeros(0, dtype=with_columns(RUN_RECORD, payload.columns))], _Tallies()
        ranges: list[tuple[str, int]] = []
        for run in payload.runs:
            rows = _rows_of(payload, run)
            states = holdout.states_of(rows, dropped if state == TRAIN else dropped[:0])
            present = np.bincount(states, minlength=len(STATES))
            chosen = rows if present[state] == rows.size else rows[states == state]
            if state == TRAIN:
                for number in np.flatnonzero(present[len(SPLITS) :]) + len(SPLITS):
                    tallies.add(STATES[number], rows[states == number])
            else:
                whole = chosen
                chosen = cut_to_given(chosen, holdout, payload.piece_tokens)
                tallies.add_beyond(whole, chosen)
            parts.append(chosen)
            ranges.append((run, chosen.size))
        rows = np.concatenate(parts)
        tokens = _tokens_of(payload, rows, ranges)
        lengths = rows["tokens"].astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        order = in_order(rows, rows["key"])
        table = np.zeros(rows.size, dtype=with_columns(PIECE, payload.columns))
        for field in table.dtype.names or ():
            table[field] = rows[field][order]
        files = payload.layout.bucket(payload.source, payload.split, payload.number)
        return BucketResult(
            source=payload.source,
            split=payload.split,
            number=payload.number,
            documents=per_scope(table, begins(table)),
            tokens=per_scope(table, table["tokens"]),
            left_documents=tallies.documents,
            left_tokens=tallies.tokens,
            tokens_file=write_array(
                files.tokens, tokens.dtype, tokens.size, gathered(tokens, starts[order], lengths[order])
            ),
            documents_file=write_array(files.documents, table.dtype, table.size, [table]),
        )


class _Tallies:
    """Documents and tokens that are left out, by why."""

    def __init__(self) -> None:
        self.documents: dict[str, PerScope] = {}
        self.tokens: dict[str, PerScope] = {}

    def add(self, why: str, rows: NDArray[np.void]) -> None:
        self._add(why, per_scope(rows, begins(rows)), per_scope(rows, rows["tokens"]))

    def add_beyond(self, whole: NDArray[np.void], given: NDArray[np.void]) -> None:
        all_tokens, kept = per_scope(whole, whole["tokens"]), per_scope(given, given["tokens"])
        beyond = PerScope(global_=all_tokens.global_ - kept.global_, local=all_tokens.local - kept.local)
        self._add("beyond", PerScope(global_=0, local=0), beyond)

    def _add(self, why: str, documents: PerScope, tokens: PerScope) -> None:
        for table, more in ((self.documents, documents), (self.tokens, tokens)):
            before = table.get(why, PerScope(global_=0, local=0))
            table[why] = PerScope(global_=before.global_ + more.global_, local=before.local + more.local)


def plan_buckets(
    sources: Sequence[str],
    tokenized: Sequence[TokenizeResult],
    holdout: HoldoutResult,
    settings: TokenizeSettings,
    layout: StoreLayout,
    dropped: Path | None = None,
    columns: Mapping[str, tuple[str, ...]] | None = None,
) -> list[BucketPayload]:
    """The buckets of a store. ``sources``: all of them, in the order the store is to show. ``columns``: by source.

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
        own = [result for result in tokenized if result.source == source]
        for split in SPLITS:
            shards = {result.shard for result in own} if split == SPLITS[TRAIN] else {*holdout.shards[source]}
            # Sorted: in what order shards finished, or were listed, is not to be seen in the store.
            runs = tuple(sorted(run.name for result in own if result.shard in shards for run in result.runs))
            size = split_tokens(source, split, own, holdout)
            buckets = -(-size * dtype.itemsize // settings.bucket_bytes)
            found += [
                BucketPayload(
                    layout=layout,
                    source=source,
                    split=split,
                    number=number,
                    buckets=buckets,
                    runs=runs,
                    dtype=dtype.str,
                    piece_tokens=settings.piece_tokens,
                    dropped=dropped,
                    columns=(columns or {}).get(source, ()),
                )
                for number in range(buckets)
            ]
    return found


def split_tokens(source: str, split: str, own: Sequence[TokenizeResult], holdout: HoldoutResult) -> int:
    """Tokens that the buckets of a split are made for; those of train also count what is left out."""
    if split == SPLITS[TRAIN]:
        return sum(result.all_tokens for result in own)
    return holdout.account.sources[source].given[split]


def runs_digest(tokenized: Sequence[TokenizeResult]) -> str:
    """A digest of what all runs hold."""
    return fingerprint([content_digest(result.files) for result in tokenized])


def per_scope(rows: NDArray[np.void], weights: NDArray[Any]) -> PerScope:
    """The weights of the rows that each scope keeps, summed."""
    return PerScope(
        global_=int(weights[rows["kept_global"]].sum(dtype=np.int64)),
        local=int(weights[rows["kept_local"]].sum(dtype=np.int64)),
    )


def _contents(file: Path | None) -> NDArray[np.uint64]:
    if file is None:
        return np.zeros((0, 2), dtype=np.uint64)
    contents: NDArray[np.uint64] = map_array(file).reshape(-1, 2)
    return contents


def _rows_of(payload: BucketPayload, run: str) -> NDArray[np.void]:
    """The rows of a run in the bucket's range of the hash, whatever becomes of them."""
    low, high = (-(-(place << 64) // payload.buckets) for place in (payload.number, payload.number + 1))
    rows = map_array(payload.layout.run(payload.source, run).documents)
    keys = rows["key"]
    return np.array(rows[bisect_left(keys, low, key=int) : bisect_left(keys, high, key=int)])


def _tokens_of(
    payload: BucketPayload, rows: NDArray[np.void], ranges: Sequence[tuple[str, int]]
) -> NDArray[np.unsignedinteger[Any]]:
    """The tokens of all rows, which come run by run, in their order."""
    tokens = np.empty(int(rows["tokens"].sum(dtype=np.int64)), dtype=np.dtype(payload.dtype))
    first = begin = 0
    for run, size in ranges:
        part = rows[first : first + size]
        lengths = part["tokens"].astype(np.int64)
        end = begin + int(lengths.sum())
        file = payload.layout.run(payload.source, run).tokens
        read_ranges(file, part["start"].astype(np.int64), lengths, tokens[begin:end])
        first, begin = first + size, end
    return tokens
