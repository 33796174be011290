"""The first closing line: how long it took, how fast where that means something, and what compiling took."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama.cli.output import closing_lines
from slimpajama.config.dedup import Config
from slimpajama.dedup.summary import Count, DedupSummary, ScopeFigures, SourceFigures, StageFigures
from tests.dedup.summaries import dedup_summary


def summary(size: int, speed: float | None, compiled: float) -> DedupSummary:
    nothing = ScopeFigures(*[Count(0, 0)] * 4)
    total = SourceFigures(Count(1, size), Count(0, 0), Count(0, 0), nothing, nothing, 0)
    return dedup_summary(
        sources={"total": total},
        stages={"link": StageFigures(2.0, 9, 0)},
        seconds=31.0,
        compile_seconds=compiled,
        mb_per_second=speed,
        settings=Config(workers=2),
        peak_memory_bytes=1 << 28,
    )


@pytest.mark.parametrize(
    ("size", "speed", "compiled", "line"),
    [
        (10_000_000, 0.588, 14.0, "31.0 s on 2 worker(s), 0.588 MB/s: link 2.0 s; kernels compiled in 14 s, once"),
        (3_000_000_000, 176.4, 0.1, "31.0 s on 2 worker(s), 176 MB/s: link 2.0 s"),
        (9_999_999, 0.588, 0.0, "31.0 s on 2 worker(s): link 2.0 s"),
        (3_000_000_000, None, 0.0, "31.0 s on 2 worker(s): link 2.0 s"),
    ],
)
def test_the_first_line(size: int, speed: float | None, compiled: float, line: str) -> None:
    assert closing_lines(summary(size, speed, compiled), Path("out")).splitlines()[1] == line
