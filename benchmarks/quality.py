"""How right deduplications are: each is compared with the exact truth of the corpus.

``python -m benchmarks.quality --output OUTPUT`` prints the row of one finished deduplication.
``python -m benchmarks.quality --write`` runs every preset and datasketch's index, and writes the table and the picture
of ``docs/quality.md``; without ``--write`` it prints the table. The truth takes minutes the first time and is kept in
``--cache``; the rest takes seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import datasketch
import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.exact_jaccard import distinct, shingle_sets
from benchmarks.outcomes import Outcome, Row, judged, of_kept, of_output, of_written
from benchmarks.pages import rewrite
from benchmarks.pictures import curves_svg
from benchmarks.truth import Truth, documents, truth_of
from slimpajama import shingle_hashes, signature
from slimpajama.config.dedup_presets import DEDUP_PRESETS
from slimpajama.config.shingle import ShingleConfig
from slimpajama.corpus.discovery import Corpus, discover
from slimpajama.text_table import aligned, markdown_table

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "sample"
DOCS = Path(__file__).parents[1] / "docs"
CACHE = Path(tempfile.gettempdir()) / "slimpajama-quality"
PUBLISHED = ShingleConfig(unit="character", length=13)
"""The shingles that all methods are judged by."""
BANDINGS = ((9, 13, 128), (14, 8, 112))
"""Bands, rows and permutations of the presets `slimpajama` and `verified`: the keys are the same ones."""

HEADING = (
    "method",
    "removed",
    "MB",
    "J < 0.8 with the survivor",
    "J < 0.5",
    "lowest J",
    "nothing left at J ≥ 0.8",
    "left with a twin ≥ 0.8",
    "% of pairs ≥ 0.8 found",
    "% in one cluster",
    "checks",
    "J < 0.8 by its own shingles",
)


@dataclass(frozen=True, slots=True)
class Method:
    """A line of the table. ``checks``: pairs that were compared by their signatures or by their texts.
    ``below_by_own``: removals with J < 0.8 by the shingles that the method itself uses, where these are not 13
    characters."""

    name: str
    row: Row
    checks: int | None = None
    below_by_own: int | None = None


def cells(method: Method) -> list[str]:
    """A line of the table."""
    name, row = method.name, method.row
    return [
        name,
        f"{row.removed:,}",
        f"{row.bytes / 1e6:.1f}",
        "–" if row.below is None else f"{row.below:,}",
        "–" if row.far_below is None else f"{row.far_below:,}",
        "–" if row.lowest is None else f"{row.lowest:.3f}",
        f"{row.lost:,}",
        f"{row.left:,}",
        f"{100 * row.found:.1f}",
        "–" if row.together is None else f"{100 * row.together:.1f}",
        "–" if method.checks is None else f"{method.checks:,}",
        "" if method.below_by_own is None else f"{method.below_by_own:,}",
    ]


def by_own_shingles(outcome: Outcome, texts: Sequence[str], shingle: ShingleConfig) -> int:
    """Removals of J < 0.8 with their survivor, over the shingles of a setting."""
    removed = np.flatnonzero(outcome.removed)
    survivors = outcome.survivors[removed]
    both, places = np.unique(np.concatenate((removed, survivors)), return_inverse=True)

    def shingles(text: str) -> NDArray[np.uint64]:
        hashes = shingle_hashes(text, unit=shingle.unit, length=shingle.length)
        return distinct(hashes.astype(np.uint64) << np.uint64(32))

    sets = shingle_sets((texts[number] for number in both.tolist()), shingles)
    similarities = sets.jaccard(places[: removed.size], places[removed.size :])
    return int((similarities < 0.8).sum())


def checks_of(output: Path) -> int | None:
    """Pairs that the finished deduplication in ``output`` compared, if its removals are checked."""
    checks = orjson.loads((output / "summary.json").read_bytes())["checks"]
    return int(checks["estimated"]) + int(checks["compared"]) if checks else None


def by_preset(corpus: Path, truth: Truth, preset: str) -> tuple[Outcome, int | None]:
    """What the command does with a preset, and how many checks it takes."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-m", "slimpajama", "dedup", "--input", str(corpus), "--output", output, "--quiet"]
        command += ["--scope", "global", "--set", f"preset={preset}"]
        finished = subprocess.run(command, capture_output=True, text=True)
        if finished.returncode:
            raise SystemExit(f"the preset {preset} failed: {finished.stderr.strip()}")
        return of_output(Path(output), truth), checks_of(Path(output))


def precedence(corpus: Corpus, names: Sequence[str]) -> list[int]:
    """The numbers of documents by their ids: pieces are read the largest first, so ``names`` are not in that order."""
    shards = {piece.file.relative: piece.shards[0].index for piece in corpus.pieces}
    places = [name.rpartition(":") for name in names]
    return sorted(range(len(names)), key=lambda number: (shards[places[number][0]], int(places[number][2])))


def by_datasketch(truth: Truth, texts: Sequence[str], order: Sequence[int]) -> Iterator[tuple[str, Outcome]]:
    """What two uses of ``datasketch.MinHashLSH`` do: connected components, and keeping what finds no earlier one.

    ``order``: numbers of documents, the one that is kept before all others first.
    """
    names = [truth.names[number] for number in order]
    for bands, rows, permutations in BANDINGS:
        sketches = [
            datasketch.MinHash(permutations, scheme="affine32", hashvalues=signature(texts[number], permutations))
            for number in order
        ]
        index = partial(datasketch.MinHashLSH, num_perm=permutations, params=(bands, rows))
        yield f"datasketch {bands} × {rows}, components", _outcome(truth, names, _components(sketches, index()))
        yield f"datasketch {bands} × {rows}, `query` first", _outcome(truth, names, _queries(sketches, index()))


def _outcome(truth: Truth, names: Sequence[str], survivors: Mapping[int, int]) -> Outcome:
    kept = [name for number, name in enumerate(names) if number not in survivors]
    return of_kept(kept, truth, {names[number]: names[survivor] for number, survivor in survivors.items()})


def _components(sketches: list[datasketch.MinHash], index: datasketch.MinHashLSH) -> dict[int, int]:
    first = list(range(len(sketches)))

    def root(number: int) -> int:
        while first[number] != number:
            first[number] = first[first[number]]
            number = first[number]
        return number

    for number, sketch in enumerate(sketches):
        for other in index.query(sketch):
            one, two = root(number), root(other)
            first[max(one, two)] = min(one, two)
        index.insert(number, sketch)
    return {number: root(number) for number in range(len(sketches)) if root(number) != number}


def _queries(sketches: list[datasketch.MinHash], index: datasketch.MinHashLSH) -> dict[int, int]:
    survivors = {}
    for number, sketch in enumerate(sketches):
        found = index.query(sketch)
        if found:
            survivors[number] = min(found)
        else:
            index.insert(number, sketch)
    return survivors


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to judge by (default: the shared real text)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder that keeps the truth (default: %(default)s)")
    parser.add_argument("--output", type=Path, action="append", default=[], help="a finished deduplication; repeatable")
    parser.add_argument("--scope", choices=("global", "local"), default="global", help="of --output")
    parser.add_argument(
        "--presets", nargs="*", default=[*DEDUP_PRESETS], choices=[*DEDUP_PRESETS], help="presets to run"
    )
    parser.add_argument(
        "--peers", type=Path, help="the --environments of benchmarks.peers: adds what is measured there"
    )
    parser.add_argument("--write", action="store_true", help="write docs/quality.md and its picture")
    options = parser.parse_args()
    if options.output and (options.write or options.peers):
        parser.error("--output prints rows of its own; leave it out to --write the page or to add --peers")
    truth = truth_of(options.input, options.cache)
    methods: list[Method] = []
    if options.output:
        for output in options.output:
            row = judged(of_output(output, truth, options.scope), truth)
            methods.append(Method(str(output), row, checks_of(output)))
    else:
        corpus = discover(options.input)
        names, texts = documents(corpus)
        for name in options.presets:
            outcome, checks = by_preset(options.input, truth, name)
            shingle = DEDUP_PRESETS[name].shingle
            own = None if shingle == PUBLISHED else by_own_shingles(outcome, texts, shingle)
            methods.append(Method(f"`{name}`", judged(outcome, truth), checks, own))
        order = precedence(corpus, names)
        methods += [Method(name, judged(outcome, truth)) for name, outcome in by_datasketch(truth, texts, order)]
        if options.peers:
            for file in sorted((options.peers / "results").glob("*.kept.json")):
                if (name := file.name.removesuffix(".kept.json")) not in DEDUP_PRESETS:
                    methods.append(Method(name, judged(of_written(file, truth), truth)))
    table = [[*HEADING], *map(cells, methods)]
    if all(one.below_by_own is None for one in methods):
        table = [line[:-1] for line in table]
    if options.write:
        curves = [(one.name.replace("`", ""), one.row.similarities) for one in methods if one.row.below is not None]
        (DOCS / "pictures").mkdir(exist_ok=True)
        (DOCS / "pictures" / "removals.svg").write_text(curves_svg(curves), "utf-8")
        rewrite(DOCS / "quality.md", "quality", markdown_table(table))
    else:
        pairs = truth.pairs.at_least(truth.sets.sizes, 80).left.size
        print(f"{len(truth.names):,} documents, {truth.bytes.sum() / 1e6:.1f} MB, {pairs:,} pairs with J >= 0.8")
        print(aligned(table))


if __name__ == "__main__":
    main()
