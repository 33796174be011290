"""A thinned sweep of ``benchmarks.faults``: every so many-th file call of a run fails, in each of several ways."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from benchmarks.faults import GOOD, swept

SLOW = pytest.mark.slow


@pytest.mark.skipif(
    shutil.which("cc") is None, reason="faults are injected by a library in C, and there is no compiler"
)
@pytest.mark.parametrize(("every", "errors"), [(401, 3), pytest.param(90, 10, marks=SLOW)])
def test_failing_file_calls_give_an_error_or_the_right_bytes_and_a_run_that_can_go_on(every: int, errors: int) -> None:
    found = swept(every, processes=1)
    bad = [(group, kind, what) for group, outcomes in found.items() for kind, what in outcomes if kind not in GOOD]
    assert bad == []
    counts = Counter(kind for outcomes in found.values() for kind, _ in outcomes)
    assert counts["error"] > errors
