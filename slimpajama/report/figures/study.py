"""What a study found: losses of models trained on mixtures, with their spread, and what may be said of them."""

from __future__ import annotations

from slimpajama.report.figures.base import Figures

__all__ = [
    "RESULTS_FILE",
    "ChoiceCell",
    "HeldOutCell",
    "LossCurve",
    "ScopePair",
    "SourceSpread",
    "StudyFigures",
    "TrainedPoint",
]

RESULTS_FILE = "results.json"
"""Of a study: its figures."""


class HeldOutCell(Figures, frozen=True, kw_only=True):
    """Models of one size trained on one mixture, measured on what is held out of one source.

    ``nats``: mean loss a token, over seeds; ``bits``: a byte. ``spread``: standard deviation of ``bits`` between seeds.
    ``best``: whether no mixture has less; ``beyond``: whether it differs from the best by more than twice the spread of
    the two, so that another draw of seeds would hardly turn it. ``trained_on``: the mixture's share of the source.
    """

    mixture: str
    model: str
    source: str
    seeds: int
    nats: float
    bits: float
    spread: float | None
    best: bool
    beyond: bool
    trained_on: float


class TrainedPoint(Figures, frozen=True, kw_only=True):
    """Mean training loss, in nats a token, up to ``tokens``."""

    tokens: int
    loss: float


class LossCurve(Figures, frozen=True, kw_only=True):
    """Training losses of a mixture, averaged over seeds."""

    mixture: str
    model: str
    points: tuple[TrainedPoint, ...]


class ScopePair(Figures, frozen=True, kw_only=True):
    """Local against global deduplication: two mixtures of one recipe at equal tokens, on one source.

    ``difference``: bits a byte of ``local_mixture`` less those of ``global_mixture``; ``beyond``: more than twice the
    spread."""

    local_mixture: str
    global_mixture: str
    model: str
    source: str
    difference: float
    beyond: bool


class ChoiceCell(Figures, frozen=True, kw_only=True):
    """Multiple choice: shares of right answers by the loss a token and a byte, means over seeds, and RRGS of the
    groups by the loss a byte (``None`` where questions have other than four choices). ``task``: their set."""

    task: str
    mixture: str
    model: str
    questions: int
    per_token: float
    per_byte: float
    chance: float
    rrgs: float | None


class SourceSpread(Figures, frozen=True, kw_only=True):
    """Standard deviation of bits a byte between seeds on a source, pooled over mixtures of a size: ``holding``, over
    those that were trained on some of it, and ``lacking``, over the others. ``None`` where no two seeds tell."""

    model: str
    source: str
    holding: float | None
    lacking: float | None


class StudyFigures(Figures, frozen=True, kw_only=True):
    """All of a study. ``parameters``: by model. ``limits``: sentences that say what cannot be concluded."""

    mixtures: tuple[str, ...]
    models: tuple[str, ...]
    sources: tuple[str, ...]
    seeds: tuple[int, ...]
    parameters: dict[str, int]
    tokens: int
    window: int
    split: str
    cells: tuple[HeldOutCell, ...]
    spreads: tuple[SourceSpread, ...]
    curves: tuple[LossCurve, ...]
    scopes: tuple[ScopePair, ...]
    choices: tuple[ChoiceCell, ...]
    tokens_per_cpu_second: float
    limits: tuple[str, ...]
