"""Tokens of each source, lengths of documents, and how far the token distributions of sources are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slimpajama.report.drawings.heat import Cell, heat_map
from slimpajama.report.drawings.style import COLOURS, Drawing, canvas, drawn, legend, side_labels
from slimpajama.report.figures.mixtures import LengthBin, SourceTokens, TokenSection, TokenSubset
from slimpajama.report.numbers import count, decimals

__all__ = ["divergence_maps", "document_lengths", "source_tokens"]

MOST = 10
"""Sources in a drawing of lengths or divergence: the first ones. All are in the files."""


def source_tokens(sources: Sequence[SourceTokens]) -> Drawing:
    """For each source a bar for each scope."""
    figure, axes = canvas(820, 50 + 36 * len(sources), left=150, right=110, top=30, bottom=20)
    most = max([max(one.global_tokens, one.local_tokens) for one in sources] + [1])
    places = [-float(number) for number in range(len(sources))]
    for place, one in zip(places, sources, strict=True):
        axes.barh(place + 0.15, one.global_tokens, height=0.32, color=COLOURS["blue"], linewidth=0)
        axes.barh(place - 0.18, one.local_tokens, height=0.26, color=COLOURS["sky"], linewidth=0)
        for tokens, beside in ((one.global_tokens, place + 0.18), (one.local_tokens, place - 0.2)):
            axes.text(tokens + most * 0.012, beside, count(tokens), va="center", color=COLOURS["muted"], fontsize=10)
    side_labels(axes, places, [one.source for one in sources])
    axes.set_xlim(0, most)
    axes.set_ylim(-len(sources) + 0.5, 0.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    legend(axes, (("global", "blue", 1), ("local", "sky", 1)))
    words = "; ".join(
        f"{one.source}: {count(one.global_tokens)} globally, {count(one.local_tokens)} locally" for one in sources
    )
    return drawn("source-tokens", "Training tokens of each source", words + ".", figure)


def document_lengths(tokens: TokenSection) -> Drawing:
    """A row for each source: its documents by length, each row as high as its commonest length."""
    names = [one.source for one in tokens.sources][:MOST]
    figure, axes = canvas(820, 52 + 46 * len(names), left=150, right=24, top=8, bottom=44)
    words = []
    for number, name in enumerate(names):
        bins = [one for one in tokens.lengths if one.source == name and one.documents]
        highest = max([one.documents for one in bins] + [1])
        for one in bins:
            left, right = math.log2(max(one.least, 1)), math.log2(one.most + 1)
            high = 0.82 * one.documents / highest
            axes.bar(
                left,
                high,
                width=(right - left) * 0.94,
                bottom=-number,
                align="edge",
                color=COLOURS["blue"],
                linewidth=0,
            )
        axes.plot([0, 40], [-number, -number], color=COLOURS["rule"], linewidth=1)
        words.append(f"{name}: median {count(_median(bins))} tokens or so")
    ends = [math.log2(one.most + 1) for one in tokens.lengths if one.documents] + [4]
    starts = [math.log2(max(one.least, 1)) for one in tokens.lengths if one.documents] + [3]
    axes.set_xlim(min(starts) - 0.1, max(ends) + 0.1)
    side_labels(axes, [0.3 - number for number in range(len(names))], names)
    axes.set_ylim(-len(names) + 0.9, 0.95)
    ticks = range(math.ceil(min(starts)), math.floor(max(ends)) + 1, 2 if max(ends) - min(starts) > 8 else 1)
    axes.set_xticks(list(ticks), [count(2**tick) for tick in ticks])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel("tokens in a document")
    return drawn("document-lengths", "Documents by their number of tokens", "; ".join(words) + ".", figure)


def _median(bins: Sequence[LengthBin]) -> int:
    half, seen = sum(one.documents for one in bins) / 2, 0
    for one in sorted(bins, key=lambda one: one.least):
        seen += one.documents
        if seen >= half:
            return round(math.sqrt(max(one.least, 1) * max(one.most, 1)))
    return 0


def divergence_maps(tokens: TokenSection, subset: TokenSubset) -> tuple[Drawing, Drawing]:
    """Two maps of one subset: KL, with the floor beside it, and Jensen-Shannon."""
    names = tokens.compared[:MOST]
    deepest = [value for one in tokens.subsets for row in one.kl for value in row if value is not None]
    deepest_js = [value for one in tokens.subsets for row in one.js for value in row if value is not None]
    most, most_js = max([*deepest, 1e-9]), max([*deepest_js, 1e-9])
    kl = [[_cell(value, most) for value in row[:MOST]] for row in subset.kl[:MOST]]
    floors = [_cell(value, most) for value in subset.floor[:MOST]]
    js = [[_cell(value, most_js) for value in row[:MOST]] for row in subset.js[:MOST]]
    beside = [[*row, floor] for row, floor in zip(kl, floors, strict=True)]
    title = f"Divergence of token distributions over {subset.title}"
    return (
        heat_map(
            f"kl-{subset.name}",
            f"{title}, in nats",
            _words(names, subset.kl),
            names,
            [*names, "itself"],
            beside,
            width=40,
            height=30,
            apart=1,
        ),
        heat_map(
            f"js-{subset.name}",
            f"{title}, Jensen-Shannon",
            _words(names, subset.js),
            names,
            names,
            js,
            width=40,
            height=30,
        ),
    )


def _cell(value: float | None, most: float) -> Cell:
    return Cell(None) if value is None else Cell((value / most) ** 0.5, decimals(value))


def _words(names: Sequence[str], table: Sequence[Sequence[float | None]]) -> str:
    return "; ".join(
        f"{row} from "
        + ", ".join(
            f"{column} {decimals(value)}" for column, value in zip(names, values, strict=False) if column != row
        )
        for row, values in zip(names, table, strict=False)
    )
