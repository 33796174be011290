"""The dataset cards of the folders of deduplicated shards: for each scope that has some.

Where the input comes with a split, the card says which shards are of which part of it, so that ``datasets`` opens the
shards of train alone as train. Costs a look at the manifest.
"""

from __future__ import annotations

from slimpajama.corpus.published_split import published_splits
from slimpajama.dedup.card import shards_by_split, shards_card
from slimpajama.dedup.dedup_run import DedupRun
from slimpajama.dedup.files.layout import BOTH
from slimpajama.dedup.files.manifest import read_manifest
from slimpajama.dedup.summary import DedupSummary
from slimpajama.stages.runner import Stages

__all__ = ["write_cards"]


def write_cards(dedup: DedupRun, summary: DedupSummary, current: set[str], stages: Stages) -> None:
    """Write the cards, and remove those of scopes without shards. ``current``: the paths of all outputs there are."""
    if stages.inspecting:
        return
    splits = _splits(dedup, current) if dedup.corpus.held_out else {}
    for scope in BOTH:
        card = dedup.layout.card(scope)
        if any(path.startswith(f"{scope}/") for path in current):
            ending = dedup.layout.shard_ending
            own = [(path.split("/", 1)[1], split) for path, split in splits.items() if path.startswith(f"{scope}/")]
            text = shards_card(
                scope, ending, summary.sources, dedup.config.duplicate_counts, shards_by_split(own, ending)
            )
            stages.write(card, text.encode())
        else:
            stages.remove(card)


def _splits(dedup: DedupRun, current: set[str]) -> dict[str, str]:
    """Of each shard, by its path, the split that it was published for."""
    parts = read_manifest(dedup.layout).parts
    return {
        shard.path: split
        for part, split in zip(parts, published_splits([part.inputs[0].path for part in parts]), strict=True)
        for shard in part.shards
        if shard.path in current
    }
