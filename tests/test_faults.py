"""A thinned sweep of ``benchmarks.faults``: every so many-th file call of a run fails, in each of several ways."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from benchmarks.faults import GOOD, swept

EVERY = 90


@pytest.mark.skipif(
    shutil.which("cc") is None, reason="faults are injected by a library in C, and there is no compiler"
)
def test_failing_file_calls_give_an_error_or_the_right_bytes_and_a_run_that_can_go_on() -> None:
    found = swept(EVERY, processes=1)
    bad = [(group, kind, what) for group, outcomes in found.items() for kind, what in outcomes if kind not in GOOD]
    assert bad == []
    counts = Counter(kind for outcomes in found.values() for kind, _ in outcomes)
    assert counts["error"] > 10
