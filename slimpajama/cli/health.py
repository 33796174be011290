"""The health of a deduplication in plain words: how like their survivors removed documents are, and the large clusters.

A template or a banner that was taken for a duplicate shows in both.
"""

from __future__ import annotations

from pathlib import Path

from slimpajama.config.dedup import Scope
from slimpajama.dedup.removal_sample import RemovalSample
from slimpajama.dedup.summary import DedupSummary
from slimpajama.printable import printable, printable_text

__all__ = ["health_lines"]

MOST_CLUSTERS = 5
LARGE = 10
"""Documents that a cluster has at least to be worth a line."""

SHOWN = 72
"""Characters of the beginning of a text."""

BAR = 40


def health_lines(summary: DedupSummary, output: Path) -> str:
    """What the summary says of the removals into ``output``; empty where there is nothing to say."""
    parts = []
    if summary.looked_at is not None and summary.looked_at.looked_at:
        parts.append(_sample(summary.looked_at, _share_of_all(summary, summary.looked_at), output))
    large = [one for one in summary.clusters.largest if one.documents >= LARGE][:MOST_CLUSTERS]
    if large:
        width = max(len(f"{one.documents:,}") for one in large)
        lines = ["Largest clusters, documents in each, and how the one that stays begins:"]
        ids = max(len(f"{one.cluster:#x}") for one in large)
        lines += [f"  {one.documents:>{width},}  {one.cluster:<#{ids}x}  {_beginning(one.beginning)}" for one in large]
        lines.append(f"  (slimpajama explain {output} {large[0].cluster:#x} --members 20)")
        parts.append("\n".join(lines))
    return printable("\n\n".join(parts), keep="\n")


def _share_of_all(summary: DedupSummary, found: RemovalSample) -> float:
    """The share of all removals that is below the threshold, as the sources have shares of their own in the sample."""
    scope: Scope = "local" if summary.settings.scope == "local" else "global"
    removed = {name: summary.sources[name].of(scope).duplicate.documents for name in found.sources}
    below = sum(
        removed[name] * own.below_threshold / own.looked_at for name, own in found.sources.items() if own.looked_at
    )
    return below / max(1, sum(removed[name] for name, own in found.sources.items() if own.looked_at))


def _sample(found: RemovalSample, share: float, output: Path) -> str:
    below, threshold = found.below_threshold, f"{found.threshold:g}"
    verdict = f"none below {threshold}"
    if below:
        verdict = f"{below:,} are below {threshold}, which makes about {share:.1%} of all removals"
    lowest = f", the least alike pair at {found.lowest:.2f}" if found.lowest is not None else ""
    lines = [
        f"A look at {found.looked_at:,} removals, each against the document that stays, by exact Jaccard similarity:",
        f"  {verdict}{lowest}",
    ]
    most = max(found.histogram.values())
    for name, count in found.histogram.items():
        if count:
            label = "equal sets" if name == "1.0" else f"{name} to {float(name) + 0.1:.1f}"
            lines.append(f"  {label}  {'#' * max(1, round(BAR * count / most))} {count:,}")
    worst = sorted(
        ((name, own) for name, own in found.sources.items() if own.below_threshold),
        key=lambda pair: (-pair[1].below_threshold / pair[1].looked_at, pair[0]),
    )
    if worst:
        shares = ", ".join(f"{name} {own.below_threshold:,} of {own.looked_at:,}" for name, own in worst)
        lines.append(f"  below {threshold}, by source: {shares}")
        lines.append(f"  (slimpajama duplicates {output} --below {threshold})")
    return "\n".join(lines)


def _beginning(text: str) -> str:
    if not text:
        return "(not read)"
    shown = printable_text(text)
    return f"{shown[:SHOWN]}…" if len(shown) > SHOWN else shown
