"""The benchmark of caches, at sizes that take seconds: its checks of a GPU, on a CPU, and its whole run."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from benchmarks.kvcache import gpu_checks, main
from benchmarks.kvcache_on_devices import refuse_disagreement
from benchmarks.kvcache_proxy import CONTINUATION, PROMPT, drawn_stream, held_out_tasks
from benchmarks.kvcache_speed import SPEEDS, speed_points
from slimpajama.report.figures.kvcache import CacheResults
from slimpajama.study.kvcache.measuring import EVICTING, NOISES
from slimpajama.study.model.configuration import DecoderConfiguration

SMALL = DecoderConfiguration(vocabulary=64, width=32, layers=2, heads=2, feed_forward=48)
CPU = torch.device("cpu")


def test_the_checks_for_a_gpu_run_on_any_device(capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu_checks("cpu", 600.0, SMALL, (64, 128), 2, 4096, (0.5,), 2, True)
    assert [(one.context, one.method) for one in found.speed] == [(at, name) for at in (64, 128) for name, _ in SPEEDS]
    assert {(one.task, one.method) for one in found.quality} == {
        (one.task, m) for one in found.quality for m in EVICTING
    }
    assert len(found.quality) == 2 * len(EVICTING)
    printed = capsys.readouterr().out
    assert "7 methods keep the tokens that they keep on the CPU; logits differ by 0 at most" in printed
    assert "**Speed and memory**, rows: 2, on cpu." in printed


def test_checks_that_have_no_time_left_say_what_they_leave_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = gpu_checks("cpu", 0.0, SMALL, (64, 128), 2, 4096, (0.5,), 2, True)
    assert (found.speed, found.quality) == ((), ())
    printed = capsys.readouterr().out
    assert "left out: full after 64 tokens and what follows: no time left" in printed
    assert "Models: none, as no time was left." in printed


def test_a_cache_there_is_no_memory_for_is_left_out_and_named() -> None:
    points, left_out = speed_points(SMALL, (64, 1 << 50), 1, CPU, lambda: False, 4)
    assert [one.context for one in points] == [64] * len(SPEEDS)
    assert left_out == [f"{name} after {1 << 50:,} tokens: not enough memory for 1 rows" for name, _ in SPEEDS]


def test_another_device_must_keep_the_same_tokens() -> None:
    assert refuse_disagreement(CPU).startswith("7 methods keep the tokens")


def test_drawn_tokens_are_the_same_each_time_and_passages_return() -> None:
    stream = drawn_stream(3000)
    assert np.array_equal(stream, drawn_stream(3000))
    assert len({(int(one), int(other)) for one, other in itertools.pairwise(stream)}) < 3000
    plain, returning = held_out_tasks(stream, 4, 1, CPU).values()
    assert torch.equal(returning[:, PROMPT:], returning[:, :CONTINUATION])
    assert not torch.equal(plain[:, PROMPT:], plain[:, :CONTINUATION])


def test_the_whole_benchmark_measures_all_budgets_and_kinds_of_noise(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    options = "--seeds 1 --tokens 4096 --windows 1 --shares 0.2 --contexts 64 --generated 4 --drawn --output"
    main([*options.split(), str(tmp_path)])
    found = msgspec.json.decode((tmp_path / "kvcache.json").read_bytes(), type=CacheResults)
    assert len(found.quality) == 2 * len(EVICTING)
    assert len(found.noise) == 2 * len(NOISES) * 2
    losses = [[one.loss for one in found.noise if one.kind == kind] for kind in ("constant", "none")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)  # a constant cannot change a softmax
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "kvcache-quality.svg",
        "kvcache-speed.svg",
        "kvcache.json",
    ]
