"""Runs become the store: each bucket is one range of the shuffle's hash, gathered from all runs and sorted.

The second half of the external sort. The number of buckets follows from the tokens there are, not from how
the input was cut, how many workers there are or what memory they have, so neither do the bytes written. Buckets are
independent work items: a worker reads one range of each run (tens of kilobytes where the corpus is terabytes), drops
documents whose text is held out, sorts, and writes. Then one pass over what was written checks it before the runs
are deleted. Memory: one bucket (``bucket_bytes``), gathered and sorted, and its documents. Disk: runs and store side
by side, twice the tokens, until the store is finished. Rejected: a random permutation (needs all documents at once).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import ConservationError, InputError
from slimpajama.storage.atomic import fingerprint, write_json
from slimpajama.storage.npy import map_array, read_range, write_array
from slimpajama.storage.paths import is_remote
from slimpajama.tokens.decontamination import contaminated, sorted_hashes
from slimpajama.tokens.holdout import SPLITS, TEST, TRAIN, Holdout
from slimpajama.tokens.run_files import gathered, run_paths
from slimpajama.tokens.stages.tokenize import RUNS, TokenizeSettings, runs_present
from slimpajama.tokens.store import DOCUMENT, STORE_FILE, STORE_VERSION, bucket_paths

__all__ = [
    "VERSION",
    "BucketItem",
    "HeldOutItem",
    "check_store",
    "finish_store",
    "gather_held_out",
    "plan_buckets",
    "sort_bucket",
]

VERSION = 3

HELD_OUT_TEXTS = "held-out-texts.npy"


@dataclass(frozen=True, slots=True)
class BucketItem:
    """Bucket ``number`` of the ``buckets`` of a source's split, to be gathered from ``runs`` below ``out``."""

    out: Path
    source: str
    split: str
    number: int
    buckets: int
    runs: tuple[str, ...]
    dtype: str

    @property
    def name(self) -> str:
        """Unique in the store."""
        return f"{self.source}-{self.split}-{self.number:05d}"


def plan_buckets(
    sources: Sequence[str], results: Sequence[Mapping[str, Any]], settings: TokenizeSettings, out: Path
) -> list[BucketItem]:
    """The work that is left after all pieces were tokenised, given what :func:`tokenize_piece` returned for them.

    ``sources``: all of them, in the order the store is to show. Raises :class:`InputError` where runs are gone: those
    pieces are to be tokenised again.
    """
    for result in results:
        if not is_remote(out) and not runs_present(result, out):  # in a store, the stage before has just listed them
            raise InputError(
                f"the tokens of piece {result['name']} of source {result['source']} are no longer in {out / RUNS}; "
                f"remove {out} and run the same command again"
            )
    dtype = np.dtype(np.uint16 if settings.tokenizer.vocabulary <= 1 << 16 else np.uint32)
    items = []
    for source in sources:
        # Sorted: in what order pieces finished, or were listed, is not to be seen in the store.
        runs = tuple(sorted(run for result in results if result["source"] == source for run in result["runs"]))
        for split in SPLITS:
            size = sum(result["tokens"][split] for result in results if result["source"] == source)
            buckets = -(-size * dtype.itemsize // settings.bucket_bytes)
            items += [BucketItem(out, source, split, number, buckets, runs, dtype.str) for number in range(buckets)]
    return items


@dataclass(frozen=True, slots=True)
class HeldOutItem:
    """The (source, name) of all ``runs`` below ``out``."""

    out: Path
    runs: tuple[tuple[str, str], ...]


def gather_held_out(item: HeldOutItem) -> dict[str, Any]:
    """Write the hashes of the held-out texts for :func:`sort_bucket`; reads the held-out documents of each run."""
    hashes = [np.zeros((0, 2), dtype=np.uint64)]
    for source, run in item.runs:
        documents = map_array(run_paths(item.out / RUNS / source, run)[0])
        hashes.append(np.array(documents["text"][bisect_left(documents["split"], TRAIN + 1) :]))
    held_out = sorted_hashes(np.concatenate(hashes))
    path = item.out / RUNS / HELD_OUT_TEXTS
    return {"files": [write_array(path, held_out.dtype, held_out.size, [held_out.ravel()])]}


def sort_bucket(item: BucketItem) -> dict[str, Any]:
    """Gather, decontaminate, sort and write one bucket; returns its entry in the store's index, plus the
    ``decontaminated`` documents of each scope and the records of its ``files``."""
    documents, tokens = _collected(item)
    removed = np.zeros(documents.size, dtype=np.bool_)
    if item.split == SPLITS[TRAIN]:
        held_out = map_array(item.out / RUNS / HELD_OUT_TEXTS).reshape(-1, 2)
        removed = contaminated(documents["text"], held_out)
    decontaminated = _per_scope(documents["kept_global"], removed)
    order = np.argsort(documents["key"], kind="stable")
    order = order[~removed[order]]
    chosen = documents[order]
    table = np.zeros(chosen.size, dtype=DOCUMENT)
    for field in ("id", "cluster", "tokens", "kept_global"):
        table[field] = chosen[field]
    table["kept_local"] = True
    lengths = table["tokens"].astype(np.int64)
    documents_path, tokens_path = bucket_paths(item.out, item.source, item.split, item.number)
    files = [
        write_array(
            tokens_path,
            tokens.dtype,
            int(lengths.sum()),
            gathered(tokens, chosen["start"].astype(np.int64), lengths),
        ),
        write_array(documents_path, DOCUMENT, table.size, [table]),
    ]
    return {
        "source": item.source,
        "split": item.split,
        "number": item.number,
        "documents": _per_scope(table["kept_global"], np.ones(table.size, dtype=np.bool_)),
        "tokens": {"global": int(lengths[table["kept_global"]].sum()), "local": int(lengths.sum())},
        "bytes": sum(file.bytes for file in files),
        "decontaminated": decontaminated,
        "digests": [file.blake2b for file in files],
        "files": files,
    }


def finish_store(
    sources: Sequence[str],
    results: Sequence[Mapping[str, Any]],
    buckets: Sequence[Mapping[str, Any]],
    settings: TokenizeSettings,
    out: Path,
) -> dict[str, Any]:
    """Check what was written and write the store's index; returns the summary. The runs are not needed any more.

    ``results`` of :func:`tokenize_piece` for all pieces, ``buckets`` of :func:`sort_bucket` for all items. Raises
    :class:`ConservationError` where documents were lost or won, or a cluster is on both sides of the split.
    """
    index: dict[str, dict[str, list[dict[str, Any]]]] = {name: {split: [] for split in SPLITS} for name in sources}
    for bucket in sorted(buckets, key=lambda bucket: bucket["number"]):
        entry = {key: bucket[key] for key in ("documents", "tokens", "digests")}
        index[bucket["source"]][bucket["split"]].append(entry)
    account = {name: _account(name, results, buckets) for name in sources}
    tokenizer = settings.tokenizer
    store = {
        "version": STORE_VERSION,
        "seed": settings.seed,
        "vocabulary": tokenizer.vocabulary,
        "end_of_text": tokenizer.end_of_text,
        "tokenizer": tokenizer.digest,
        "sources": index,
    }
    check_store(out, sources, index)
    # The index carries the digests of all files: equal fingerprint, equal store.
    write_json(out / STORE_FILE, {**store, "fingerprint": fingerprint(store), "order": list(sources)})
    return {
        "backend": settings.backend,
        "vocabulary": tokenizer.vocabulary,
        "bytes": sum(bucket["bytes"] for bucket in buckets),
        "buckets": len(buckets),
        "fingerprint": fingerprint(store),
        "sources": account,
    }


def check_store(out: Path, sources: Sequence[str], index: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
    """Read back every document's row and see that no global cluster is in two splits, and that lengths add up.

    Nothing the stages knew is used: the held-out clusters are those of the validation and test documents as they
    lie on disk. Raises :class:`ConservationError` naming a cluster.
    """
    seen = np.zeros(0, dtype=np.uint64)
    for split in reversed(SPLITS):
        here = []
        for source, number in ((name, number) for name in sources for number in range(len(index[name][split]))):
            beat()
            documents_path, tokens_path = bucket_paths(out, source, split, number)
            documents = map_array(documents_path)
            if int(documents["tokens"].sum(dtype=np.int64)) != map_array(tokens_path).size:
                raise ConservationError(
                    f"{tokens_path} does not hold the tokens that its documents say; remove {out} and run again"
                )
            clusters = np.ascontiguousarray(documents["cluster"])
            both = clusters[Holdout(seen, np.full(seen.size, TEST, dtype=np.uint8)).split_of(clusters) != TRAIN]
            if both.size:
                raise ConservationError(
                    f"global cluster {int(both[0]):#x} has a document in {source}/{split} and one in another split; "
                    f"remove {out} and run again, and report this"
                )
            here.append(clusters if split != SPLITS[TRAIN] else clusters[:0])
        seen = np.unique(np.concatenate([seen, *here]))


def _collected(item: BucketItem) -> tuple[NDArray[np.void], NDArray[np.unsignedinteger[Any]]]:
    """The bucket's documents from all runs, and their tokens; ``start`` counts in the latter."""
    split = SPLITS.index(item.split)
    low, high = (-(-(place << 64) // item.buckets) for place in (item.number, item.number + 1))
    parts = []
    for run in item.runs:
        rows = map_array(run_paths(item.out / RUNS / item.source, run)[0])
        rows = rows[bisect_left(rows["split"], split) : bisect_left(rows["split"], split + 1)]
        keys = rows["key"]
        parts.append(np.array(rows[bisect_left(keys, low, key=int) : bisect_left(keys, high, key=int)]))
    documents = np.concatenate(parts)
    lengths = documents["tokens"].astype(np.int64)
    tokens = np.empty(int(lengths.sum()), dtype=np.dtype(item.dtype))
    begin = 0
    for run, part in zip(item.runs, parts, strict=True):
        if part.size:
            end = begin + int(part["tokens"].sum(dtype=np.int64))
            read_range(run_paths(item.out / RUNS / item.source, run)[1], int(part["start"][0]), tokens[begin:end])
            begin = end
    documents["start"] = (np.cumsum(lengths) - lengths).astype(np.uint64)
    return documents, tokens


def _per_scope(kept_global: NDArray[np.bool_], mask: NDArray[np.bool_]) -> dict[str, int]:
    return {"global": int(np.count_nonzero(mask & kept_global)), "local": int(np.count_nonzero(mask))}


def _account(source: str, results: Sequence[Mapping[str, Any]], buckets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Documents of a source by what became of them and tokens by split, per scope, checked against each other."""
    account: dict[str, Any] = {
        "text_bytes": sum(result["text_bytes"] for result in results if result["source"] == source)
    }
    for scope in ("global", "local"):
        counts = dict.fromkeys(("in", *SPLITS, "excluded", "decontaminated"), 0)
        for result in results:
            if result["source"] == source:
                counts["in"] += result["documents"]["in"][scope]
                counts["excluded"] += result["documents"]["excluded"][scope]
        tokens = dict.fromkeys(SPLITS, 0)
        for bucket in buckets:
            if bucket["source"] == source:
                counts[bucket["split"]] += bucket["documents"][scope]
                counts["decontaminated"] += bucket["decontaminated"][scope]
                tokens[bucket["split"]] += bucket["tokens"][scope]
        out = sum(counts.values()) - counts["in"]
        if out != counts["in"]:
            raise ConservationError(
                f"source {source}, {scope} scope: {counts['in']} documents went in but {out} came out "
                f"({', '.join(f'{count} {state}' for state, count in counts.items() if state != 'in')}); "
                "remove the token store and run again, and report this"
            )
        account[scope] = {"documents": counts, "tokens": tokens}
    return account
