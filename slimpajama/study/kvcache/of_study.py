"""Caches on the models of a study: each method against full attention on the text that was held out, seed by seed.

The models are those of the largest size on the first mixture of the study, one for each seed, so the spread is that
between seeds. The first three quarters of a window are the prompt. It costs under half a minute a seed for ``tiny`` on
one thread; most of it is the last quarter, token by token, for 60 settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from slimpajama.report.drawings.kvcache import cache_drawings
from slimpajama.report.drawings.style import look
from slimpajama.report.figures.kvcache import CACHES_FILE, CacheResults, NoisePoint, QualityPoint
from slimpajama.storage.atomic import atomic_file, fingerprint
from slimpajama.study.evaluation.held_out import HeldOutText, read_held_out
from slimpajama.study.kvcache.measuring import noise_points, quality_points
from slimpajama.study.model.files import load_decoder
from slimpajama.study.runs import RunResult, RunSpec

__all__ = ["finished_caches", "measure_caches", "measured_specs", "write_caches"]

VERSION = 1
"""Of what is measured; raised when results change."""

WINDOWS = 16
"""Of held-out text, of all sources together."""


def measured_specs(specs: Sequence[RunSpec], results: Sequence[RunResult]) -> list[RunSpec]:
    """The runs of the largest size on the first mixture."""
    largest = max(results, key=lambda result: result.parameters)
    return [spec for spec in specs if (spec.model, spec.mixture) == (largest.model, specs[0].mixture)]


def finished_caches(specs: Sequence[RunSpec], output: Path) -> bool:
    """Whether the figures in ``output`` are those of ``specs``, so that they need not be made again."""
    try:
        found = msgspec.json.decode((output / CACHES_FILE).read_bytes(), type=CacheResults)
    except (OSError, msgspec.MsgspecError):
        return False
    return found.made_of == _made_of(specs)


def _made_of(specs: Sequence[RunSpec]) -> str:
    return fingerprint(VERSION, [spec.fingerprint for spec in specs])


def measure_caches(specs: Sequence[RunSpec], runs: Path) -> CacheResults:
    """Compare all methods on the models of ``specs`` in the folder ``runs``."""
    first = specs[0]
    window = first.settings.window
    texts = read_held_out(
        Path(first.holdout_folder),
        Path(first.tokenizer),
        split=first.split,
        window=window,
        most_tokens=window * WINDOWS,
    )
    tokens = held_out_windows(texts).to(first.device)
    prompt = window * 3 // 4
    quality: list[QualityPoint] = []
    noise: list[NoisePoint] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small products gain nothing from more, and give the same everywhere
    try:
        for spec in specs:
            model = load_decoder(runs / spec.name, spec.device)
            quality += quality_points(model, {"held-out text": tokens}, prompt, spec.seed)
            noise += noise_points(model, {"held-out text": tokens}, prompt, spec.seed)
    finally:
        torch.set_num_threads(threads)
    models = (
        f"{len(specs)} models {first.model}, trained on {first.mixture} with a seed each; {len(tokens)} windows of "
        f"held-out text, of which {prompt} tokens are the prompt and {window - prompt} follow"
    )
    return CacheResults(first.device, models, tuple(quality), tuple(noise), (), _made_of(specs))


def held_out_windows(texts: Sequence[HeldOutText]) -> torch.Tensor:
    """At most ``WINDOWS`` windows, about equally many of each source."""
    each = max(1, WINDOWS // len(texts))
    return torch.cat([text.windows.tokens[:each] for text in texts])


def write_caches(output: Path, caches: CacheResults) -> None:
    """Write the drawings and then the figures into the folder of a study."""
    with look():
        drawings = cache_drawings(caches)
    for drawing in drawings:
        with atomic_file(output / f"{drawing.name}.svg") as file:
            file.write(drawing.file.encode())
    with atomic_file(output / CACHES_FILE) as file:
        file.write(msgspec.json.format(msgspec.json.encode(caches)))
