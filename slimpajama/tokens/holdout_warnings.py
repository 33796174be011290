"""What of a holdout may not be meant, with the numbers: a source that gives a split less than is wanted, or nothing."""

from __future__ import annotations

from slimpajama.tokens.draw import HoldoutAccount, SourceHoldout
from slimpajama.tokens.holdout import SPLITS

__all__ = ["holdout_warnings"]


def holdout_warnings(account: HoldoutAccount) -> list[str]:
    """A sentence for each source that may not be measured as it should."""
    said = [_of_source(source, one) for source, one in account.sources.items()]
    if account.gone:
        said.append(
            f"{account.gone:,} held-out documents of the earlier store are no longer kept: they are in no split; the "
            "results on this holdout are not quite those on the earlier one"
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
