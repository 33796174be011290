"""The benchmark of the measures: its checks, its tables, and what it does with methods that take too long."""

from __future__ import annotations

import pytest
import torch

from benchmarks.compression import (
    METHODS,
    TOKENS,
    CompressionTimes,
    MethodTime,
    gpu_checks,
    measured,
    ratio,
    shown,
    tables,
)


def test_the_checks_for_a_gpu_run_on_any_device(capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu_checks("cpu", 2.0, {24: 1, 32: 2})
    assert found.tokens == TOKENS
    assert [(one.width, one.turns) for one in found.forward] == [(24, 2), (32, 2)]
    assert {(one.method, one.width) for one in found.times} == {(m.name, w) for m in METHODS for w in (24, 32)}
    assert all(one.turns and one.seconds > 0 for one in found.times)
    assert found.disagreement < 1e-5
    assert "Times that of the Matrix Nuclear-Norm:" in capsys.readouterr().out


def test_ways_to_the_entropy_agree_where_there_are_fewer_tokens_than_dimensions() -> None:
    assert measured(torch.device("cpu"), {48: 1}, 20, 60).disagreement < 1e-5


def test_what_takes_too_long_is_left_out_with_a_lower_bound() -> None:
    found = measured(torch.device("cpu"), {16: 1, 64: 1, 256: 1}, 8, limit=1e-9)
    for method in METHODS:
        first, *later = [one for one in found.times if one.method == method.name]
        assert first.turns
        assert [one.turns for one in later] == [0, 0]
        assert [one.seconds / first.seconds for one in later] == pytest.approx([4**2.5, 16**2.5])


def test_times_and_ratios_in_words() -> None:
    fast, slow, bound = MethodTime("a", 1, 0.002, 5), MethodTime("b", 1, 1.5, 5), MethodTime("c", 1, 40.0, 0)
    assert [shown(one) for one in (fast, slow, bound)] == ["2 ms", "1.5 s", "≥ 40 s"]
    assert (ratio(slow, fast), ratio(bound, fast), ratio(fast, bound)) == ("750", "≥ 20,000", "-")
    assert ratio(slow, fast, added=0.5) == "3.98"


def test_the_tables_have_a_column_for_each_width() -> None:
    times = tuple(MethodTime(method.name, 768, 0.001 * (at + 1), 3) for at, method in enumerate(METHODS))
    found = CompressionTimes("a machine", 1024, times, (MethodTime("forward pass", 768, 0.01, 3),), 1e-6)
    lines = tables(found)
    assert lines[:3] == ["Measured on a machine. One text of 1,024 tokens, by width.", "", "|  | 768 |"]
    assert "| entropy, as published | 2 ms |" in lines
    assert "| entropy, as published | 2 |" in lines
    assert "| entropy, as published, both with a forward pass | 1.09 |" in lines
    assert lines[-1] == "The ways to the entropy differ by 1e-06 at most."
