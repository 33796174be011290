"""How fast a decoder with random weights generates from a cache, and what the cache takes, by the length of the prompt.

Prompts up to ``LONGEST_PROMPT`` are read and timed; for all lengths the cache that is generated from is filled with
random keys and values. On one thread in seconds of the processor; on a GPU in those of a clock, once all is done.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
import torch

from slimpajama.report.figures.kvcache import SpeedPoint
from slimpajama.study.kvcache.budget import Budget
from slimpajama.study.kvcache.decoder_cache import DecoderCaches
from slimpajama.study.kvcache.eviction import Eviction, MethodName, eviction
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

LONGEST_PROMPT = 2048
"""Longer ones are not run, as their attention takes minutes on a CPU; the cache is filled instead."""
SPEEDS: tuple[tuple[MethodName, float], ...] = (("full", 1.0), ("window", 0.5), ("h2o", 0.5), ("keyformer", 0.5))
SPEED_SHAPE = DecoderConfiguration(vocabulary=4096, width=256, layers=5, heads=4, feed_forward=688, context=256)
WARM_UP = 4
"""Steps that are not timed."""
TURNS = 5
"""Of each method, of which the median is shown."""


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
    """Greedy generation from caches that are filled, after steps that warm up."""
    device = model.embedding.weight.device
    how = eviction(method, Budget(share=share), generated)
    prompt = prompt_seconds(model, how, context, rows, clock) if context <= LONGEST_PROMPT else None
    caches = filled(model, how, context, rows)
    token = torch.zeros(rows, 1, dtype=torch.long, device=device)
    began = clock()
    for step in range(generated + WARM_UP):
        if step == WARM_UP:
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


def speed_model(shape: DecoderConfiguration, device: torch.device) -> Decoder:
    """A decoder of random weights, in single precision on a CPU and bfloat16 on a GPU."""
    with device:  # drawing them on a CPU takes a minute for a billion
        model = Decoder(shape)
    torch.nn.init.normal_(model.embedding.weight, std=shape.embedding_deviation)
    model.to(torch.float32 if device.type == "cpu" else torch.bfloat16).eval()
    return model


def median_point(turns: Sequence[SpeedPoint]) -> SpeedPoint:
    """The medians of one method's turns at one context."""
    prompts = [one.prompt_seconds for one in turns if one.prompt_seconds is not None]
    return msgspec.structs.replace(
        turns[0],
        tokens_a_second=statistics.median(one.tokens_a_second for one in turns),
        prompt_seconds=statistics.median(prompts) if prompts else None,
    )


def speed_points(
    shape: DecoderConfiguration,
    contexts: Sequence[int],
    rows: int,
    device: torch.device,
    stop: Callable[[], bool],
    generated: int = 32,
    turns: int = TURNS,
) -> tuple[list[SpeedPoint], list[str]]:
    """Full attention and the methods at half of the prompt, context by context, until ``stop`` says so.

    Methods take turns, and medians of them are returned. The second is what was left out and why: a cache for which
    there is not enough memory, or time.
    """
    model = speed_model(shape, device)
    clock = gpu_clock if device.type == "cuda" else time.process_time
    points: list[SpeedPoint] = []
    left_out: list[str] = []
    for context in contexts:
        found: dict[MethodName, list[SpeedPoint]] = {}
        methods = dict(SPEEDS)
        for turn, (method, share) in itertools.product(range(turns), SPEEDS):
            if method not in methods:
                continue
            if stop() and turn:
                break  # fewer turns; the next context is told as left out
            if stop():
                left_out.append(f"{method} after {context:,} tokens and what follows: no time left")
                return points + [median_point(ones) for ones in found.values()], left_out
            try:
                point = speed_point(model, method, share, context, rows, generated, clock)
                found.setdefault(method, []).append(point)
            except RuntimeError as fault:
                if not isinstance(fault, torch.OutOfMemoryError) and "can't allocate memory" not in str(fault):
                    raise
                del methods[method]
                left_out.append(f"{method} after {context:,} tokens: not enough memory for {rows} rows")
            if device.type == "cuda":
                torch.cuda.empty_cache()
        points += [median_point(ones) for ones in found.values()]
    return points, left_out
