"""A token store as it lies there: each bucket by itself, then that no cluster is on two sides of the split.

An item is one bucket: that its two files are those that were written, in the order of the shuffle, each piece once and
of as many tokens as it says, all of them in the vocabulary and the end-of-text token at the end of each document and
nowhere else. Of the whole store: that no cluster and no text is on two sides, no piece is missing, and ``holdout.npy``
lists what is held out. Costs reading the store; memory: a bucket's rows, and 4 MiB of its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.summary import DedupSummary
from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError
from slimpajama.storage.npy import map_array
from slimpajama.tokens.column_counts import column_values, count_values
from slimpajama.tokens.columns import is_whole, value_hash, with_columns
from slimpajama.tokens.held_out_rows import held_out_rows
from slimpajama.tokens.holdout import SPLITS, TRAIN, read_held_out
from slimpajama.tokens.layout import StoreLayout, TokenFiles
from slimpajama.tokens.pieces import PIECE, begins, piece_keys
from slimpajama.tokens.selection import SCOPES
from slimpajama.tokens.stages.finish import check_store
from slimpajama.tokens.store import BucketEntry, TokenStore, open_store
from slimpajama.tokens.summary import read_token_summary
from slimpajama.verification.findings import REMEDY, Checked, damage, found_reading, size_of

__all__ = ["BucketCheck", "StoreCheck", "bucket_checks", "check_bucket", "check_whole_store", "compare_accounts"]

_PART_TOKENS = 1 << 20


@dataclass(frozen=True, slots=True)
class BucketCheck:
    """Bucket ``number`` of ``buckets`` of a source's split, and what the index says of it."""

    store: Path
    source: str
    split: str
    number: int
    buckets: int
    shuffle_seed: int
    piece_tokens: int
    vocabulary: int
    end_of_text: int
    entry: BucketEntry
    columns: tuple[str, ...] = ()

    @property
    def paths(self) -> TokenFiles:
        """Where its files lie."""
        return StoreLayout(self.store).bucket(self.source, self.split, self.number)

    @property
    def bytes(self) -> int:
        """Size of its files, of those that are there."""
        return sum(map(size_of, self.paths))


def bucket_checks(store: TokenStore) -> list[BucketCheck]:
    """All buckets of a store."""
    return [
        BucketCheck(
            store.path,
            source,
            split,
            number,
            len(entries),
            store.shuffle_seed,
            store.piece_tokens,
            store.vocabulary,
            store.end_of_text,
            entry,
            store.columns(source),
        )
        for source in store.sources
        for split, entries in store.index.sources[source].items()
        for number, entry in enumerate(entries)
    ]


def check_bucket(item: BucketCheck) -> Checked:
    """Check one bucket."""
    documents_path, tokens_path = item.paths
    digests = item.entry.digests
    findings = damage(documents_path, None, digests.documents) + damage(tokens_path, None, digests.tokens)
    return Checked(findings or found_reading(documents_path, lambda: _check_content(item)))


def _check_content(item: BucketCheck) -> list[str]:
    documents_path, tokens_path = item.paths
    pieces, tokens = map_array(documents_path), map_array(tokens_path)
    if pieces.dtype != with_columns(PIECE, item.columns):
        return [f"{documents_path} has other columns than pieces of documents have; {REMEDY}"]
    findings = []
    keys = piece_keys(pieces, item.shuffle_seed, "shuffle")
    low, high = (-(-(place << 64) // item.buckets) for place in (item.number, item.number + 1))
    if (
        (keys[1:] < keys[:-1]).any()
        or _repeats(pieces, keys)
        or (keys.size and not low <= int(keys[0]) <= int(keys[-1]) < high)
    ):
        findings.append(f"{documents_path} is not in the order of the shuffle, or holds a piece twice; {REMEDY}")
    for name in SCOPES:
        if (pieces[f"kept_{name}"] != (pieces[f"duplicates_{name}"] > 0)).any():
            findings.append(
                f"{documents_path}: a document is kept, but stands for none, or the other way round; {REMEDY}"
            )
    lengths = pieces["tokens"].astype(np.int64)
    # Only a document's last piece is shorter than the others, and the last that a held-out document gives.
    shorter = (lengths < item.piece_tokens) & ~pieces["ends"] & (item.split == SPLITS[TRAIN])
    if shorter.any() or (lengths > item.piece_tokens).any() or not lengths.all():
        findings.append(f"{documents_path} holds pieces that are not of {item.piece_tokens:,} tokens; {REMEDY}")
    chosen = {"global": pieces["kept_global"], "local": pieces["kept_local"]}
    for scope, mask in chosen.items():
        found = {"documents": int(np.count_nonzero(begins(pieces) & mask)), "tokens": int(lengths[mask].sum())}
        said = {"documents": item.entry.documents.of(scope), "tokens": item.entry.tokens.of(scope)}
        if found != said:
            findings.append(f"{documents_path} holds {found} in the {scope} scope, but the index says {said}; {REMEDY}")
    if lengths.sum() != tokens.size:
        findings.append(f"{tokens_path} holds {tokens.size:,} tokens, its pieces {lengths.sum():,}; {REMEDY}")
        return findings
    ends = (np.cumsum(lengths) - 1)[pieces["ends"]]
    largest = 0
    found_ends = []
    for first in range(0, tokens.size, _PART_TOKENS):
        beat()
        part = tokens[first : first + _PART_TOKENS]
        largest = max(largest, int(part.max()))
        found_ends.append(np.flatnonzero(part == item.end_of_text) + first)
    if largest >= item.vocabulary:
        findings.append(f"{tokens_path} holds id {largest}, of a vocabulary of {item.vocabulary}; {REMEDY}")
    if not np.array_equal(np.concatenate([np.zeros(0, dtype=np.int64), *found_ends]), ends):
        findings.append(f"{tokens_path}: documents do not end where {documents_path.name} says; {REMEDY}")
    return findings


def _repeats(pieces: NDArray[np.void], keys: NDArray[np.uint64]) -> bool:
    """Whether a piece is there twice: documents of one text have one key, but other ids, in ascending order."""
    equal = np.flatnonzero(keys[1:] == keys[:-1])
    return bool((pieces["id"][equal] >= pieces["id"][equal + 1]).any())


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """A whole store."""

    store: Path


def check_whole_store(item: StoreCheck) -> Checked:
    """Find what is on two sides of the split, or missing. Memory: 24 bytes for each held-out document."""

    def check() -> list[str]:
        store = open_store(item.store)
        check_store(store.layout, store.sources, store.index.sources)
        listed = read_held_out(store.layout.holdout)
        if not np.array_equal(listed, held_out_rows(store.layout, store.index.sources)):
            return [f"{store.layout.holdout} does not list the documents of validation and test; {REMEDY}"]
        return _columns(store)

    return Checked(found_reading(item.store, check))


def _columns(store: TokenStore) -> list[str]:
    """What the summary says of the values of columns, counted once more from the rows of train."""
    summary = read_token_summary(store.layout)
    if summary is None:
        return []  # the comparison of accounts says so
    findings = []
    for source in store.sources:
        columns = store.columns(source)
        train = len(store.buckets(source, SPLITS[TRAIN]))
        paths = [store.layout.bucket(source, SPLITS[TRAIN], number).documents for number in range(train)]
        counts = count_values(map(map_array, paths), columns) if columns else {}
        said = summary.sources[source].columns
        if set(said) != set(columns):
            findings.append(f"{store.layout.summary} says other columns of {source} than the index; {REMEDY}")
            continue
        for column in columns:
            shown = {int(one.hash, 16): one.value for one in said[column]}
            try:
                sound = column_values(source, column, counts[column], shown) == said[column]
            except ConservationError:
                sound = False
            if not sound or any(value_hash(text) != value for value, text in shown.items() if is_whole(text)):
                findings.append(
                    f"{store.layout.summary} says other values of {column} in {source} than its rows; {REMEDY}"
                )
    return findings


def compare_accounts(store: TokenStore, dedup_summary: DedupSummary | None) -> list[str]:
    """The store's summary against its index, and against the deduplication it was made of, where that is known."""
    path = store.layout.summary
    summary = read_token_summary(store.layout)
    if summary is None or set(summary.sources) != set(store.sources):
        return [f"{path} is missing or broken; {REMEDY}"]
    findings = []
    for source in store.sources:
        for scope in SCOPES:
            account = summary.sources[source].of(scope)
            documents = account.documents
            for split in SPLITS:
                entries = store.buckets(source, split)
                indexed = [
                    sum(entry.documents.of(scope) for entry in entries),
                    sum(entry.tokens.of(scope) for entry in entries),
                ]
                said = [documents.of(split), account.tokens.of(split)]
                if indexed != said:
                    findings.append(
                        f"{path} says {said[0]:,} documents of {said[1]:,} tokens in "
                        f"{source}/{split}, {scope} scope, the index {indexed[0]:,} of {indexed[1]:,}; {REMEDY}"
                    )
            if documents.in_ != documents.out:
                findings.append(f"{path}: documents of {source} are not conserved in the {scope} scope; {REMEDY}")
            kept = documents.in_ if dedup_summary is None else dedup_summary.sources[source].of(scope).kept.documents
            if documents.in_ != kept and not (scope == "local" and _only_global(dedup_summary)):
                findings.append(
                    f"{path}: {documents.in_:,} documents of {source} went in, but {kept:,} are kept in the "
                    f"{scope} scope; run slimpajama mix again: it makes the store anew"
                )
    return findings


def _only_global(dedup_summary: DedupSummary | None) -> bool:
    return dedup_summary is not None and dedup_summary.settings.scope == "global"
