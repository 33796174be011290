"""What signatures by one permutation cost and find beside those by many: ``python -m benchmarks.sketches``.

All documents of the real sample are sketched for the time. Those of its pairs of J >= 0.8 are sketched with several
seeds, since copies of one template agree or disagree together: which share of the pairs agrees in a band, and how far
the estimate from minima lies from J. Times are processor seconds of this process, from texts to keys and minima.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe
from benchmarks.quality import CACHE, CORPUS
from benchmarks.truth import documents, truth_of
from slimpajama.corpus.discovery import discover
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.checking.similarity import estimated
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher
from slimpajama.text_table import aligned

METHODS = {
    "112 permutations, 14 × 8": MinHashParams(bands=14, rows=8, num_perm=112, checked=True),
    "one, 128 bins, 14 × 8": MinHashParams(bands=14, rows=8, num_perm=128, checked=True, method="one-permutation"),
    "one, 256 bins, 14 × 8": MinHashParams(bands=14, rows=8, num_perm=256, checked=True, method="one-permutation"),
    "one, 256 bins, 16 × 8": MinHashParams(bands=16, rows=8, num_perm=256, checked=True, method="one-permutation"),
    "117 permutations, 9 × 13": MinHashParams(checked=True),
    "one, 128 bins, 9 × 13": MinHashParams(checked=True, method="one-permutation"),
}
LIMITS = (0.8, 0.85, 0.9, 1.01)
"""Pairs are counted by J between these."""


def spent(params: MinHashParams, batches: Sequence[Texts]) -> float:
    """Processor seconds of sketching all texts."""
    sketcher = Sketcher(params)
    began = time.process_time()
    for texts in batches:
        sketcher.sketch(texts)
    return time.process_time() - began


def found(
    params: MinHashParams,
    texts: Texts,
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    jaccard: NDArray[np.float64],
) -> list[float]:
    """The share of pairs that agree in a band, between each two limits, and the root mean square of the errors of the
    estimates."""
    sketches = Sketcher(params).sketch(texts)
    if sketches.minima is None:
        raise ValueError("minima are kept where removals are checked")
    agree = (sketches.keys[left] == sketches.keys[right]).any(axis=1)
    between = np.digitize(jaccard, LIMITS)
    errors = estimated(sketches.minima[left], sketches.minima[right]) - jaccard
    shares = [float(agree[between == number].mean()) for number in range(1, len(LIMITS))]
    return [*shares, float(agree.mean()), float(np.sqrt(np.mean(errors[between < len(LIMITS) - 1] ** 2)))]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to sketch (default: the shared real text)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder that keeps the truth (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="seeds to take the mean of (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs to take the median time of (default: %(default)s)")
    options = parser.parse_args()
    truth = truth_of(options.input, options.cache)
    pairs = truth.pairs.at_least(truth.sets.sizes, 80)
    _, texts = documents(discover(options.input))
    numbers, places = np.unique(np.concatenate((pairs.left, pairs.right)), return_inverse=True)
    left, right = places[: pairs.left.size], places[pairs.left.size :]
    jaccard = truth.sets.jaccard(pairs.left, pairs.right)
    paired = Texts.of([texts[number] for number in numbers.tolist()])
    batches = [Texts.of(texts[first : first + 1000]) for first in range(0, len(texts), 1000)]
    for params in METHODS.values():
        spent(params, batches[:1])
    times = [[spent(params, batches) for params in METHODS.values()] for _ in range(options.runs)]
    between = [f"{low:.2f} to {high:.2f}" for low, high in zip(LIMITS, (*LIMITS[1:-1], 1.0), strict=False)]
    table = [
        ["signature", "s", "MB/s", *(f"% of pairs {one}" for one in between), "% of all", "± seeds", "error below 0.9"]
    ]
    for number, (name, params) in enumerate(METHODS.items()):
        seconds = statistics.median(run[number] for run in times)
        each = [found(replace(params, seed=seed), paired, left, right, jaccard) for seed in range(1, options.seeds + 1)]
        mean = np.mean(each, axis=0)
        spread = np.std(each, axis=0, ddof=1)[-2] / np.sqrt(options.seeds)
        rate = truth.bytes.sum() / 1e6 / seconds
        cells = [f"{100 * share:.2f}" for share in (*mean[:-1], spread)]
        table.append([name, f"{seconds:.2f}", f"{rate:.0f}", *cells, f"{mean[-1]:.4f}"])
    print(describe())
    print(f"{len(texts):,} documents, {truth.bytes.sum() / 1e6:.1f} MB, {jaccard.size:,} pairs with J >= 0.8")
    print(aligned(table))


if __name__ == "__main__":
    main()
