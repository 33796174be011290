"""What bounds a deduplication on one core: ``python -m benchmarks.bounds``.

Runs ``slimpajama dedup`` once in this process under Python's profiler, and adds up where its seconds go: compiled
kernels by name, libzstd in both directions, hashes, files, and all that is Python, numpy and Arrow. A first run, which
compiles kernels, is not counted. Seconds are those of the processor; the profiler adds about a microsecond to each of
three million calls, which falls on the share of Python.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.head_to_head import make_copies
from benchmarks.machine import describe
from benchmarks.quality import CORPUS
from slimpajama import Config, deduplicate
from slimpajama.config.dedup import load_config
from slimpajama.engine.kernels import Kernel
from slimpajama.text_table import aligned

GROUPS = (
    ("zstd: decode", ("'decompress' of 'zstandard",)),
    ("zstd: encode", ("'compress' of 'zstandard",)),
    ("files: fsync, open, write, rename", ("posix.fsync", "io.open", "'write' of '_io", "posix.rename", "posix.mkdir")),
    ("hashes of content", ("_blake2", "xxhash")),
    ("NFC of text that is not ASCII", ("unicodedata.normalize",)),
    ("Arrow and Parquet", ("pyarrow",)),
    ("numpy", ("numpy",)),
)
"""What a profiler's line is counted as: the first of these that it has a part of; else Python."""


class KernelTimes:
    """Counts the seconds of each kernel while it is entered."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._call: Callable[..., Any] = Kernel.__call__

    def __enter__(self) -> KernelTimes:
        call, seconds = self._call, self.seconds

        def timed(kernel: Kernel, *arguments: Any) -> Any:
            began = time.thread_time()
            result = call(kernel, *arguments)
            seconds[kernel.__name__] += time.thread_time() - began  # type: ignore[attr-defined]
            return result

        Kernel.__call__ = timed  # type: ignore[method-assign, assignment]
        return self

    def __exit__(self, *_: object) -> None:
        Kernel.__call__ = self._call  # type: ignore[method-assign]


def profiled(folder: Path, config: Config) -> tuple[float, Counter[str]]:
    """Seconds of a run in all, and by what they went to."""
    profile = cProfile.Profile(time.thread_time)
    with tempfile.TemporaryDirectory() as output, KernelTimes() as kernels:
        began = time.thread_time()
        profile.enable()
        deduplicate(folder, Path(output, "out"), config)
        profile.disable()
        whole = time.thread_time() - began
    found: Counter[str] = Counter({f"kernel {name}": seconds for name, seconds in kernels.seconds.items()})
    for (file, _, name), (_, _, own, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if "native_code" in file and name == "__call__":  # the kernels themselves
            continue
        line = f"{file} {name}"
        group = next((group for group, parts in GROUPS if any(part in line for part in parts)), "Python")
        found[group] += own
    return whole, found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, default=CORPUS, help="shards to read (default: the shared real text)")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--scope", default="global")
    parser.add_argument("--preset", default="slimpajama")
    options = parser.parse_args()
    print(describe())
    config = load_config(scope=options.scope, preset=options.preset, workers=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "input"
        size = make_copies(options.input, folder, options.copies)
        profiled(folder, config)
        whole, found = profiled(folder, config)
    print(f"{size / 1e6:.0f} MB of text in {whole:.1f} s, without start-up")
    rows = [(what, f"{seconds:.2f}", f"{seconds / whole:.1%}") for what, seconds in found.most_common()]
    print(aligned([["", "s", "share"], *(row for row in rows if float(row[1]) >= 0.05)]))


if __name__ == "__main__":
    main()
