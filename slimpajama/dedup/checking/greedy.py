"""Which documents stay: the greedy maximal independent set of similar documents, in order of precedence.

A document goes if a document before it that stays is similar to it, so its fate depends on earlier ones alone, and one
pass in that order decides all. The pass is made for each scope; the local one sees pairs of one source. A copy of a
text that its own source has before was left out of the bands: it shares the fate of the first copy. Costs 40 bytes for
each similar pair. Rejected: connected components of similar pairs (a chain of them removes documents that are similar
to none that stays: 72 of 3,057 on real text), and the best survivor instead of the first (needs all similarities).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.clustering.union_find import NOWHERE
from slimpajama.dedup.distinct import distinct
from slimpajama.engine.kernels import kernel

__all__ = ["NO_PAIRS", "Fates", "SimilarPairs", "decide_fates", "walk", "with_more"]


@dataclass(frozen=True, slots=True)
class SimilarPairs:
    """n pairs that are similar enough: ``documents``, ``candidates`` ``uint64[n]``, of which the candidate comes
    before the document, and their ``similarities`` ``float64[n]``, NaN where not known exactly."""

    documents: NDArray[np.uint64]
    candidates: NDArray[np.uint64]
    similarities: NDArray[np.float64]


NO_PAIRS = SimilarPairs(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint64), np.empty(0))


@dataclass(frozen=True, slots=True)
class Fates:
    """The k documents that go in one scope: ``ids`` ``uint64[k]`` ascending, their ``survivors`` ``uint64[k]``, and
    their ``similarities`` to those ``float64[k]``."""

    ids: NDArray[np.uint64]
    survivors: NDArray[np.uint64]
    similarities: NDArray[np.float64]


def decide_fates(
    pairs: SimilarPairs,
    copies: SimilarPairs,
    earlier: Fates,
    precedence: NDArray[np.int64] | None = None,
    known: NDArray[np.uint64] | None = None,
) -> Fates:
    """Go through the pairs in order of precedence.

    ``copies``: documents that share the fate of their first copy, the candidate. ``earlier``: fates that are decided
    already. ``precedence`` ``int64[m]``: the place of each of the ascending ids ``known`` ``uint64[m]``, which are all
    that occur; the order of ids without it.
    """
    ids = distinct(np.concatenate([pairs.documents, pairs.candidates, copies.documents, copies.candidates]))
    order = np.arange(ids.size) if precedence is None else _places_in_order(ids, known, precedence)
    place = np.empty(ids.size, dtype=np.int64)  # of the id at an index, in precedence
    place[order] = np.arange(ids.size)
    survivors = np.arange(ids.size)  # by place
    similarities = np.ones(ids.size)
    outside = np.full(ids.size, NOWHERE)  # survivors that occur in no pair
    _take_over(earlier, ids, place, survivors, similarities, outside)
    documents = np.concatenate([pairs.documents, copies.documents])
    candidates = np.concatenate([pairs.candidates, copies.candidates])
    of_pairs = np.concatenate([pairs.similarities, copies.similarities])
    is_copy = np.zeros(documents.size, dtype=np.bool_)
    is_copy[pairs.documents.size :] = True
    later = place[np.searchsorted(ids, documents)]
    before = place[np.searchsorted(ids, candidates)]
    by_place = np.lexsort((before, ~is_copy, later))
    walk(later[by_place], before[by_place], of_pairs[by_place], is_copy[by_place], survivors, similarities, outside)
    gone = np.flatnonzero((survivors != np.arange(ids.size)) | (outside != NOWHERE))
    in_order = ids[order]
    found = np.where(outside[gone] != NOWHERE, outside[gone], in_order[survivors[gone]])
    gone_ids = in_order[gone]
    by_id = np.argsort(gone_ids)
    return Fates(gone_ids[by_id], found[by_id], similarities[gone][by_id])


def with_more(known: Fates, more: Fates) -> Fates:
    """Both, each document once."""
    ids, first = np.unique(np.concatenate([known.ids, more.ids]), return_index=True)
    survivors = np.concatenate([known.survivors, more.survivors])
    similarities = np.concatenate([known.similarities, more.similarities])
    return Fates(ids, survivors[first], similarities[first])


def _places_in_order(
    ids: NDArray[np.uint64], known: NDArray[np.uint64] | None, precedence: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The indexes of ``ids`` in order of precedence."""
    if known is None:
        raise ValueError("an order of precedence is one of known ids")
    order: NDArray[np.int64] = np.argsort(precedence[np.searchsorted(known, ids)], kind="stable")
    return order


def _take_over(
    earlier: Fates,
    ids: NDArray[np.uint64],
    place: NDArray[np.int64],
    survivors: NDArray[np.int64],
    similarities: NDArray[np.float64],
    outside: NDArray[np.uint64],
) -> None:
    """What an earlier run decided on documents that occur in pairs."""
    if not earlier.ids.size:
        return
    at = np.minimum(np.searchsorted(earlier.ids, ids), earlier.ids.size - 1)
    decided = np.flatnonzero(earlier.ids[at] == ids)
    outside[place[decided]] = earlier.survivors[at[decided]]
    similarities[place[decided]] = earlier.similarities[at[decided]]


@kernel
def walk(
    later: NDArray[np.int64],
    before: NDArray[np.int64],
    of_pairs: NDArray[np.float64],
    is_copy: NDArray[np.bool_],
    survivors: NDArray[np.int64],
    similarities: NDArray[np.float64],
    outside: NDArray[np.uint64],
) -> None:
    """Find the survivor of each place; pairs in order of the later place, copies first, then of the place before."""
    nowhere = np.uint64(0xFFFFFFFFFFFFFFFF)
    for at in range(later.size):
        document, candidate = later[at], before[at]
        if survivors[document] != document or outside[document] != nowhere:
            continue
        if survivors[candidate] == candidate and outside[candidate] == nowhere:
            survivors[document] = candidate
            similarities[document] = of_pairs[at]
        elif is_copy[at]:
            survivors[document] = survivors[candidate]
            outside[document] = outside[candidate]
            similarities[document] = similarities[candidate]
