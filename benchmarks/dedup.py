"""How fast deduplication is, stage by stage on one core, whole process on one and two workers, and against the
published loop: ``python -m benchmarks.dedup [--input DIR] [--docs N] [--runs 5]``.

The first part runs inside this process, so start-up and the loading of kernels are not in it; the second starts the
command anew each time. ``--docs`` makes the built-in sample of that size for the second part, where a short run would
mostly measure start-up. MB are 10^6 bytes of document text (UTF-8, after normalisation).
"""

from __future__ import annotations

import argparse
import re
import resource
import statistics
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import datasketch
import numpy as np
import orjson

from benchmarks.machine import describe
from slimpajama.corpus.discovery import Corpus, discover
from slimpajama.corpus.fields import TEXT_ALONE
from slimpajama.corpus.lines import LineReader
from slimpajama.corpus.pieces import Bundle
from slimpajama.corpus.records import read_records
from slimpajama.corpus.texts import Texts
from slimpajama.dedup.key_methods import MinHash
from slimpajama.dedup.params import MinHashParams
from slimpajama.dedup.sketcher import Sketcher
from slimpajama.dedup.sketching import SketchSettings
from slimpajama.dedup.stages.sketch import SketchPart, SketchPayload, SketchStage
from slimpajama.stages.markers import Markers

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "sample"
PUBLISHED_BYTES = 300_000
"""Text given to the published loop: enough for it to take seconds."""


def median_seconds(action: Callable[[], object], runs: int) -> float:
    """Median wall time of ``runs`` calls, after one that is not counted."""
    action()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def published_signature(text: str) -> datasketch.MinHash:
    """What the SlimPajama scripts do per document: an update per shingle, SHA-1, 128 permutations."""
    cleaned = re.sub(r"\s+", " ", text.lower().translate(str.maketrans("", "", string.punctuation)).strip())
    sketch = datasketch.MinHash(num_perm=128)
    for start in range(len(cleaned) - 12):
        sketch.update(cleaned[start : start + 13].encode())
    return sketch


def sketch_payloads(corpus: Corpus, folder: Path, settings: SketchSettings) -> list[SketchPayload]:
    """The stage that reads and sketches, for each piece of a corpus; its files go to ``folder``."""
    return [
        SketchPayload(
            bundle=Bundle((piece,)),
            settings=settings,
            rows_file=folder / f"{number}.arrow",
            quarantine_file=folder / f"{number}.jsonl",
            matches_file=folder / f"{number}.matches",
            part_bytes=0,
            parts=Markers(folder, folder, SketchPart),
            inputs={},
        )
        for number, piece in enumerate(corpus.pieces)
    ]


def one_core(corpus: Corpus, runs: int) -> None:
    """Rates of the parts of the pass over the text, and its ratio to the published loop."""
    reader = LineReader()
    sketcher = Sketcher(MinHashParams())
    batches = [batch.texts for piece in corpus.pieces for batch in read_records(piece, reader)]
    size = sum(int(texts.sizes.sum()) for texts in batches)

    def report(name: str, action: Callable[[], object]) -> float:
        seconds = median_seconds(action, runs)
        print(f"  {name:<58}{size / 1e6 / seconds:8.0f} MB/s")
        return seconds

    print(f"one core, inside one process, {size / 1e6:.0f} MB of text, median of {runs}")
    report("decompress, find lines", lambda: [0 for piece in corpus.pieces for _ in reader.blocks(piece)])
    report("  + parse JSON", lambda: [0 for piece in corpus.pieces for _ in read_records(piece, reader)])
    report("normalise, clean, shingle, 117 minima, band keys", lambda: [sketcher.sketch(texts) for texts in batches])
    with tempfile.TemporaryDirectory() as folder:
        settings = SketchSettings(
            reader=reader,
            fields=TEXT_ALONE,
            params=MinHashParams(),
            method=MinHash(),
            max_bad_fraction=0.01,
        )
        payloads = sketch_payloads(corpus, Path(folder), settings)
        report("all of it: zst shards to rows files", lambda: [SketchStage.run(payload) for payload in payloads])
    some: list[str] = []
    for text in (text for texts in batches for text in texts.decoded()):
        if 1_000 <= len(text) <= 20_000 and len(text) % 7 == 0:
            some.append(text)
        if sum(map(len, some)) >= PUBLISHED_BYTES:
            break
    sketcher_128 = Sketcher(MinHashParams(bands=8, rows=16, min_cleaned_characters=200))
    loop = median_seconds(lambda: [published_signature(text) for text in some], 1)
    sample = Texts.of(some)
    ours = median_seconds(lambda: sketcher_128.sketch(sample), 20)
    megabytes = sum(len(text.encode()) for text in some) / 1e6
    print(
        f"  the published loop on {megabytes:.2f} MB of it: {megabytes / loop:.3f} MB/s; ours, 128 permutations: "
        f"{megabytes / ours:.0f} MB/s: {loop / ours:,.0f} times"
    )


def whole_process(folder: Path, runs: int) -> None:
    """The command, from start to exit, on one and two workers in turn, and the ratio of each pair."""
    print(f"whole process, {folder}, median of {runs}")
    for scope in ("both", "global"):
        speeds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(runs):
            for workers in speeds:
                with tempfile.TemporaryDirectory() as out:
                    command = [sys.executable, "-m", "slimpajama", "dedup", "--json", "--input", str(folder)]
                    command += ["--output", out, "--scope", scope, "--workers", str(workers)]
                    began = time.perf_counter()
                    finished = subprocess.run(command, check=True, capture_output=True)
                    seconds = time.perf_counter() - began
                    summary = orjson.loads(finished.stdout)
                    speeds[workers].append(summary["sources"]["total"]["read"]["bytes"] / 1e6 / seconds)
                    if workers == 1:
                        stages = summary["stages"]
        ratio = np.median(np.array(speeds[2]) / np.array(speeds[1]))
        print(
            f"  shards of scope {scope:<7} one worker {statistics.median(speeds[1]):6.1f} MB/s, two workers "
            f"{statistics.median(speeds[2]):6.1f} MB/s, {ratio:.2f} times"
        )
        print("    one worker: " + ", ".join(f"{name} {stage['seconds']:.2f} s" for name, stage in stages.items()))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  peak memory of the largest process {peak:,.0f} MiB")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to read (default: the shared real text)")
    parser.add_argument("--docs", type=int, default=0, help="documents of a built-in sample for the second part")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(describe())
    one_core(discover(options.input), options.runs)
    with tempfile.TemporaryDirectory() as folder:
        whole = options.input
        if options.docs:
            whole = Path(folder, "sample")
            command = [sys.executable, "-m", "slimpajama", "sample", str(whole), "--docs", str(options.docs), "--quiet"]
            subprocess.run(command, check=True)
        whole_process(whole, options.runs)


if __name__ == "__main__":
    main()
