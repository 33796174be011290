"""How long each measure of compression takes, by width: ``python -m benchmarks.compression``.

The paper (arXiv 2410.10672) says that the Matrix Nuclear-Norm is 8 to 24 times faster than matrix entropy. Its entropy
is the SVD of a width × width covariance, with vectors that nobody looks at. The same number comes from the singular
values alone, from those of the tokens × width states, or from the eigenvalues of the smaller Gram matrix; this measures
all of them on random states, after checking that they agree. The states are there already: what a model takes to make
them is measured beside it, as the matrix products of its blocks, since the paper's ratios hold that in both times.

Seconds are of the processor, on one thread; on a GPU, of a clock. Methods take turns, and medians are shown. A call
cannot be stopped, so its time is foreseen from the width below by the number of its operations; one foreseen to take
longer than ``--limit``, or than a third of the time that is left, is not made at this width or a larger one. A lower
bound stands for it. For a width × width matrix, that is the last time grown with width^2.5 on a processor and width^2
on a GPU, where the number of operations grows with the cube; for the states, it is the last time itself.

On a GPU, the measures are first compared with those of the CPU; what differs too much ends the program after all is
printed. ``--write`` puts the tables into ``docs/compression.md``, ``--json FILE`` writes every time into a file.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from benchmarks.compression_agreement import Agreement, agreement_lines, agreements, refuse_disagreement
from benchmarks.machine import describe
from benchmarks.pages import rewrite
from slimpajama.study.compression import matrix_entropy, matrix_nuclear_norm, nuclear_norm
from slimpajama.study.compression.torch_measures import normalised
from slimpajama.text_table import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "compression.md"
LAYERS = {768: 10, 1536: 18, 2048: 24, 4096: 32, 5120: 40, 8192: 80, 12288: 96}
"""Widths of well-known models, and how many blocks those have: Cerebras-GPT up to 5,120, then Llama 2 70B, GPT-3."""

TOKENS = 1024
TURNS = 7
SECONDS = 120.0
"""Of all on a GPU, about."""

GROWTH = {"cpu": 2.5, "cuda": 2.0}
"""The time of a width × width matrix grows at least with this power of the width."""


def entropy_of(values: Tensor) -> Tensor:
    """From the eigenvalues of the covariance, as many as there are."""
    shares = values / values.sum()
    return 0.0 - torch.special.xlogy(shares, shares).sum()


def published_entropy(states: Tensor) -> Tensor:
    """Line for line as published: the SVD of the covariance, with its vectors."""
    z = normalised(states)[0]
    z = torch.nn.functional.normalize(z, dim=1)
    covariance = z.T @ z / z.shape[0]
    values = torch.linalg.svd(covariance / covariance.trace()).S
    return -(values * values.log()).nansum() / math.log(states.shape[1])


def entropy_of_covariance(states: Tensor) -> Tensor:
    """The same without vectors."""
    z = normalised(states)[0]
    return entropy_of(torch.linalg.svdvals(z.T @ z)) / math.log(states.shape[1])


def entropy_of_states(states: Tensor) -> Tensor:
    """From the singular values of the states."""
    return entropy_of(torch.linalg.svdvals(normalised(states)[0]) ** 2) / math.log(states.shape[1])


def entropy_of_gram(states: Tensor) -> Tensor:
    """From the eigenvalues of the smaller Gram matrix, in the precision of the states."""
    z = normalised(states)[0]
    gram = z @ z.T if z.shape[0] < z.shape[1] else z.T @ z
    return entropy_of(torch.linalg.eigvalsh(gram).clamp(min=0)) / math.log(states.shape[1])


@dataclass(frozen=True, slots=True)
class Method:
    """A way to measure a text.

    ``entropy``: whether it is the matrix entropy, and has to agree with the others. ``square``: whether it decomposes a
    width × width matrix, whatever the number of tokens."""

    name: str
    run: Callable[[Tensor], Tensor]
    entropy: bool = True
    square: bool = False

    def operations(self, width: int, tokens: int) -> float:
        """How many, but for a factor."""
        short, long = sorted((width, width if self.square else tokens))
        return float(short**2 * long)


METHODS = (
    Method("MNN", matrix_nuclear_norm, entropy=False),
    Method("entropy, as published", published_entropy, square=True),
    Method("entropy, svdvals of the covariance", entropy_of_covariance, square=True),
    Method("entropy, svdvals of the states", entropy_of_states),
    Method("entropy, Gram in float32", entropy_of_gram),
    Method("entropy, Gram in float64 (ours)", matrix_entropy),
    Method("nuclear norm, exact (float64)", nuclear_norm, entropy=False),
)


@dataclass(frozen=True, slots=True)
class MethodTime:
    """One method at one width. ``seconds``: the median of ``turns``, or where that is 0, a lower bound."""

    method: str
    width: int
    seconds: float
    turns: int


@dataclass(frozen=True, slots=True)
class CompressionTimes:
    """All times. ``forward``: of the matrix products of a model of each width, under the method ``forward pass``.
    ``disagreement``: the largest difference between two ways to the same entropy."""

    machine: str
    tokens: int
    times: tuple[MethodTime, ...]
    forward: tuple[MethodTime, ...]
    disagreement: float
    agreements: tuple[Agreement, ...] = ()

    def at(self, method: str, width: int) -> MethodTime:
        """The time of a method at a width."""
        return next(one for one in self.times if (one.method, one.width) == (method, width))


def seconds_of(run: Callable[[], object], device: torch.device) -> float:
    """Of the processor, or of a clock where a GPU works."""
    if device.type != "cuda":
        began = time.process_time()
        run()
        return time.process_time() - began
    torch.cuda.synchronize(device)
    began = time.perf_counter()
    run()
    torch.cuda.synchronize(device)
    return time.perf_counter() - began


def forward_time(width: int, layers: int, tokens: int, device: torch.device) -> MethodTime:
    """The products of all blocks: in each, twelve square matrices, of which eight are a feed-forward part."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    weight = torch.full((width, width), 0.01, dtype=dtype, device=device)
    states = torch.ones(tokens, width, dtype=dtype, device=device)
    found = [seconds_of(lambda: states @ weight, device) for _ in range(3)][1:]
    return MethodTime("forward pass", width, 12 * layers * statistics.median(found), len(found))


@dataclass(frozen=True, slots=True)
class Time:
    """``limit``: seconds of one call; ``until``: when all should be done, by ``time.perf_counter``."""

    limit: float
    until: float = math.inf

    def allows(self, foreseen: float) -> bool:
        """Whether a call may begin. One of less than a hundredth of the limit always may."""
        left = (self.until - time.perf_counter()) / 3
        return foreseen <= max(min(self.limit, left), self.limit / 100)


def times_at(
    width: int, tokens: int, device: torch.device, allowed: Time, turns: int, before: Sequence[MethodTime], share: float
) -> tuple[list[MethodTime], float]:
    """All methods at a width, and the largest difference between entropies. ``before``: at the width below; ``share``:
    the seconds of this width, after which no further turn begins."""
    end = time.perf_counter() + share
    states = torch.randn(tokens, width, generator=torch.Generator().manual_seed(width)).to(device)
    below = {one.method: one for one in before}
    entropies: list[float] = []
    taken: dict[str, list[float]] = {}
    first: dict[str, float] = {}
    for one in METHODS:
        last = below.get(one.name)
        if last is not None:
            more = one.operations(width, tokens) / one.operations(last.width, tokens)
            # All others are compared with the first, which is quick.
            if not last.turns or not (one is METHODS[0] or allowed.allows(last.seconds * more)):
                continue
        found: list[Tensor] = []
        try:
            spent = seconds_of(lambda one=one, found=found: found.append(one.run(states)), device)  # type: ignore[misc]
        except RuntimeError as fault:  # out of memory, or no convergence
            print(f"{width:,}: {one.name} failed: {fault}", file=sys.stderr, flush=True)
            continue
        first[one.name], taken[one.name] = spent, []
        if one.entropy:
            entropies.append(float(found[0]))
    for _ in range(turns):
        for one in METHODS:
            # The first call warmed up. One that was as long as all others together needs no other.
            if first.get(one.name, math.inf) <= allowed.limit / turns and time.perf_counter() <= end:
                taken[one.name].append(seconds_of(lambda one=one: one.run(states), device))  # type: ignore[misc]
    made = []
    for one in METHODS:
        if one.name in first:
            all_taken = taken[one.name] or [first[one.name]]
            made.append(MethodTime(one.name, width, statistics.median(all_taken), len(all_taken)))
        else:
            last = below.get(one.name, MethodTime(one.name, width, 0.0, 0))
            growth = (width / last.width) ** GROWTH[device.type] if one.square else 1.0
            made.append(MethodTime(one.name, width, last.seconds * growth, 0))
    return made, max(entropies) - min(entropies) if entropies else 0.0


def measured(
    device: torch.device,
    layers: Mapping[int, int],
    tokens: int,
    limit: float,
    turns: int = TURNS,
    seconds: float = math.inf,
) -> CompressionTimes:
    """All widths, from the smallest.

    ``layers``: of a model of each width. ``limit``: of one call. ``seconds``: of all, about.
    """
    allowed = Time(limit, time.perf_counter() + seconds)
    times: list[MethodTime] = []
    forward: list[MethodTime] = []
    before: list[MethodTime] = []
    worst = 0.0
    for at, width in enumerate(sorted(layers)):
        forward.append(forward_time(width, layers[width], tokens, device))
        share = (allowed.until - time.perf_counter()) / (len(layers) - at)
        before, difference = times_at(width, tokens, device, allowed, turns, before, share)
        times += before
        worst = max(worst, difference)
        print(f"{width:,}: " + ", ".join(f"{one.method} {shown(one)}" for one in before), file=sys.stderr, flush=True)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else describe()
    machine = f"{name}, torch {torch.__version__}"
    return CompressionTimes(machine, tokens, tuple(times), tuple(forward), worst)


def digits(value: float) -> str:
    """Three of them, or all of a whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shown(one: MethodTime) -> str:
    """Milliseconds, or seconds where they are many."""
    if not one.seconds:
        return "-"
    value = f"{digits(one.seconds)} s" if one.seconds >= 1 else f"{digits(1000 * one.seconds)} ms"
    return value if one.turns else f"≥ {value}"


def ratio(one: MethodTime, other: MethodTime, added: float = 0.0) -> str:
    """How many times longer ``one`` takes, with ``added`` seconds in both."""
    if not one.seconds or not other.turns:
        return "-"
    value = digits((one.seconds + added) / (other.seconds + added))
    return value if one.turns else f"≥ {value}"


def tables(found: CompressionTimes) -> list[str]:
    """Times, then ratios to the Matrix Nuclear-Norm, as lines of Markdown."""
    widths = [one.width for one in found.forward]
    heading = ["", *(f"{width:,}" for width in widths)]
    times = [heading] + [
        [method.name, *(shown(found.at(method.name, width)) for width in widths)] for method in METHODS
    ]
    times.append(["forward pass, about", *map(shown, found.forward)])
    ratios = [heading] + [
        [method.name, *(ratio(found.at(method.name, width), found.at("MNN", width)) for width in widths)]
        for method in METHODS[1:]
    ]
    for method in (METHODS[1], METHODS[5]):
        row = [
            ratio(found.at(method.name, one.width), found.at("MNN", one.width), one.seconds) for one in found.forward
        ]
        ratios.append([f"{method.name}, both with a forward pass", *row])
    return [
        f"Measured on {found.machine}. One text of {found.tokens:,} tokens, by width.",
        "",
        *markdown_table(times),
        "",
        "Times that of the Matrix Nuclear-Norm:",
        "",
        *markdown_table(ratios),
        "",
        f"The ways to the entropy differ by {found.disagreement:.1g} at most.",
        *(agreement_lines(found.agreements) if found.agreements else ()),
    ]


def gpu_checks(device: torch.device | str, seconds: float, layers: Mapping[int, int] = LAYERS) -> CompressionTimes:
    """All widths on a GPU in about so many seconds, and whether it gives what the CPU gives."""
    device = torch.device(device)
    compared = agreements(device)
    found = dataclasses.replace(measured(device, layers, TOKENS, seconds / 6, TURNS, seconds), agreements=compared)
    print("\n".join(tables(found)))
    refuse_disagreement(compared)
    return found


def main(options: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--widths", type=int, nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--limit", type=float, help="seconds of one call (default: 60, or a sixth of --seconds)")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each method that is not too long for them")
    parser.add_argument(
        "--seconds", type=float, help=f"of all, about (default: {SECONDS:.0f} on a GPU, no limit on a processor)"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into docs/compression.md")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every time into this file")
    arguments = parser.parse_args(options)
    torch.set_num_threads(1)
    layers = {width: LAYERS[width] for width in arguments.widths}
    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    compared = agreements(device) if on_gpu else ()
    seconds = arguments.seconds or (SECONDS if on_gpu else math.inf)
    limit = arguments.limit or min(60.0, seconds / 6)
    times = measured(device, layers, arguments.tokens, limit, arguments.turns, seconds)
    found = dataclasses.replace(times, agreements=compared)
    lines = tables(found)
    print("\n".join(lines))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    if arguments.write:
        rewrite(PAGE, device.type, lines)
    refuse_disagreement(compared)


if __name__ == "__main__":
    main()
