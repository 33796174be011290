"""What of a holdout may not be meant, with the numbers.

A source that gives a split less than is wanted, or nothing, and held-out documents that train holds as parts of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimpajama.tokens.draw import HoldoutAccount, SourceHoldout
from slimpajama.tokens.holdout import SPLITS, TRAIN
from slimpajama.tokens.near_texts import MOST_HOLDERS
from slimpajama.tokens.summary import Counts

__all__ = ["RemovedOfSplit", "holdout_warnings"]

RemovedOfSplit = Mapping[tuple[str, str], Mapping[str, int]]
"""By a split and the one in which the duplicates stay, how many documents of each source are in no split."""


def holdout_warnings(
    account: HoldoutAccount, tokens: Mapping[str, Counts], common: Mapping[str, int], removed: RemovedOfSplit
) -> list[str]:
    """A sentence for each source that may not be measured as it should, in the order of ``tokens``.

    ``tokens``: by source, what became of those kept globally. ``common``: by source, held-out documents of which at
    least half stands in more documents than are searched. ``removed``: of a published split.
    """
    sources = list(tokens)
    said = [
        _of_source(source, account.sources[source], tokens[source]) for source in sources if source in account.sources
    ]
    if account.gone:
        said.append(
            f"{account.gone:,} held-out documents of the earlier store are no longer kept, so they are in no split; a "
            "near-duplicate that is kept instead of one may be in train: measure on this holdout, not on the earlier "
            "files"
        )
    for (split, stays), counts in removed.items() if account.how == "published" else ():
        which = f"{stays} of a source that comes earlier" if stays == SPLITS[TRAIN] else stays
        said.append(
            f"documents of {split} are duplicates or near-duplicates of documents of {which}, which stay, and so they "
            f"are in no split: {_by_source(counts, sources)}"
        )
    if any(common.values()):
        said.append(
            f"held-out documents that are boilerplate: {_by_source(common, sources)}; at least half of each also "
            f"stands in more than {MOST_HOLDERS} other documents, which stay in train, so results on them are better "
            "than they should be"
        )
    return [sentence for sentence in said if sentence]


def _by_source(counts: Mapping[str, int], sources: Sequence[str]) -> str:
    return ", ".join(f"{counts[source]:,} of {source}" for source in sources if counts.get(source))


def _of_source(source: str, one: SourceHoldout, tokens: Counts) -> str:
    none = [split for split in SPLITS[1:] if not one.documents[split]]
    if not one.wanted:  # published, taken over, or not wanted at all
        return ""
    if not one.tokens:
        return f"source {source} holds nothing out, as no document of it is kept in the global scope"
    if none:
        return (
            f"source {source} has no held-out document for {' and '.join(none)}, as its {one.tokens:,} tokens are few "
            "documents: a split takes at most a tenth of a source, or one document of at most a third; a larger corpus "
            "gives some"
        )
    if all(one.given[split] >= one.wanted for split in SPLITS[1:]):
        return ""
    given = " and ".join(f"{one.given[split]:,} tokens for {split}" for split in SPLITS[1:])
    return (
        f"source {source} holds out {given}, all it can give of {one.wanted:,} wanted: the documents of a split are at "
        f"most a tenth of its {one.tokens:,} tokens, and each gives at most a sixteenth of what is wanted; with "
        f"all that is left out on their account, {tokens.in_ - tokens.train:,} tokens of the source "
        f"({100 * (tokens.in_ - tokens.train) / max(1, tokens.in_):.1f} %) are not in train"
    )
