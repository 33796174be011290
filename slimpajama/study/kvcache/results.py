"""What was measured of caches, as it is written to a file and drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QualityPoint:
    """One method at one budget (a share of the prompt) on one task, with one seed of text and noise."""

    task: str
    method: str
    share: float
    seed: int
    loss: float
    full_loss: float
    same_token: float
    divergence: float


@dataclass(frozen=True, slots=True)
class NoisePoint:
    """Keyformer with one kind of noise; ``fresh`` is drawn for each query."""

    task: str
    kind: str
    fresh: bool
    share: float
    seed: int
    loss: float
    full_loss: float
    same_token: float


@dataclass(frozen=True, slots=True)
class SpeedPoint:
    """Tokens a second of generating after a prompt of ``context`` tokens, all rows together, and the cache's memory;
    ``prompt_seconds`` is what reading the prompt took, None where it was not run."""

    device: str
    method: str
    share: float
    context: int
    rows: int
    tokens_a_second: float
    prompt_seconds: float | None
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class CacheResults:
    """All that ``python -m benchmarks.kvcache`` measures."""

    machine: str
    proxy: str
    quality: tuple[QualityPoint, ...]
    noise: tuple[NoisePoint, ...]
    speed: tuple[SpeedPoint, ...]


def mean_and_spread(values: list[float]) -> tuple[float, float]:
    """The mean, and the standard deviation between seeds (0 for one)."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, 0.0
    return mean, (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
