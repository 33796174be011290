"""The figures of a token store: what ``summary.json`` in its folder holds, and what callers get.

Counts of documents and tokens stand by source and scope, so that who reads them can see that nothing was lost:
what came in = the three splits + what is left out, by why. Costs a few hundred bytes per source.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from slimpajama.storage.atomic import read_json
from slimpajama.tokens.draw import HoldoutAccount
from slimpajama.tokens.layout import StoreLayout

__all__ = [
    "ColumnValue",
    "Counts",
    "PerScope",
    "PerSplit",
    "ScopeAccount",
    "SourceAccount",
    "TokenSummary",
    "TokenizerUsed",
    "in_corpus_order",
    "read_token_summary",
]


class _Figures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PerScope(_Figures, frozen=True, kw_only=True):
    """A count in each scope."""

    global_: int = msgspec.field(name="global")
    local: int

    def of(self, scope: str) -> int:
        """The count of ``global`` or ``local``."""
        return self.global_ if scope == "global" else self.local


class PerSplit(_Figures, frozen=True, kw_only=True):
    """A count for each split."""

    train: int
    validation: int
    test: int

    def of(self, split: str) -> int:
        """The count of a split, by its name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[split]


class Counts(PerSplit, frozen=True, kw_only=True):
    """Documents, or tokens, that came ``in``, and what became of them.

    ``reserve``: next to be held out when the corpus grows. ``excluded``: near-duplicates of what is held out or in the
    reserve. ``decontaminated``: their text is held out. ``near_held_out``: they share much with a held-out text.
    ``beyond``: tokens of held-out documents after those that their split has.
    """

    in_: int = msgspec.field(name="in")
    reserve: int
    excluded: int
    decontaminated: int
    near_held_out: int
    beyond: int = 0

    @property
    def out(self) -> int:
        """All that is accounted for."""
        return sum(self.left_out.values()) + self.train + self.validation + self.test

    @property
    def left_out(self) -> dict[str, int]:
        """What is in no split, by why."""
        return {
            "reserve": self.reserve,
            "excluded": self.excluded,
            "decontaminated": self.decontaminated,
            "near_held_out": self.near_held_out,
            "beyond": self.beyond,
        }


class ScopeAccount(_Figures, frozen=True, kw_only=True):
    """Documents and tokens of a source in one scope."""

    documents: Counts
    tokens: Counts


class ColumnValue(_Figures, frozen=True, kw_only=True):
    """A value of a metadata column, its hash, and the training documents and tokens that have it.

    A ``value`` of more than 200 characters is cut there, and ends in an ellipsis.
    """

    value: str
    hash: str
    documents: PerScope
    tokens: PerScope


class SourceAccount(_Figures, frozen=True, kw_only=True, omit_defaults=True):
    """One source. ``text_bytes``: UTF-8 bytes that were tokenised. ``columns``: the values of each metadata column that
    is kept, those with the most tokens first. ``common_held_out``: held-out documents that stay in train, as part of
    other documents: at least half of each stands in more than 32, and so is not searched for."""

    text_bytes: int
    global_: ScopeAccount = msgspec.field(name="global")
    local: ScopeAccount
    columns: dict[str, tuple[ColumnValue, ...]] = {}
    common_held_out: int = 0

    def of(self, scope: str) -> ScopeAccount:
        """The account of ``global`` or ``local``."""
        return self.global_ if scope == "global" else self.local


class TokenizerUsed(_Figures, frozen=True, kw_only=True):
    """The tokenizer: the ``name`` that was asked for, and a digest of its content."""

    name: str
    digest: str


class TokenSummary(_Figures, frozen=True, kw_only=True):
    """A finished token store.

    ``backend``: the library that tokenised. ``bytes`` and ``buckets``: size and number of its buckets.
    ``fingerprint``: equal for equal content. ``seconds``: that it took to make.
    """

    backend: str
    vocabulary: int
    bytes: int
    buckets: int
    fingerprint: str
    sources: dict[str, SourceAccount]
    holdout: HoldoutAccount
    tokenizer: TokenizerUsed
    warnings: tuple[str, ...]
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The content of ``summary.json`` as plain values."""
        return dict(msgspec.to_builtins(self))


def in_corpus_order(summary: TokenSummary, sources: Sequence[str]) -> TokenSummary:
    """The same with all its ``sources`` in this order; a file has them by name."""
    holdout = msgspec.structs.replace(
        summary.holdout, sources={source: summary.holdout.sources[source] for source in sources}
    )
    accounts = {source: summary.sources[source] for source in sources}
    return msgspec.structs.replace(summary, sources=accounts, holdout=holdout)


def read_token_summary(layout: StoreLayout) -> TokenSummary | None:
    """The summary of a store, or ``None`` where there is none or it is broken."""
    try:
        return msgspec.convert(read_json(layout.summary), TokenSummary)
    except msgspec.ValidationError:
        return None
