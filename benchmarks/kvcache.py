"""Caches that keep some tokens: what they cost in quality, and what they gain in speed and memory.

``python -m benchmarks.kvcache`` trains small decoders on the sample (``benchmarks.kvcache_proxy``), compares every
method with full attention at 20 to 90 % of the prompt, compares kinds of noise, generates with random weights after
prompts of growing length, and prints tables. ``--output`` is where the figures and ``kvcache.json`` go; ``--write``
puts the tables and figures into ``docs/``. Speed is in seconds of the processor, on one thread; on a GPU, of a clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.kvcache_proxy import (
    CONTINUATION,
    CORPUS,
    PROMPT,
    SHAPE,
    plain_windows,
    returning_windows,
    token_stream,
    train_proxy,
)
from benchmarks.machine import describe
from benchmarks.pages import rewrite
from slimpajama.study.kvcache.agreement import cache_agreement
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import METHODS, Eviction, MethodName, eviction
from slimpajama.study.kvcache.figures import draw_all
from slimpajama.study.kvcache.keyformer import Keyformer
from slimpajama.study.kvcache.noise import HashedNoise
from slimpajama.study.kvcache.results import CacheResults, NoisePoint, QualityPoint, SpeedPoint, mean_and_spread
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.text_table import markdown_table

DOCS = Path(__file__).parents[1] / "docs"
SHARES = (0.2, 0.3, 0.5, 0.7, 0.9)
EVICTING: tuple[MethodName, ...] = tuple(name for name in METHODS if name != "full")
HELD_OUT = 100_000
ROWS = 32
NOISES = (
    HashedNoise("gumbel"),
    HashedNoise("gumbel", fresh=True),
    HashedNoise("gaussian"),
    HashedNoise("gaussian", fresh=True),
    HashedNoise("constant"),
    HashedNoise("none"),
)
LONGEST_PROMPT = 2048
"""Longer ones are not run, as their attention takes minutes on a CPU; the cache is filled instead."""
SPEEDS: tuple[tuple[MethodName, float], ...] = (("full", 1.0), ("window", 0.5), ("h2o", 0.5), ("keyformer", 0.5))
SPEED_SHAPE = DecoderConfiguration(vocabulary=4096, width=256, layers=5, heads=4, feed_forward=688, context=256)
GPU_SHAPE = DecoderConfiguration(vocabulary=50_277, width=2048, layers=24, heads=16, feed_forward=5461)


def tasks(held_out: NDArray[np.int64], seed: int) -> dict[str, torch.Tensor]:
    """Windows of the two tasks; passages that return begin the prompt, as far away as can be."""
    random = np.random.default_rng(seed)
    return {
        "running text": plain_windows(held_out, ROWS, random),
        "a passage from the start of the prompt returns": returning_windows(held_out, ROWS, random, first=0),
    }


@torch.inference_mode()
def quality_points(model: Decoder, held_out: NDArray[np.int64], seed: int, device: torch.device) -> list[QualityPoint]:
    """All methods and budgets."""
    points = []
    for task, windows in tasks(held_out, seed).items():
        tokens = windows.to(device)
        full = model(tokens)
        for method in EVICTING:
            for share in SHARES:
                how = eviction(method, Budget(share=share), CONTINUATION, seed)
                found = cache_agreement(model, tokens, PROMPT, how, full)
                points.append(
                    QualityPoint(
                        task, method, share, seed, found.loss, found.full_loss, found.same_token, found.divergence
                    )
                )
    return points


@torch.inference_mode()
def noise_points(model: Decoder, held_out: NDArray[np.int64], seed: int, device: torch.device) -> list[NoisePoint]:
    """The paper's ablation, at its budget of 60 %, and at 30 %."""
    points = []
    for task, windows in tasks(held_out, seed).items():
        tokens = windows.to(device)
        full = model(tokens)
        for noise in NOISES:
            drawn = HashedNoise(noise.kind, noise.fresh, seed)
            for share in (0.3, 0.6):
                how = Eviction(Keyformer(CONTINUATION, noise=drawn), Budget(share=share))
                found = cache_agreement(model, tokens, PROMPT, how, full)
                points.append(
                    NoisePoint(
                        task, noise.kind, noise.fresh, share, seed, found.loss, found.full_loss, found.same_token
                    )
                )
    return points


@torch.inference_mode()
def prompt_seconds(model: Decoder, how: Eviction, context: int, rows: int, clock: Callable[[], float]) -> float:
    """What reading a prompt of random tokens takes."""
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, model.configuration.vocabulary, (rows, context), generator=random)
    caches = DecoderCaches(model, how)
    began = clock()
    model.hidden(tokens.to(model.embedding.weight.device), caches=caches.layers)
    return clock() - began


@torch.inference_mode()
def filled(model: Decoder, how: Eviction, context: int, rows: int) -> DecoderCaches:
    """Caches as after a prompt, with random keys and values, of which random ones are kept: no prompt is run."""
    caches, shape, weight = DecoderCaches(model, how), model.configuration, model.embedding.weight
    for layer in caches.layers:
        layer.shrinking.reserve(rows, shape.heads, context, weight.device, [0] * rows)
        keys = torch.randn(rows, shape.heads, context, shape.head_width, device=weight.device, dtype=weight.dtype)
        layer.shrinking.write(keys, keys.clone())
        layer.shrinking.evict(torch.rand(keys.shape[:3], device=weight.device) if how.scorer else None)
    return caches


@torch.inference_mode()
def speed_point(
    model: Decoder,
    method: MethodName,
    share: float,
    context: int,
    rows: int,
    generated: int,
    clock: Callable[[], float],
) -> SpeedPoint:
    """Greedy generation from caches that are filled, after four steps that warm up."""
    device = model.embedding.weight.device
    how = eviction(method, Budget(share=share), generated)
    prompt = prompt_seconds(model, how, context, rows, clock) if context <= LONGEST_PROMPT else None
    caches = filled(model, how, context, rows)
    token = torch.zeros(rows, 1, dtype=torch.long, device=device)
    began = clock()
    for step in range(generated + 4):
        if step == 4:
            began = clock()
        token = model(token, caches=caches.layers).argmax(-1)
    seconds = clock() - began
    used = caches.bytes_used()
    return SpeedPoint(
        device.type,
        method,
        share,
        context,
        rows,
        rows * generated / seconds,
        prompt,
        used.keys_and_values + used.bookkeeping,
    )


def gpu_clock() -> float:
    """Seconds, once all that was asked of the GPU is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def speed_points(
    shape: DecoderConfiguration, contexts: Sequence[int], rows: int, device: torch.device, seconds: float
) -> list[SpeedPoint]:
    """Full attention and the methods at half of the prompt, context by context, until ``seconds`` have gone."""
    kind = torch.float32 if device.type == "cpu" else torch.bfloat16
    model = Decoder(shape, 0).to(device, kind).eval()
    clock = time.process_time if device.type == "cpu" else gpu_clock
    points: list[SpeedPoint] = []
    began = time.perf_counter()
    for context in contexts:
        for method, share in SPEEDS:
            if time.perf_counter() - began > seconds:
                return points
            points.append(speed_point(model, method, share, context, rows, 32, clock))
    return points


def gpu_checks(device: torch.device | str, seconds: float) -> CacheResults:
    """What is worth a GPU: the speed of the published 1.3B shape in bfloat16, and the quality of one proxy."""
    device = torch.device(device)
    speed = speed_points(GPU_SHAPE, (1024, 2048, 4096, 8192), 8, device, seconds / 2)
    quality: list[QualityPoint] = []
    if CORPUS.is_dir():
        stream = token_stream(CORPUS)
        model = train_proxy(stream[:-HELD_OUT], 0, seconds / 4, device)
        quality = quality_points(model, stream[-HELD_OUT:], 0, device)
    results = CacheResults(
        torch.cuda.get_device_name(device), f"seed 0, {seconds / 4:.0f} s", tuple(quality), (), tuple(speed)
    )
    print("\n".join(tables(results)))
    return results


def cell(values: list[float], digits: int = 3) -> str:
    """Mean ± spread over seeds."""
    mean, spread = mean_and_spread(values)
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"


def tables(results: CacheResults) -> list[str]:
    """All tables, as lines of Markdown."""
    lines = [f"Machine: {results.machine}. Proxy: {results.proxy}.", ""]
    for task in dict.fromkeys(point.task for point in results.quality):
        points = [point for point in results.quality if point.task == task]
        full = [point.full_loss for point in points if point.share == SHARES[0] and point.method == EVICTING[0]]
        lines += [
            f"**{task}**: loss above full attention ({cell(full)} nats a token), and % of the same next token.",
            "",
        ]
        rows = [["cache", *EVICTING]]
        for share in SHARES:
            row = [f"{share:.0%}"]
            for method in EVICTING:
                seeds = [point for point in points if (point.share, point.method) == (share, method)]
                lost = cell([point.loss - point.full_loss for point in seeds])
                row.append(f"{lost} ({100 * mean_and_spread([point.same_token for point in seeds])[0]:.1f} %)")
            rows.append(row)
        lines += [*markdown_table(rows), ""]
    if results.noise:
        lines += ["**Noise of Keyformer**: loss above full attention.", ""]
        keys = list(dict.fromkeys((point.task, point.share) for point in results.noise))
        rows = [["noise", *(f"{task}, {share:.0%}" for task, share in keys)]]
        for kind, fresh in dict.fromkeys((point.kind, point.fresh) for point in results.noise):
            row = [f"{kind}, fresh" if fresh else kind]
            for task, share in keys:
                wanted = (kind, fresh, task, share)
                found = [one for one in results.noise if (one.kind, one.fresh, one.task, one.share) == wanted]
                row.append(cell([point.loss - point.full_loss for point in found], 4))
            rows.append(row)
        lines += [*markdown_table(rows), ""]
    if results.speed:
        lines += [f"**Speed and memory**, rows: {results.speed[0].rows}.", ""]
        rows = [["prompt", "method", "tokens a second", "of full", "prompt, s", "cache, MiB", "of full"]]
        for point in results.speed:
            full_point = next(one for one in results.speed if (one.context, one.method) == (point.context, "full"))
            rows.append(
                [
                    f"{point.context:,}",
                    point.method if point.method == "full" else f"{point.method} {point.share:.0%}",
                    f"{point.tokens_a_second:,.1f}",
                    f"{point.tokens_a_second / full_point.tokens_a_second:.2f}",
                    "" if point.prompt_seconds is None else f"{point.prompt_seconds:.2f}",
                    f"{point.cache_bytes / 2**20:.1f}",
                    f"{point.cache_bytes / full_point.cache_bytes:.2f}",
                ]
            )
        lines += [*markdown_table(rows), ""]
    return lines


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3, help="of text and noise")
    parser.add_argument("--train-seconds", type=float, default=150, help="of the processor; of a clock on a GPU")
    parser.add_argument("--output", type=Path, help="a folder for the figures and kvcache.json")
    parser.add_argument("--write", action="store_true", help="put tables and figures into docs/")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(1)
    stream = token_stream(CORPUS)
    quality: list[QualityPoint] = []
    noise: list[NoisePoint] = []
    model = train_proxy(stream[:-HELD_OUT], 0, options.train_seconds, device)
    for seed in range(options.seeds):
        quality += quality_points(model, stream[-HELD_OUT:], seed, device)
        noise += noise_points(model, stream[-HELD_OUT:], seed, device)
    speed = speed_points(SPEED_SHAPE, (1024, 2048, 4096, 8192, 16384), 1, device, 1200)
    proxy = (
        f"a decoder of {SHAPE.layers} layers and width {SHAPE.width}, trained for {options.train_seconds:.0f} s; "
        f"{options.seeds} seeds of text and noise"
    )
    results = CacheResults(describe(), proxy, tuple(quality), tuple(noise), tuple(speed))
    print("\n".join(tables(results)))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "kvcache.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
        draw_all(results, options.output)
    if options.write:
        draw_all(results, DOCS / "pictures")
        rewrite(DOCS / "kvcache.md", "measured", tables(results))


if __name__ == "__main__":
    main()
