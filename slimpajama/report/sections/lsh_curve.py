"""The chance of being caught against similarity: the curve of the banding, and what it did to real pairs.

The pairs of a run were chosen because it caught them, so they are sketched anew under other seeds: each seed is a fair
trial of the same banding on the same texts. Small texts are taken, as the chance depends on similarity alone. About
0.1 s a megabyte and seed. Intervals are Wilson's, of 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slimpajama.config.dedup_presets import PRESET_THRESHOLD
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.banding import banding, catch_probability
from slimpajama.dedup.params import MinHashParams
from slimpajama.evidence.opened_output import Pair
from slimpajama.registry import KEY_METHODS
from slimpajama.report.figures.deduplication import CurvePoint, LshSection
from slimpajama.report.opened_output import OpenedDedup

__all__ = ["lsh_curve", "wilson"]

SEEDS = 12
FIRST_SEED = 1_000_003

TEXT_BYTES = 4 << 20
"""Of all pairs that are sketched anew."""

MOST_OF_BIN = 40
BIN = 0.05

NORMAL = 1.959964
"""Of the standard normal, 95 % lie this near to 0."""


def lsh_curve(dedup: OpenedDedup, pairs: Sequence[Pair], seeds: int = SEEDS) -> LshSection:
    """The curve, and the share of ``pairs`` that is caught under ``seeds`` other seeds."""
    settings = dedup.summary.settings
    bands, rows = banding(settings)
    curve = [(at / 100, catch_probability(at / 100, bands, rows)) for at in range(101)]
    return LshSection(
        bands=bands,
        rows=rows,
        threshold=settings.threshold or PRESET_THRESHOLD,
        half_point=_half_point(bands, rows),
        seeds=seeds,
        curve=tuple(CurvePoint(similarity=s, caught=p, pairs=0, low=p, high=p) for s, p in curve),
        measured=_measured(dedup.evidence.params, _chosen(pairs), seeds),
    )


def wilson(caught: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not trials:
        return 0.0, 1.0
    share, square = caught / trials, NORMAL**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = NORMAL * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def _half_point(bands: int, rows: int) -> float:
    """The similarity at which half of the pairs are caught."""
    return float((1 - 0.5 ** (1 / bands)) ** (1 / rows))


def _bin(pair: Pair) -> int:
    return int(pair.jaccard / BIN + 1e-9)


def _chosen(pairs: Sequence[Pair]) -> list[Pair]:
    """Some pairs of every similarity below 1, short ones first."""
    by_bin: dict[int, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda one: (one.document.bytes + one.survivor.bytes, one.document.id)):
        if 0 < pair.jaccard < 1:
            by_bin.setdefault(_bin(pair), []).append(pair)
    budget = TEXT_BYTES // max(1, len(by_bin))
    chosen = []
    for own in by_bin.values():
        used = 0
        for pair in own[:MOST_OF_BIN]:
            used += pair.document.bytes + pair.survivor.bytes
            if used <= budget:
                chosen.append(pair)
    return chosen


def _measured(params: MinHashParams, pairs: list[Pair], seeds: int) -> tuple[CurvePoint, ...]:
    if not pairs:
        return ()
    texts = Texts.of([text for pair in pairs for text in (pair.document_text, pair.survivor_text)])
    caught = np.zeros(len(pairs), dtype=np.int64)
    for number in range(seeds):
        method = KEY_METHODS.get(params.method)
        keys: NDArray[np.uint64] = method.sketcher(replace(params, seed=FIRST_SEED + number)).sketch(texts).keys
        caught += ((keys[0::2] == keys[1::2]) & (keys[0::2] != 0)).any(axis=1)
    points = []
    bins = np.array([_bin(pair) for pair in pairs])
    for one in np.unique(bins).tolist():
        own = np.flatnonzero(bins == one)
        found, trials = int(caught[own].sum()), own.size * seeds
        low, high = wilson(found, trials)
        similarity = float(np.mean([pairs[place].jaccard for place in own.tolist()]))
        points.append(CurvePoint(similarity=similarity, caught=found / trials, pairs=int(own.size), low=low, high=high))
    return tuple(points)
