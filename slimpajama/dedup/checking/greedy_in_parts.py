"""The greedy pass where precedence is the order of ids: ranges of documents are prepared apart, then walked in order.

Nearly all of the work is sorting pairs and looking candidates up, which each thread does for a range of documents; what
remains is one walk over all pairs, at some 10 ns a pair, as a document's fate depends on those before it. The two
scopes are walked at the same time. Decides the same as :func:`slimpajama.dedup.checking.greedy.decide_fates`. Rejected:
one pass for each connected component of similar pairs (components would have to be found first), and rounds in which
all documents whose candidates are decided are decided at once (more passes than one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimpajama.dedup.checking.greedy import Fates, SimilarPairs
from slimpajama.dedup.clustering.team import Team
from slimpajama.dedup.clustering.union_find import NOWHERE
from slimpajama.engine.kernels import kernel

__all__ = ["OrderedPairs", "fates_of_parts", "ordered_pairs", "walk_in_order"]

STAYS = -1
"""Of a candidate that no pair and no earlier run can remove."""


@dataclass(frozen=True, slots=True)
class OrderedPairs:
    """n pairs of a range of documents, in the order in which they are walked.

    ``documents`` ``uint64[k]``: the distinct ones, ascending; ``later`` ``int64[n]``: which of them each pair is about;
    ``candidates`` ``uint64[n]``, ``similarities`` ``float64[n]``, ``is_copy`` ``bool[n]``: of each pair.
    """

    documents: NDArray[np.uint64]
    later: NDArray[np.int64]
    candidates: NDArray[np.uint64]
    similarities: NDArray[np.float64]
    is_copy: NDArray[np.bool_]


def ordered_pairs(pairs: SimilarPairs, copies: SimilarPairs) -> OrderedPairs:
    """The pairs of a range, with the copies of it: of each document first its copies, then candidates by their ids."""
    documents = np.concatenate([pairs.documents, copies.documents])
    candidates = np.concatenate([pairs.candidates, copies.candidates])
    similarities = np.concatenate([pairs.similarities, copies.similarities])
    is_copy = np.zeros(documents.size, dtype=np.bool_)
    is_copy[pairs.documents.size :] = True
    order = np.lexsort((candidates, ~is_copy, documents))
    ordered = documents[order]
    fresh = np.ones(order.size, dtype=np.bool_)
    fresh[1:] = ordered[1:] != ordered[:-1]
    later = np.cumsum(fresh) - 1
    return OrderedPairs(ordered[fresh], later, candidates[order], similarities[order], is_copy[order])


def fates_of_parts(scopes: Sequence[Sequence[OrderedPairs]], earlier: Sequence[Fates], team: Team) -> list[Fates]:
    """The fates in each scope by its parts, which follow each other in the order of ids; ``earlier``: what is decided
    already in each scope."""
    walks = [_Walk.of(parts, known) for parts, known in zip(scopes, earlier, strict=True)]
    places = [(walk, number) for walk in walks for number in range(len(walk.parts))]
    befores = team.map(lambda place: place[0].before(place[1]), places)
    waiting = iter(befores)
    work = [(walk, [next(waiting) for _ in walk.parts]) for walk in walks]
    return team.map(lambda one: one[0].fates(one[1]), work)


@dataclass(frozen=True, slots=True)
class _Walk:
    """All documents of a scope that have pairs, ``first`` of each part, and their fates so far."""

    parts: Sequence[OrderedPairs]
    first: list[int]
    documents: NDArray[np.uint64]
    survivors: NDArray[np.uint64]
    similarities: NDArray[np.float64]
    earlier: Fates

    @classmethod
    def of(cls, parts: Sequence[OrderedPairs], earlier: Fates) -> _Walk:
        documents = np.concatenate([np.empty(0, dtype=np.uint64), *(part.documents for part in parts)])
        first = [0, *np.cumsum([part.documents.size for part in parts]).tolist()]
        survivors, similarities = np.full(documents.size, NOWHERE), np.ones(documents.size)
        at, decided = _found(earlier.ids, documents)
        survivors[decided] = earlier.survivors[at[decided]]
        similarities[decided] = earlier.similarities[at[decided]]
        return cls(parts, first, documents, survivors, similarities, earlier)

    def before(self, number: int) -> NDArray[np.int64]:
        """``int64[n]`` of the pairs of a part: the place of the candidate among ``documents``, ``STAYS``, or, from -2
        downwards, its place among those that are decided already."""
        candidates = self.parts[number].candidates
        before, known = _found(self.documents, candidates)
        before[~known] = STAYS
        if self.earlier.ids.size:
            at, decided = _found(self.earlier.ids, candidates)
            decided &= ~known
            before[decided] = -2 - at[decided]
        return before

    def fates(self, befores: Sequence[NDArray[np.int64]]) -> Fates:
        """Who goes."""
        for part, first, before in zip(self.parts, self.first, befores, strict=False):
            walk_in_order(
                part.later,
                first,
                before,
                part.candidates,
                part.similarities,
                part.is_copy,
                self.earlier.survivors,
                self.earlier.similarities,
                self.survivors,
                self.similarities,
            )
        gone = self.survivors != NOWHERE
        return Fates(self.documents[gone], self.survivors[gone], self.similarities[gone])


def _found(ids: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each of ``wanted`` is among ascending ``ids``, and whether it is there."""
    if not ids.size:
        return np.zeros(wanted.size, dtype=np.int64), np.zeros(wanted.size, dtype=np.bool_)
    at = np.minimum(np.searchsorted(ids, wanted), ids.size - 1)
    return at, ids[at] == wanted


@kernel
def walk_in_order(
    later: NDArray[np.int64],
    first: int,
    before: NDArray[np.int64],
    candidates: NDArray[np.uint64],
    of_pairs: NDArray[np.float64],
    is_copy: NDArray[np.bool_],
    earlier_survivors: NDArray[np.uint64],
    earlier_similarities: NDArray[np.float64],
    survivors: NDArray[np.uint64],
    similarities: NDArray[np.float64],
) -> None:
    """Find the survivors of the documents of a part, the first of which is number ``first`` of all; of one that stays
    it is ``NOWHERE``."""
    for at in range(later.size):
        document = first + later[at]
        if survivors[document] != NOWHERE:
            continue
        gone_for, similarity = NOWHERE, of_pairs[at]
        place = before[at]
        if place >= 0:
            gone_for = survivors[place]
        elif place != STAYS:
            gone_for = earlier_survivors[-2 - place]
        if gone_for == NOWHERE:
            survivors[document] = candidates[at]
            similarities[document] = similarity
        elif is_copy[at]:
            survivors[document] = gone_for
            similarities[document] = similarities[place] if place >= 0 else earlier_similarities[-2 - place]
