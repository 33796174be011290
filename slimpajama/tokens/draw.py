"""The draw of validation and test: by tokens, source by source, in the order of a keyed hash of the content.

A split of a source gets the share of its tokens that is asked for, within a least and a most. One bit of a second hash
says whether a document is for validation or for test; each split takes documents until they give enough. A document
gives at most a sixteenth of what is wanted, so that no split is one long book. The documents of a split are at most a
tenth of the source, or one document of at most a third of it; one that would exceed that is passed over. Those that
follow, a quarter as much again, are the reserve: in no split, so that what was held out stays out of train when the
corpus grows by a little. A document that would be drawn but stands behind a survivor of another source takes its
cluster with it: it goes nowhere.

Per shard, only ``candidates`` are left for the draw, the lowest hashes that can be reached: the rows of documents of a
million tokens or so, however large the shard. Rejected: a share of the documents (on a small corpus, books fill the
split and short documents have none), and drawing by ids (they change when a shard is added).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.tokens.contents import place_among
from slimpajama.tokens.holdout import DRAWN, EXCLUDED, RESERVE, SPLITS, TEST, TRAIN, VALIDATION
from slimpajama.tokens.seeded_order import seeded_hash

__all__ = [
    "CANDIDATE",
    "CandidateList",
    "Drawn",
    "HoldoutAccount",
    "HoldoutRule",
    "SourceHoldout",
    "candidates",
    "draw",
    "published",
    "taken_over",
]

CANDIDATE = np.dtype(
    [
        ("text", "<u8", (2,)),
        ("id", "<u8"),
        ("cluster", "<u8"),
        ("tokens", "<u4"),
        ("survives", "?"),
        ("split", "u1"),
        ("shard", "<u4"),
    ]
)
"""A document that may be held out. ``tokens``: all of it. ``survives``: kept globally. ``split``: of a published shard.
``shard``: its number in its source, filled in by the draw."""

PARTS = 16
"""A document gives at most one part of a split in so many."""

WITH_RESERVE = 1.25
"""Documents are kept out of train up to so many times what a split needs."""

LARGEST_SHARE, LARGEST_DOCUMENT = 0.1, 1 / 3
"""Of the tokens of a source, the documents of a split, or its only one."""

_LEAST_PENDING = 8192
_HIGHEST = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class HoldoutRule:
    """``share`` of a source's tokens for each of validation and test, from ``least`` to ``most`` tokens; the seed."""

    share: float
    least: int
    most: int
    seed: int

    def wanted(self, tokens: int) -> int:
        """Tokens for a split of a source of so many."""
        return min(max(int(self.share * tokens), self.least), self.most) if self.share else 0

    def gives(self, tokens: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
        """Of so many tokens each, what documents give to a split that wants so many."""
        return np.minimum(tokens, max(1, wanted // PARTS))


class SourceHoldout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was held out of a source of ``tokens`` (of its documents kept globally). ``wanted``: tokens for a split.

    ``documents``, ``given``: by split, how many documents, and how many of their tokens. ``reserve``: documents.
    """

    tokens: int
    wanted: int
    documents: dict[str, int]
    given: dict[str, int]
    reserve: int


class HoldoutAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was held out of each source, and ``how``: drawn, published with the input, or taken over from a store.

    ``gone``: documents of the earlier store that are no longer there. ``without_validation``, ``without_test``: sources
    that give that split no document.
    """

    how: str
    sources: dict[str, SourceHoldout]
    gone: int
    without_validation: tuple[str, ...]
    without_test: tuple[str, ...]

    def documents(self, split: str) -> int:
        """That all sources hold out for a split."""
        return sum(source.documents[split] for source in self.sources.values())


@dataclass(frozen=True, slots=True)
class Drawn:
    """The rows ``DRAWN``; by source, the numbers of the shards that held-out documents lie in; the account."""

    rows: NDArray[np.void]
    shards: dict[str, tuple[int, ...]]
    account: HoldoutAccount


def candidates(rows: NDArray[np.void], rule: HoldoutRule) -> NDArray[np.void]:
    """Those of n rows ``CANDIDATE`` that a draw can take, in its order, however many others there are.

    Applying it to joined candidates gives the candidates of the whole: what comes after a full set of documents in one
    shard comes after it in all of them.
    """
    rows = _in_order(rows, rule.seed)
    bits, survives = _bits(rows, rule.seed), rows["survives"]
    gives = rule.gives(rows["tokens"].astype(np.int64), rule.most)
    chosen = np.zeros(rows.size, dtype=np.bool_)
    for group in ((bits == bit) & (survives == survivor) for bit in (0, 1) for survivor in (False, True)):
        own = np.flatnonzero(group)
        before = np.cumsum(gives[own]) - gives[own]
        chosen[own[before < WITH_RESERVE * rule.most]] = True
    return rows[chosen]


class CandidateList:
    """Collects the candidates of a shard; holds a few times as many rows as it ends with."""

    def __init__(self, rule: HoldoutRule) -> None:
        self._rule = rule
        self._rows = np.zeros(0, dtype=CANDIDATE)
        self._pending: list[NDArray[np.void]] = []
        self._size = 0
        self._limits = np.full((2, 2), _HIGHEST)

    def add(self, rows: NDArray[np.void]) -> None:
        """Take rows ``CANDIDATE``."""
        limits = self._limits[_bits(rows, self._rule.seed), rows["survives"].astype(np.intp)]
        rows = rows[_keys(rows, self._rule.seed) <= limits]
        self._pending.append(rows)
        self._size += rows.size
        if self._size > max(_LEAST_PENDING, 2 * self._rows.size):
            self._reduce()

    def rows(self) -> NDArray[np.void]:
        """The candidates so far."""
        self._reduce()
        return self._rows

    def _reduce(self) -> None:
        self._rows = candidates(np.concatenate([self._rows, *self._pending]), self._rule)
        self._pending, self._size = [], 0
        self._limits = _limits(self._rows, self._rule)


def draw(found: Mapping[str, NDArray[np.void]], tokens: Mapping[str, int], rule: HoldoutRule) -> Drawn:
    """Draw from each source's candidates, given the tokens of its documents that are kept globally."""
    drawn: dict[str, list[tuple[NDArray[np.void], int, int]]] = {}
    taken: set[bytes] = set()
    for source, rows in found.items():
        drawn[source] = _draw_source(candidates(rows, rule), tokens[source], rule, taken) if rule.share else []
    return _result("drawn" if rule.share else "none", drawn, tokens, rule)


def published(found: Mapping[str, NDArray[np.void]], tokens: Mapping[str, int]) -> Drawn:
    """The split that the input comes with: all survivors of its shards, each text once."""
    drawn: dict[str, list[tuple[NDArray[np.void], int, int]]] = {}
    taken: set[bytes] = set()
    for source, rows in found.items():
        drawn[source] = []
        for row in rows[np.argsort(rows["id"], kind="stable")]:
            if row["survives"] and row["split"] != TRAIN and row["text"].tobytes() not in taken:
                taken.add(row["text"].tobytes())
                drawn[source].append((row, int(row["split"]), int(row["tokens"])))
    return _result("published", drawn, tokens, None)


def taken_over(found: Mapping[str, NDArray[np.void]], tokens: Mapping[str, int], earlier: NDArray[np.void]) -> Drawn:
    """The split of an ``earlier`` store, as rows ``HELD_OUT`` by content: of those that are still there.

    A text that is only kept behind the survivor of another text is in no split, and neither is its cluster.
    """
    drawn: dict[str, list[tuple[NDArray[np.void], int, int]]] = {source: [] for source in found}
    known: set[int] = set()
    for survivors in (True, False):
        for source, rows in found.items():
            rows = rows[rows["survives"] == survivors]
            rows = rows[np.argsort(rows["id"], kind="stable")]
            for row, place in zip(rows, place_among(rows["text"], earlier["text"]).tolist(), strict=True):
                if place < 0 or (survivors and place in known):
                    continue
                if survivors:
                    known.add(place)
                    given = min(int(row["tokens"]), int(earlier["tokens"][place]))
                    drawn[source].append((row, int(earlier["split"][place]), given))
                else:
                    drawn[source].append((row, EXCLUDED, 0))
    return _result("taken over", drawn, tokens, None, gone=earlier.size - len(known))


def _draw_source(
    rows: NDArray[np.void], tokens: int, rule: HoldoutRule, taken: set[bytes]
) -> list[tuple[NDArray[np.void], int, int]]:
    """Rows with their states and the tokens that they give; ``taken``: contents that other sources hold out."""
    largest, largest_alone = int(LARGEST_SHARE * tokens), int(LARGEST_DOCUMENT * tokens)
    gives = rule.gives(rows["tokens"].astype(np.int64), rule.wanted(tokens))
    wanted = min(rule.wanted(tokens), largest)
    bits = _bits(rows, rule.seed)
    drawn = []
    for bit, split in ((0, VALIDATION), (1, TEST)):
        given = reserved = used = kept_back = elsewhere = 0
        for place in np.flatnonzero(bits == bit).tolist():
            row, size, part = rows[place], int(rows["tokens"][place]), int(gives[place])
            if given + reserved >= WITH_RESERVE * wanted:
                break
            content = row["text"].tobytes()
            if not row["survives"]:
                if elsewhere + size <= largest:
                    elsewhere += size
                    drawn.append((row, EXCLUDED, 0))
            elif content in taken:
                continue
            elif given < wanted and used + size <= (largest if used else largest_alone):
                given, used = given + part, used + size
                taken.add(content)
                drawn.append((row, split, part))
            elif used + kept_back + size <= WITH_RESERVE * largest:
                reserved, kept_back = reserved + part, kept_back + size
                drawn.append((row, RESERVE, 0))
    return drawn


def _result(
    how: str,
    drawn: Mapping[str, Sequence[tuple[NDArray[np.void], int, int]]],
    tokens: Mapping[str, int],
    rule: HoldoutRule | None,
    gone: int = 0,
) -> Drawn:
    states: dict[int, tuple[bytes, int, int, int]] = {}
    shards: dict[str, tuple[int, ...]] = {}
    accounts: dict[str, SourceHoldout] = {}
    for source, own in drawn.items():
        documents, given, reserve = dict.fromkeys(SPLITS[1:], 0), dict.fromkeys(SPLITS[1:], 0), 0
        lie_in = set()
        for row, state, part in own:
            cluster = int(row["cluster"])
            if state != EXCLUDED or cluster not in states:  # what is in a split, or for one, is not excluded as well
                states[cluster] = (row["text"].tobytes(), state, part, int(row["tokens"]))
            if state in (VALIDATION, TEST):
                documents[SPLITS[state]] += 1
                given[SPLITS[state]] += part
                lie_in.add(int(row["shard"]))
            reserve += state == RESERVE
        shards[source] = tuple(sorted(lie_in))
        accounts[source] = SourceHoldout(
            tokens=tokens[source],
            wanted=rule.wanted(tokens[source]) if rule else 0,
            documents=documents,
            given=given,
            reserve=reserve,
        )
    rows = np.zeros(len(states), dtype=DRAWN)
    for place, (cluster, (content, state, part, whole)) in enumerate(states.items()):
        rows[place] = (cluster, np.frombuffer(content, dtype="<u8"), state, part, whole)
    without = {
        split: tuple(source for source, one in accounts.items() if not one.documents[split]) for split in SPLITS[1:]
    }
    account = HoldoutAccount(
        how=how,
        sources=accounts,
        gone=gone,
        without_validation=without[SPLITS[VALIDATION]],
        without_test=without[SPLITS[TEST]],
    )
    return Drawn(rows, shards, account)


def _limits(rows: NDArray[np.void], rule: HoldoutRule) -> NDArray[np.uint64]:
    """``uint64[2, 2]``, by bit and whether it survives: the highest key that a draw can still reach.

    ``rows``: candidates in their order; where those of a kind are a full set, nothing after them is reached.
    """
    limits = np.full((2, 2), _HIGHEST)
    keys, bits = _keys(rows, rule.seed), _bits(rows, rule.seed)
    gives = rule.gives(rows["tokens"].astype(np.int64), rule.most)
    for bit in (0, 1):
        for survives in (0, 1):
            own = (bits == bit) & (rows["survives"] == survives)
            if gives[own].sum() >= WITH_RESERVE * rule.most:
                limits[bit, survives] = keys[own][-1]
    return limits


def _keys(rows: NDArray[np.void], seed: int) -> NDArray[np.uint64]:
    return seeded_hash(rows["text"][:, 0], seed, "holdout")


def _in_order(rows: NDArray[np.void], seed: int) -> NDArray[np.void]:
    """By the hash of their contents; of survivors of one content, only the one of the lowest id."""
    keys = _keys(rows, seed)
    rows = rows[np.lexsort((rows["id"], rows["survives"], rows["text"][:, 1], keys))]
    again = np.zeros(rows.size, dtype=np.bool_)
    again[1:] = (rows["text"][1:] == rows["text"][:-1]).all(axis=1) & (rows["survives"][1:] & rows["survives"][:-1])
    return rows[~again]


def _bits(rows: NDArray[np.void], seed: int) -> NDArray[np.intp]:
    """0 for validation, 1 for test."""
    second = seeded_hash(rows["text"][:, 0], seed, "validation or test")
    bits: NDArray[np.intp] = (second & np.uint64(1)).astype(np.intp)
    return bits
