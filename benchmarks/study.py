"""How fast models train, and all checks of a GPU: ``python -m benchmarks.study --device cuda --minutes 8``.

On a CPU: tokens that ``tiny`` trains on in a second of processor time at a window of 256, the whole step with its
optimiser, by the plain loop (logits of the whole batch, PyTorch's cross entropy) and by the study's, in turns; and the
bound: the time of the matrix products of a step alone, each in its own shape. On a GPU: the share of the peak that
``111m`` reaches in bfloat16, counted as 6 operations a parameter of a matrix and token, and those of attention; then a
gradient against the CPU's; then what ``benchmarks.compression`` and ``benchmarks.kvcache`` check on a GPU.
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


def _step(model: Decoder, tokens: Tensor, plain: bool) -> Callable[[], object]:
    optimiser = made_optimiser(model)
    module = LossOfWindows(model)
    settings = TrainingSettings(tokens=10**9, batch_tokens=tokens.numel(), window=tokens.shape[1])
    labels = torch.roll(tokens, -1, 1)

    def step() -> None:
        set_step(optimiser, settings, 100)
        optimiser.zero_grad(set_to_none=True)
        if plain:
            loss = functional.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())
        else:
            loss = module(tokens, labels, None)
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


def gpu_training(device: torch.device, seconds: float, windows: int = 16) -> str:
    """The share of the peak that a compiled step of ``111m`` reaches; asserts that gradients are those of the CPU."""
    small = preset_configuration("tiny", 512)
    row = torch.randint(0, 512, (2, 64), generator=torch.Generator().manual_seed(1))
    gradients = []
    for place in (torch.device("cpu"), device):
        model = Decoder(small, seed=1).to(place)
        with computing(place):
            LossOfWindows(model)(row.to(place), torch.roll(row, -1, 1).to(place), None).backward()
        gradient = model.embedding.weight.grad
        assert gradient is not None
        gradients.append(gradient.cpu())
    difference = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
    assert difference < 0.05, f"the gradient on {device} differs from the CPU's by {difference:.1%}"

    shape = preset_configuration("111m")
    model = Decoder(shape, seed=1).to(device)
    optimiser = made_optimiser(model)
    module = torch.compile(LossOfWindows(model))
    tokens = torch.randint(0, shape.vocabulary, (windows, shape.context), device=device)
    settings = TrainingSettings(tokens=10**10, batch_tokens=tokens.numel(), window=shape.context)

    def step() -> None:
        set_step(optimiser, settings, 100)
        optimiser.zero_grad(set_to_none=True)
        with computing(device):
            loss = module(tokens, torch.roll(tokens, -1, 1), None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()

    for _ in range(5):
        step()
    torch.cuda.synchronize(device)
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        step()
        torch.cuda.synchronize(device)
        count += 1
    rate = count * tokens.numel() / (time.perf_counter() - begin)
    share = rate * operations(shape, shape.context) / H100_PEAK
    return (
        f"{torch.cuda.get_device_name(device)}: 111m, {windows} windows of {shape.context:,}: {rate:,.0f} tokens/s, "
        f"{share:.1%} of an H100's {H100_PEAK / 1e12:,.0f} TFLOP/s; gradient within {difference:.2%} of the CPU's"
    )


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
    print(gpu_training(device, seconds / 4))
    for part in ("compression", "kvcache"):
        importlib.import_module(f"benchmarks.{part}").gpu_checks(device, seconds / 4)


if __name__ == "__main__":
    main()
