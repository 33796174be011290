"""Caches that keep some tokens: what they cost in quality, and what they gain in speed and memory.

``python -m benchmarks.kvcache`` trains a small decoder for each seed (``benchmarks.kvcache_proxy``), compares every
method with full attention at 20 to 90 % of the prompt, compares kinds of noise, generates with random weights after
prompts of growing length (``benchmarks.kvcache_speed``), and prints tables. A seed is one of training, of held-out
windows and of noise, so the spread holds all three. ``--output`` is where the figures and ``kvcache.json`` go;
``--write`` puts the tables and figures into ``docs/``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from benchmarks.kvcache_on_devices import refuse_disagreement
from benchmarks.kvcache_proxy import PROMPT, SHAPE, TOKENS, ProxyText, held_out_tasks, proxy_text, train_proxy
from benchmarks.kvcache_speed import SPEED_SHAPE, speed_points
from benchmarks.kvcache_tables import tables
from benchmarks.machine import describe
from benchmarks.pages import rewrite
from slimpajama.report.drawings.kvcache import cache_drawings
from slimpajama.report.drawings.style import look
from slimpajama.report.figures.kvcache import CacheResults, NoisePoint, QualityPoint
from slimpajama.study.kvcache.measuring import SHARES, never, noise_points, quality_points
from slimpajama.study.model.configuration import DecoderConfiguration

DOCS = Path(__file__).parents[1] / "docs"
ROWS = 32
CONTEXTS = (1024, 2048, 4096, 8192, 16384)
GPU_SHAPE = DecoderConfiguration(vocabulary=50_277, width=2048, layers=24, heads=16, feed_forward=5461)
GPU_ROWS = 8


def gpu_checks(
    device: torch.device | str,
    seconds: float,
    shape: DecoderConfiguration = GPU_SHAPE,
    contexts: Sequence[int] = CONTEXTS,
    rows: int = GPU_ROWS,
    tokens: int = TOKENS,
    shares: Sequence[float] = (0.2, 0.5, 0.8),
    windows: int = ROWS,
    drawn: bool = False,
) -> CacheResults:
    """What is worth a GPU, in about so many seconds: whether caches there are those of the CPU (``AssertionError`` if
    not), the speed of the published 1.3B shape in bfloat16, and the quality of one proxy."""
    device = torch.device(device)
    began = time.perf_counter()

    def gone(share: float) -> bool:
        return time.perf_counter() - began > share * seconds

    print(refuse_disagreement(device), flush=True)
    speed, left_out = speed_points(shape, contexts, rows, device, lambda: gone(0.6))
    for line in left_out:
        print(f"left out: {line}", flush=True)
    quality: list[QualityPoint] = []
    name = "none, as no time was left"
    if not gone(0.7):
        text = proxy_text(drawn)
        model = train_proxy(text.training, 0, tokens, device)
        name = f"{SHAPE.layers} layers, width {SHAPE.width}, {tokens:,} tokens of {text.name}, seed 0"
        tasks = held_out_tasks(text.held_out, windows, 0, device)
        quality = quality_points(model, tasks, PROMPT, 0, shares, lambda: gone(1.0))
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else describe()
    results = CacheResults(f"{machine}, torch {torch.__version__}", name, tuple(quality), (), tuple(speed))
    print("\n".join(tables(results)), flush=True)
    return results


def measured(
    text: ProxyText,
    seeds: int,
    tokens: int,
    windows: int,
    shares: Sequence[float],
    contexts: Sequence[int],
    generated: int,
    device: torch.device,
) -> CacheResults:
    """All of it."""
    quality: list[QualityPoint] = []
    noise: list[NoisePoint] = []
    for seed in range(seeds):
        model = train_proxy(text.training, seed, tokens, device)
        tasks = held_out_tasks(text.held_out, windows, seed, device)
        quality += quality_points(model, tasks, PROMPT, seed, shares)
        noise += noise_points(model, tasks, PROMPT, seed)
    speed, left_out = speed_points(SPEED_SHAPE, contexts, 1, device, never, generated)
    for line in left_out:
        print(f"left out: {line}")
    proxy = (
        f"{seeds} decoders of {SHAPE.layers} layers and width {SHAPE.width}, each trained on {tokens:,} tokens of "
        f"{text.name} with a seed of its own"
    )
    return CacheResults(describe(), proxy, tuple(quality), tuple(noise), tuple(speed))


def draw(results: CacheResults, folder: Path) -> None:
    """Write the drawings that a report has of these figures."""
    with look():
        for drawing in cache_drawings(results):
            (folder / f"{drawing.name}.svg").write_text(drawing.file, "utf-8")


def main(options: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, default=3, help="of training, text and noise")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="that each proxy is trained on")
    parser.add_argument("--drawn", action="store_true", help="train on drawn tokens, not on the sample corpus")
    parser.add_argument("--windows", type=int, default=ROWS, help="of held-out text, for each task")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="sizes of the cache")
    parser.add_argument("--contexts", type=int, nargs="+", default=CONTEXTS, help="lengths of prompts to time")
    parser.add_argument("--generated", type=int, default=32, help="tokens that are timed after a prompt")
    parser.add_argument("--output", type=Path, help="a folder for the figures and kvcache.json")
    parser.add_argument("--write", action="store_true", help="put tables and figures into docs/")
    arguments = parser.parse_args(options)
    torch.set_num_threads(1)
    results = measured(
        proxy_text(arguments.drawn),
        arguments.seeds,
        arguments.tokens,
        arguments.windows,
        arguments.shares,
        arguments.contexts,
        arguments.generated,
        torch.device(arguments.device),
    )
    print("\n".join(tables(results)))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "kvcache.json").write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
        draw(results, arguments.output)
    if arguments.write:
        draw(results, DOCS / "pictures")
        rewrite(DOCS / "kvcache.md", "measured", tables(results))


if __name__ == "__main__":
    main()
