"""What of a holdout may not be meant, with the numbers.

A source that gives a split less than is wanted, or nothing, and held-out documents that train holds as parts of others.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimpajama.tokens.draw import HoldoutAccount, SourceHoldout
from slimpajama.tokens.holdout import SPLITS
from slimpajama.tokens.near_texts import MOST_HOLDERS

__all__ = ["holdout_warnings"]


def holdout_warnings(account: HoldoutAccount, common: Mapping[str, int] | None = None) -> list[str]:
    """A sentence for each source that may not be measured as it should.

    ``common``: by source, held-out documents of which at least half stands in more documents than are searched.
    """
    said = [_of_source(source, one) for source, one in account.sources.items()]
    if account.gone:
        said.append(
            f"{account.gone:,} held-out documents of the earlier store are no longer kept: they are in no split; the "
            "results on this holdout are not quite those on the earlier one"
        )
    counts = {source: count for source in account.sources if (count := (common or {}).get(source))}
    if counts:
        of_sources = ", ".join(f"{count:,} of {source}" for source, count in counts.items())
        said.append(
            f"held-out documents that are boilerplate: {of_sources}; at least half of each also stands in more than "
            f"{MOST_HOLDERS} other documents, which stay in train, so results on them are better than they should be"
        )
    return [sentence for sentence in said if sentence]


def _of_source(source: str, one: SourceHoldout) -> str:
    none = [split for split in SPLITS[1:] if not one.documents[split]]
    if not one.wanted:  # published, taken over, or not wanted at all
        return ""
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
        f"most a tenth of its {one.tokens:,} tokens, and each gives at most a sixteenth of what is wanted"
    )
