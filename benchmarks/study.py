"""How fast models train, and all checks of a GPU: ``python -m benchmarks.study --device cuda --minutes 8``.

On a CPU: tokens that ``tiny`` trains on in a second of processor time at a window of 256, the whole step with its
optimiser, by the plain loop (logits of the whole batch, PyTorch's cross entropy) and by the study's, in turns; and the
bound: the time of the matrix products of a step alone, each in its own shape. On a GPU: gradients against the CPU's;
the share of the peak that ``111m`` reaches in bfloat16, counted as 6 operations a parameter of a matrix and token, and
those of attention over whole windows, and what the GPU spends a step on; then what ``benchmarks.compression`` and
``benchmarks.kvcache`` check on a GPU.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.machine import describe
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.presets import preset_configuration
from slimpajama.study.training.optimiser import made_optimiser, set_step
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.trainer import LossOfWindows, computing
from slimpajama.text_table import markdown_table

WINDOW = 256
H100_PEAK = 989e12
"""Operations a second in bfloat16, dense, as its maker states them."""


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """Tokens a second: of the plain loop, of the study's, and of the matrix products alone."""

    vocabulary: int
    parameters: int
    plain: float
    ours: float
    bound: float


def operations(shape: DecoderConfiguration, window: int) -> int:
    """Of a token, forward and backward: 6 a parameter of a matrix, and attention over whole windows."""
    block = 4 * shape.width**2 + 3 * shape.width * shape.feed_forward
    attention = 2 * shape.width * window
    return 6 * (shape.layers * (block + attention) + shape.vocabulary * shape.width)


def products_seconds(shape: DecoderConfiguration, tokens: int) -> float:
    """Seconds of processor time of the matrix products of one step, and nothing else; attention is left out."""
    pairs = [(shape.width, 3 * shape.width), (shape.width, shape.width)]
    pairs += [(shape.width, 2 * shape.feed_forward), (shape.feed_forward, shape.width)]
    total = 0.0
    for inputs, outputs in [*pairs * shape.layers, (shape.width, shape.vocabulary)]:
        rows, matrix, out = torch.randn(tokens, inputs), torch.randn(outputs, inputs), torch.randn(tokens, outputs)

        def work(rows: Tensor = rows, matrix: Tensor = matrix, out: Tensor = out) -> None:
            torch.mm(rows, matrix.t())
            torch.mm(out, matrix)
            torch.mm(out.t(), rows)

        total += _seconds(work)
    return total


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _step(
    model: Decoder, tokens: Tensor, plain: bool, documents: Tensor | None = None, *, compiled: bool = False
) -> Callable[[], object]:
    optimiser = made_optimiser(model)
    module = LossOfWindows(model, compiled)
    settings = TrainingSettings(tokens=10**9, batch_tokens=tokens.numel(), window=tokens.shape[1])
    labels = torch.roll(tokens, -1, 1)

    def step() -> None:
        set_step(optimiser, settings, 100)
        optimiser.zero_grad(set_to_none=True)
        if plain:
            loss = functional.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())
        else:
            with computing(tokens.device):
                loss = module(tokens, labels, documents)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    return step


def cpu_speed(vocabulary: int, windows: int = 4, turns: int = 15) -> TrainingSpeed:
    """Medians over turns of the three; one thread."""
    shape = preset_configuration("tiny", vocabulary, WINDOW)
    tokens = torch.randint(0, vocabulary, (windows, WINDOW), generator=torch.Generator().manual_seed(1))
    model = Decoder(shape, seed=1)
    steps = [_step(model, tokens, plain=True), _step(model, tokens, plain=False)]
    times: list[list[float]] = [[], [], []]
    for turn in range(turns + 2):
        found = [*map(_seconds, steps), products_seconds(shape, tokens.numel())]
        if turn >= 2:
            for kept, value in zip(times, found, strict=True):
                kept.append(value)
    plain, ours, bound = (tokens.numel() / statistics.median(values) for values in times)
    return TrainingSpeed(vocabulary, model.parameter_count, plain, ours, bound)


@dataclass(frozen=True, slots=True)
class GpuTraining:
    """Steps of a size on a GPU. ``peak_share``: of :data:`H100_PEAK`; ``parts``: milliseconds of a step by what the
    GPU does in them; ``compile_seconds``: until the third step was done."""

    device: str
    size: str
    windows: int
    context: int
    documents: bool
    tokens_per_second: float
    peak_share: float
    compile_seconds: float
    parts: dict[str, float]


def gradient_difference(device: torch.device, documents: bool, compiled: bool = True) -> float:
    """How far a gradient on ``device`` is from the CPU's, as a share of its norm."""
    shape = preset_configuration("5m", 1001)
    row = torch.randint(0, 1001, (2, 384), generator=torch.Generator().manual_seed(1))
    labels = torch.roll(row, -1, 1)
    labels[:, ::7] = -100
    ids = (torch.arange(384) // 100).expand(2, -1) if documents else None
    gradients = []
    for place in (torch.device("cpu"), device):
        model = Decoder(shape, seed=1).to(place)
        module = LossOfWindows(model, compiled and place is device)
        with computing(place):
            module(row.to(place), labels.to(place), None if ids is None else ids.to(place)).backward()
        gradients.append(torch.cat([one.grad.flatten().cpu() for one in model.parameters() if one.grad is not None]))
    return float((gradients[0] - gradients[1]).norm() / gradients[0].norm())


def kernel_kind(name: str) -> str:
    """What a kernel does, by the names that PyTorch and its libraries give."""
    if "flex_attention" in name or "fmha" in name or "flash" in name:
        return "attention"
    if any(part in name for part in ("nvjet", "gemm", "cutlass", "cublas")):
        return "matrix products"
    return "all else"


def kernel_parts(step: Callable[[], object], device: torch.device, steps: int = 2) -> dict[str, float]:
    """Milliseconds of a step by the kind of kernel."""
    activity = torch.profiler.ProfilerActivity.CUDA if device.type == "cuda" else torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity]) as found:
        for _ in range(steps):
            step()
        _wait(device)
    parts: dict[str, float] = {}
    for event in found.key_averages():
        kind = kernel_kind(event.key)
        parts[kind] = parts.get(kind, 0.0) + event.self_device_time_total / 1000 / steps
    return parts


def gpu_training(
    device: torch.device, seconds: float, windows: int = 32, documents: bool = False, size: str = "111m"
) -> GpuTraining:
    """The share of the peak that compiled steps reach, over ``seconds`` of them."""
    shape = preset_configuration(size)
    began = time.perf_counter()
    model = Decoder(shape, seed=1).to(device)
    tokens = torch.randint(0, shape.vocabulary, (windows, shape.context), device=device)
    ids = (torch.arange(shape.context, device=device) // 500).expand(windows, -1) if documents else None
    step = _step(model, tokens, False, ids, compiled=True)
    for _ in range(3):
        step()
    _wait(device)
    compiled = time.perf_counter() - began
    begin, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - begin < seconds:
        step()
        _wait(device)
        count += 1
    rate = count * tokens.numel() / (time.perf_counter() - begin)
    return GpuTraining(
        torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        size,
        windows,
        shape.context,
        documents,
        rate,
        rate * operations(shape, shape.context) / H100_PEAK,
        compiled,
        kernel_parts(step, device),
    )


def gpu_checks(device: torch.device, seconds: float, size: str = "111m") -> list[str]:
    """Gradients against the CPU's, then speed, as lines; raises ``AssertionError`` where gradients differ."""
    lines = []
    for documents in (False, True):
        difference = gradient_difference(device, documents)
        kind = "documents" if documents else "whole windows"
        assert difference < 0.02, f"the gradient of {kind} on {device} differs from the CPU's by {difference:.1%}"
        lines.append(f"gradient of {kind} within {difference:.2%} of the CPU's in single precision")
    rows = [["windows", "documents", "tokens/s", "of the peak", "compiling, s"]]
    kinds = ("matrix products", "attention", "all else")
    rows[0] += [f"{kind}, ms" for kind in kinds]
    for windows, documents in ((8, False), (16, False), (32, False), (32, True)):
        found = gpu_training(device, seconds / 4, windows, documents, size)
        row = [str(windows), "apart" if documents else "joined", f"{found.tokens_per_second:,.0f}"]
        row += [f"{found.peak_share:.1%}", f"{found.compile_seconds:.0f}"]
        rows.append([*row, *(f"{found.parts.get(kind, 0.0):.1f}" for kind in kinds)])
    title = f"{found.device}, torch {torch.__version__}: {size} in windows of {found.context:,} tokens"
    return [*lines, f"{title}; peak {H100_PEAK / 1e12:,.0f} TFLOP/s:", *markdown_table(rows)]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all checks on a GPU, about")
    parser.add_argument("--turns", type=int, default=15, help="of each measurement on a CPU")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.set_num_threads(1)
    print(describe())
    if device.type == "cpu":
        rows = [["vocabulary", "parameters", "plain loop", "study", "matrix products alone", "study / bound"]]
        for vocabulary in (2048, 4096):
            speed = cpu_speed(vocabulary, turns=arguments.turns)
            rates = [f"{rate:,.0f}" for rate in (speed.plain, speed.ours, speed.bound)]
            rows.append([f"{vocabulary:,}", f"{speed.parameters:,}", *rates, f"{speed.ours / speed.bound:.0%}"])
        print("tiny, windows of 256, tokens a second of processor time:", *markdown_table(rows), sep="\n")
        return
    seconds = arguments.minutes * 60
    print(*gpu_checks(device, seconds / 10), sep="\n", flush=True)
    for part in ("compression", "kvcache"):
        importlib.import_module(f"benchmarks.{part}").gpu_checks(device, seconds / 3)


if __name__ == "__main__":
    main()
