"""What a deduplication did with each document, and how that compares with the truth.

Two questions are asked of every removal: how similar is the document that was kept for it (only where the tool says
which that is), and does any document that stays have J >= 0.8 with it. The second needs nothing but the list of what
was kept, so it is asked of every tool in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.truth import Truth
from slimpajama import open_decisions

__all__ = ["Outcome", "Row", "judged", "of_kept", "of_output", "of_written"]

THRESHOLD, HALF = 80, 50
"""Hundredths of similarity."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of n documents: ``survivors`` ``int64[n]`` is the document kept for each, itself where it stays, and -1 where the
    tool does not say. ``kept`` ``bool[n]``. What is neither kept nor ``removed`` ``bool[n]`` was left out for another
    reason, such as its length."""

    kept: NDArray[np.bool_]
    removed: NDArray[np.bool_]
    survivors: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one deduplication. ``below``: removals with J < 0.8 with their survivor, ``far_below``: with J < 0.5,
    ``lowest``: the least J; all None where survivors are not known. ``lost``: removals with no document that stays at
    J >= 0.8. ``left``: kept documents that would have to go, too: those with J >= 0.8 with another one that stays,
    of two always one.
    ``found``: share of all pairs of J >= 0.8 of which not both are kept; ``together``: of which both have the same
    survivor. ``similarities``: of removals with their survivors, sorted."""

    removed: int
    bytes: int
    below: int | None
    far_below: int | None
    lowest: float | None
    lost: int
    left: int
    found: float
    together: float | None
    similarities: NDArray[np.float64]


def of_output(output: Path, truth: Truth, scope: str = "global") -> Outcome:
    """What the finished deduplication in ``output`` did in one scope."""
    decisions = open_decisions(output).dataset
    by_document_id = "document_id" in decisions.schema.names
    columns = ["id", "shard", "position", "status", f"kept_{scope}", f"cluster_{scope}"]
    table = decisions.to_table(columns=[*columns, "document_id"] if by_document_id else columns)
    places = {name: place for place, name in enumerate(truth.names)}
    names: Sequence[str]
    if by_document_id:
        names = table["document_id"].to_pylist()
    else:
        shards, positions = table["shard"].to_pylist(), table["position"].to_pylist()
        names = [f"{shard}:{position}" for shard, position in zip(shards, positions, strict=True)]
    numbers = np.array([places.get(name, -1) for name in names], dtype=np.int64)
    missing = len(places) - np.unique(numbers[numbers >= 0]).size
    if missing:
        raise SystemExit(f"{output} does not decide on {missing:,} documents of the input; give its own --input")
    place_of_id = dict(zip(table["id"].to_pylist(), numbers.tolist(), strict=True))
    kept = np.zeros(len(places), dtype=np.bool_)
    removed = np.zeros(len(places), dtype=np.bool_)
    survivors = np.arange(len(places), dtype=np.int64)
    rows = zip(
        numbers.tolist(),
        table["status"].to_pylist(),
        table[f"kept_{scope}"].to_pylist(),
        table[f"cluster_{scope}"].to_pylist(),
        strict=True,
    )
    for number, status, is_kept, cluster in rows:
        if number < 0 or status in ("short", "bad"):
            continue
        kept[number], removed[number] = is_kept, not is_kept
        if not is_kept:
            survivors[number] = place_of_id.get(cluster, -1)
    return Outcome(kept, removed, survivors)


def of_kept(kept_names: Iterable[str], truth: Truth, survivors: Mapping[str, str] | None = None) -> Outcome:
    """What a tool did that says only which documents it kept and perhaps, of removed ones, for which other."""
    places = {name: place for place, name in enumerate(truth.names)}
    kept = np.zeros(len(places), dtype=np.bool_)
    kept[[places[name] for name in kept_names]] = True
    numbers = np.where(kept, np.arange(len(places), dtype=np.int64), -1)
    for name, survivor in (survivors or {}).items():
        numbers[places[name]] = places[survivor]
    return Outcome(kept, ~kept, numbers)


def of_written(file: Path, truth: Truth) -> Outcome:
    """What a program of ``peer_programs`` wrote."""
    written = orjson.loads(file.read_bytes())
    return of_kept(written["kept"], truth, written["survivors"])


def judged(outcome: Outcome, truth: Truth) -> Row:
    """The figures of ``outcome``."""
    kept, removed, survivors = outcome.kept, outcome.removed, outcome.survivors
    astray = removed & (survivors >= 0) & ~kept[survivors]
    if astray.any():
        raise SystemExit(f"{astray.sum():,} removed documents name a survivor that does not stay")
    pairs = truth.pairs.at_least(truth.sets.sizes, THRESHOLD)
    left, right = pairs.left, pairs.right
    both = kept[left] & kept[right]
    excess = np.zeros(kept.size, dtype=np.bool_)
    for earlier, later in zip(left[both].tolist(), right[both].tolist(), strict=True):  # in the order of the earlier
        excess[later] |= not excess[earlier]
    covered = np.zeros(kept.size, dtype=np.bool_)
    covered[left[kept[right]]] = True
    covered[right[kept[left]]] = True
    gone = np.flatnonzero(removed)
    known = bool((survivors[gone] >= 0).all())
    similarities = np.sort(truth.sets.jaccard(gone, survivors[gone])) if known else np.empty(0)
    decided = (kept | removed)[left] & (kept | removed)[right]
    return Row(
        removed=gone.size,
        bytes=int(truth.bytes[gone].sum()),
        below=int(np.searchsorted(similarities, THRESHOLD / 100)) if known else None,
        far_below=int(np.searchsorted(similarities, HALF / 100)) if known else None,
        lowest=float(similarities[0]) if similarities.size else None,
        lost=int((removed & ~covered).sum()),
        left=int(excess.sum()),
        found=float((~both & decided).sum() / max(1, both.size)),
        together=float(((survivors[left] == survivors[right]) & decided).sum() / max(1, both.size)) if known else None,
        similarities=similarities,
    )
