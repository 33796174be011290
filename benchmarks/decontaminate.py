"""What looking for evaluation items finds and costs: ``python -m benchmarks.decontaminate``.

Items of 5 to 120 words are made of the corpus's own words, each as often as the corpus has it. Copies of some of them
are planted into documents at stated overlaps: so many of an item's first words are replaced that the given share of its
runs is left. Counted are the planted items found, by their overlap, and all matches in the documents as they were,
which hold none of the items. The cost is that of the sketch stage with and without the items, in turns for each shard:
processor seconds of this process, from compressed shards to rows files.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.dedup import sketch_payloads
from benchmarks.machine import describe
from benchmarks.quality import CORPUS
from benchmarks.truth import documents
from slimpajama.corpus.discovery import Corpus, discover
from slimpajama.corpus.fields import TEXT_ALONE
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.contamination import Screen
from slimpajama.dedup.evaluation_index import EvaluationIndex, IndexFiles, item_runs, table_entries
from slimpajama.dedup.key_methods import MinHash
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketching import SketchSettings
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.text_table import aligned

NGRAM, OVERLAP = 13, 0.8
PLANTED_AT = (1.0, 0.9, 0.8, 0.7, 0.5)
EVERY = 97
"""The vocabulary is that of one in so many documents."""


def made_items(texts: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """Items as lists of words."""
    source = random.Random(seed)
    words = [word for text in texts[::EVERY] for word in text.split() if word.isalpha()]
    return [source.choices(words, k=source.randint(5, 120)) for _ in range(count)]


def planted(item: Sequence[str], share: float) -> tuple[list[str], float] | None:
    """The item with its first words replaced, and the share of its runs left, which is at least ``share`` and next to
    it; ``None`` where the item has too few runs to tell."""
    runs = len(item) - NGRAM + 1
    if runs < 10:
        return None if share < 1 else (list(item), 1.0)
    left = -(-round(runs * share * 1000) // 1000)
    broken = runs - left
    return [f"zq{number}x" for number in range(broken)] + list(item[broken:]), left / runs


def quality(texts: Sequence[str], items: Sequence[Sequence[str]], index: EvaluationIndex) -> str:
    """What is found of what was planted, and in clean text."""
    source = random.Random(2)
    rows = [("planted at", "planted", "found", "expected")]
    for share in PLANTED_AT:
        holding, numbers, overlaps = [], [], []
        for number, item in enumerate(items):
            copy = planted(item, share)
            if copy is not None:
                words = texts[source.randrange(len(texts))].split()
                at = source.randint(0, len(words))
                holding.append(" ".join([*words[:at], *copy[0], *words[at:]]))
                numbers.append(number)
                overlaps.append(copy[1])
        matches = index.matches(Texts.of(holding))
        found = set(zip(matches.texts.tolist(), matches.items.tolist(), strict=True))
        own = sum(pair in found for pair in enumerate(numbers))
        expected = sum(one >= OVERLAP - 1e-9 for one in overlaps)
        rows.append((f"{share:.0%}", f"{len(numbers):,}", f"{own:,}", f"{expected:,}"))
    clean = sum(index.matches(Texts.of(texts[first : first + 1000])).texts.size for first in range(0, len(texts), 1000))
    return aligned(rows) + f"\nmatches in {len(texts):,} documents without any of the items: {clean:,}"


def cost(corpus: Corpus, screen: Screen, runs: int) -> str:
    """The sketch stage with and without the items."""
    with tempfile.TemporaryDirectory() as folder:
        plain = SketchSettings(LineReader(), TEXT_ALONE, MinHashParams(), MinHash(), 0.01)
        payloads = sketch_payloads(corpus, Path(folder), plain)
        screened = [replace(payload, settings=replace(plain, screen=screen)) for payload in payloads]
        for payload in (payloads[0], screened[0]):
            SketchStage.run(payload)
        ratios, seconds = [], []
        for _ in range(runs):
            both = [0.0, 0.0]
            for pair in zip(payloads, screened, strict=True):
                for number, payload in enumerate(pair):
                    began = time.process_time()
                    SketchStage.run(payload)
                    both[number] += time.process_time() - began
            ratios.append(both[1] / both[0])
            seconds.append(both[0])
    return (
        f"sketch stage: {statistics.median(seconds):.2f} s without the items; with them "
        f"{100 * (statistics.median(ratios) - 1):.1f} % more ({', '.join(f'{100 * (one - 1):.1f}' for one in ratios)})"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to sketch (default: the shared real text)")
    parser.add_argument("--items", type=int, default=20_000, help="items to make (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="runs to take the median of (default: %(default)s)")
    options = parser.parse_args()
    corpus = discover(options.input)
    _, texts = documents(corpus)
    items = made_items(texts, options.items, seed=1)
    joined = [" ".join(item) for item in items]
    runs = item_runs(joined, NGRAM)
    entries = table_entries(runs, joined, OVERLAP)
    print(describe())
    print(
        f"{len(texts):,} documents, {sum(map(len, texts)) / 1e6:.1f} million characters; {len(items):,} items, "
        f"{runs.runs.size:,} runs, {entries.anchors.size:,} in the table; overlap {OVERLAP}"
    )
    print(quality(texts, items[:2000], EvaluationIndex(runs, entries, OVERLAP)))
    with tempfile.TemporaryDirectory() as folder:
        files = IndexFiles(Path(folder), OVERLAP)
        files.write(runs, entries)
        print(cost(corpus, Screen(files, "remove"), options.runs))


if __name__ == "__main__":
    main()
