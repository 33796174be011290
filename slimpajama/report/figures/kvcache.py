"""What was measured of caches that keep some tokens, as it is written to a file, drawn and shown in a report."""

from __future__ import annotations

from collections.abc import Sequence

from slimpajama.report.figures.base import Figures

__all__ = [
    "CACHES_FILE",
    "CacheResults",
    "NoisePoint",
    "QualityPoint",
    "SpeedPoint",
    "mean_and_spread",
]

CACHES_FILE = "kvcache.json"
"""Of a study: its :class:`CacheResults`."""


class QualityPoint(Figures, frozen=True):
    """One method at one budget (a share of the prompt) on one task, with one seed. ``loss``: nats a token, and that of
    full attention; ``same_token``: share of tokens for which both find the same next token likeliest; ``divergence``:
    of their predictions, in nats."""

    task: str
    method: str
    share: float
    seed: int
    loss: float
    full_loss: float
    same_token: float
    divergence: float


class NoisePoint(Figures, frozen=True):
    """Keyformer with one kind of noise; ``fresh`` is drawn for each query."""

    task: str
    kind: str
    fresh: bool
    share: float
    seed: int
    loss: float
    full_loss: float
    same_token: float


class SpeedPoint(Figures, frozen=True):
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


class CacheResults(Figures, frozen=True):
    """All that was measured. ``models``: which, and what a seed sets. ``made_of``: a fingerprint of the runs of a study
    that they come from."""

    machine: str
    models: str
    quality: tuple[QualityPoint, ...]
    noise: tuple[NoisePoint, ...]
    speed: tuple[SpeedPoint, ...]
    made_of: str = ""


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the standard deviation between seeds (0 for one)."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, 0.0
    return mean, (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
