"""Does a run stay within its memory setting? ``python -m benchmarks.ceiling``.

Two corpora, each with ``memory: 1GiB`` on this machine: one JSONL file of 5 GB, deduplicated whole (a sample of 250 MB
twenty times, so most of it are duplicates); and 20 million documents that are only keys (see ``planted``), linked and
clustered, and the clusters compared with those planted. The memory is that of the whole process tree, as seen from
outside ten times a second (RSS, which counts in each process what they share).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import zstandard

from benchmarks.machine import describe
from benchmarks.scale import FIGURES, measure, observed
from slimpajama.engine.local import LocalEngine
from slimpajama.sample import write_sample

UNIT_DOCS = 60_000


def one_large_file(folder: Path, size: int) -> Path:
    """A corpus of one JSONL file of about ``size`` bytes: a sample of some 250 MB, again and again."""
    target = folder / "in" / "c4" / "large.jsonl"
    target.parent.mkdir(parents=True)
    with LocalEngine(2) as engine:
        write_sample(folder / "unit", docs=UNIT_DOCS, seed=1, engine=engine, progress=lambda size: None)
    with target.open("wb") as file:
        while file.tell() < size:
            for shard in sorted((folder / "unit").rglob("*.jsonl.zst")):
                with shard.open("rb") as source:
                    zstandard.ZstdDecompressor().copy_stream(source, file)
    shutil.rmtree(folder / "unit")
    return target


def said(what: str, peak: int, seconds: float, limit: int) -> bool:
    """Print what was used, with the seconds of processors; returns whether it was within the limit."""
    within = peak <= limit
    print(
        f"{what}: peak {peak / 2**20:,.0f} MiB of {limit / 2**20:,.0f} MiB, {seconds:,.0f} processor seconds: "
        f"{'within' if within else 'ABOVE'}",
        flush=True,
    )
    return within


def main() -> None:
    """Print the peaks; exit 1 if one is above the setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=float, default=5e9, help="size of the one file")
    parser.add_argument("--documents", type=int, default=20_000_000, help="documents that are only keys")
    arguments = parser.parse_args()
    print(describe())
    limit, ok = 1 << 30, True
    folder = Path(tempfile.mkdtemp(prefix="ceiling-"))
    try:
        steps = [step for _, step in measure(arguments.documents, "1GiB", None, folder)]
        figures = {name: step.figures[name] for step in steps for name in FIGURES if name in step.figures}
        what = f"{arguments.documents:,} documents in {figures['ranges']} ranges a band, {figures['linked']:,} linked"
        ok = said(what, max(step.peak_bytes for step in steps), sum(step.seconds for step in steps), limit)
        shutil.rmtree(folder)
        size = one_large_file(folder, int(arguments.bytes)).stat().st_size
        command = [sys.executable, "-m", "slimpajama", "dedup", "--input", str(folder / "in"), "--json"]
        output, usage = observed([*command, "--output", str(folder / "out"), "--set", "memory=1GiB"])
        summary = json.loads(output)
        read = summary["sources"]["total"]["read"]["documents"]
        what = f"one file of {size / 1e9:.1f} GB, {read:,} documents"
        ok &= said(what, usage.peak_bytes, usage.processor_seconds, limit)
        print(f"as the run itself saw it: {summary['peak_memory_bytes'] / 2**20:,.0f} MiB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
