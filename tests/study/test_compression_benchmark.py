"""The benchmark of the measures: its checks, its tables, and what it does with methods that take too long."""

from __future__ import annotations

import math
import time
from pathlib import Path

import msgspec
import pytest
import torch

from benchmarks.compression import (
    METHODS,
    PAGE,
    TOKENS,
    CompressionTimes,
    MethodTime,
    Time,
    gpu_checks,
    main,
    measured,
    ratio,
    shown,
    tables,
)
from benchmarks.compression_agreement import Agreement, refuse_disagreement
from benchmarks.pages import rewritten


def test_the_checks_for_a_gpu_run_on_any_device(capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu_checks("cpu", 2.0, {24: 1, 32: 2})
    assert found.tokens == TOKENS
    assert [(one.width, one.turns) for one in found.forward] == [(24, 2), (32, 2)]
    assert {(one.method, one.width) for one in found.times} == {(m.name, w) for m in METHODS for w in (24, 32)}
    assert all(one.turns and one.seconds > 0 for one in found.times)
    assert found.disagreement < 1e-5
    assert len(found.agreements) == 12
    printed = capsys.readouterr().out
    assert "Times that of the Matrix Nuclear-Norm:" in printed
    assert "| differs from the CPU in float64 by | float64 | float32 | float16 | bfloat16 |" in printed


def test_a_file_holds_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--widths", "768", "--tokens", "8", "--turns", "1", "--seconds", "0.1", "--json", str(tmp_path / "a")]
    main(options)
    found = msgspec.json.decode((tmp_path / "a").read_bytes(), type=CompressionTimes)
    assert "\n".join(tables(found)) + "\n" == capsys.readouterr().out


def test_the_page_has_a_place_for_each_device() -> None:
    for device in ("cpu", "cuda"):
        assert "\n\nfigures\n\n" in rewritten(PAGE.read_text("utf-8"), device, ["figures"])


def test_ways_to_the_entropy_agree_where_there_are_fewer_tokens_than_dimensions() -> None:
    assert measured(torch.device("cpu"), {48: 1}, 20, 60).disagreement < 1e-5


def test_what_takes_too_long_is_left_out_with_a_lower_bound() -> None:
    found = measured(torch.device("cpu"), {16: 1, 64: 1, 256: 1}, 8, limit=1e-9)
    assert all(one.turns for one in found.times if one.method == "MNN")
    for method in METHODS[1:]:
        first, *later = [one for one in found.times if one.method == method.name]
        assert first.turns
        assert [one.turns for one in later] == [0, 0]
        # The states have a short side of 8 whatever their width; only a width × width matrix grows as a square does.
        growth = [4**2.5, 16**2.5] if method.square else [1, 1]
        assert [one.seconds / first.seconds for one in later] == pytest.approx(growth)


def test_when_the_time_is_over_each_width_has_its_quick_methods() -> None:
    found = measured(torch.device("cpu"), {16: 1, 64: 1, 256: 1}, 8, limit=60, seconds=0)
    assert all(one.turns == 1 for one in found.times)


def test_a_call_may_take_the_limit_or_a_third_of_what_is_left() -> None:
    assert Time(10.0).allows(10.0)
    assert not Time(10.0).allows(10.1)
    assert not Time(10.0, time.perf_counter() + 15).allows(5.1)
    assert Time(10.0, time.perf_counter() - 15).allows(0.1)


def test_operations_follow_the_matrix_that_is_decomposed() -> None:
    square, states = METHODS[1], METHODS[3]
    assert square.operations(8192, 1024) / square.operations(4096, 1024) == 8
    assert states.operations(8192, 1024) / states.operations(4096, 1024) == 2
    assert states.operations(512, 1024) / states.operations(256, 1024) == 4


def test_a_measure_that_differs_from_the_cpu_is_named() -> None:
    right, wrong = Agreement("nuclear_norm", "float64", 1e-12, 1e-9), Agreement("mnn", "float16", math.nan, 1e-5)
    refuse_disagreement([right])
    with pytest.raises(AssertionError, match=r"^measures differ from those of the CPU: mnn of float16 by nan"):
        refuse_disagreement([right, wrong])


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
