"""How fast a training loop gets its sequences, on one core: ``python -m benchmarks.training``.

Makes a mixture of random tokens in each format that :mod:`slimpajama.training` reads, then reads it from the page cache
as one rank of one and as one of eight: MB of token bytes (4 per token) a second of processor time, with the conversion
to 64-bit ids that a model takes, and, where PyTorch is installed, with ``collate``. Bar for the mapped formats:
500 MB/s, whatever the number of ranks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from benchmarks.tokenizing import MB
from slimpajama.mixture.formats.base import SequenceGroup, SequenceShape
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.training.order import Reader
from slimpajama.training.sequence_files import FORMATS, SequenceBatch, SequenceFiles

LENGTH = 2048
BATCH = 8
DOCUMENT = 700
"""Tokens of a document."""


def write(folder: Path, format: str, sequences: int) -> None:
    """A mixture in one file, in groups as large as those of a real one."""
    shape = SequenceShape(LENGTH, ("web",), 50_277)
    one = MIXTURE_FORMATS.get(format)
    paths = [folder / f"train-00000-of-00001{ending}" for ending in one.endings]
    rng = np.random.default_rng(1)
    with ExitStack() as stack:
        writer = stack.enter_context(one.writer([stack.enter_context(path.open("wb")) for path in paths], shape))
        for first in range(0, sequences, 2048):
            rows = min(2048, sequences - first)
            tokens = np.minimum(rng.zipf(1.2, (rows, LENGTH)), 50_000).astype(np.uint32)
            starts = np.arange(0, tokens.size, DOCUMENT)
            writer.write(SequenceGroup(tokens, starts, np.zeros(rows, dtype=np.int32)))
    manifest = {
        "version": 2,
        "recipe": {},
        "plan": {"sequences": sequences, "tokens": sequences * LENGTH},
        "store": {"fingerprint": "", "vocabulary": 50_277, "end_of_text": 0},
        "files": [{"name": path.name, "format": format, "sequences": {"web": sequences}} for path in paths],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def widened(batch: SequenceBatch) -> None:
    """The ids as a model takes them."""
    batch.tokens.astype(np.int64)


def measure(folder: Path, ranks: int, use: Callable[[SequenceBatch], object]) -> float:
    """MB of token bytes a second of processor time that the first of ``ranks`` reads; the better of two times."""
    speeds = []
    for _ in range(2):
        files = SequenceFiles(folder)
        reader = Reader(files.sequences, 0, BATCH, 0, ranks)
        busy = time.process_time()
        for batch in range(reader.batches):
            begin = reader.begin(batch)
            use(files.read(begin, begin + BATCH))
        speeds.append(reader.batches * BATCH * LENGTH * 4 / MB / (time.process_time() - busy))
    return max(speeds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=1 << 14, help="of 2,048 tokens each")
    asked = parser.parse_args()
    ways: dict[str, Callable[[SequenceBatch], object]] = {"ids": widened}
    if importlib.util.find_spec("torch"):
        from slimpajama.training import collate

        ways |= {"collate": collate, "collate, positions": lambda batch: collate(batch, positions=True)}
    print(describe())
    print(f"{'format':10} {'ranks':>5}  " + "  ".join(f"{way:>20}" for way in ways))
    for name in FORMATS:
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch), name, asked.sequences)
            for ranks in (1, 8):
                speeds = [measure(Path(scratch), ranks, use) for use in ways.values()]
                print(f"{name:10} {ranks:5}  " + "  ".join(f"{speed:15,.0f} MB/s" for speed in speeds))


if __name__ == "__main__":
    main()
