"""One run of a study: train a model on a mixture with a seed, measure it, and keep both.

A run leaves ``result.json`` and the model in a folder of its own. A result holds as long as all that it depends on is
the same (settings, mixture, held-out text, questions); else the run is done again. A run that was killed goes on from
its checkpoint.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import atomic_file, fingerprint
from slimpajama.study.evaluation.held_out import HeldOutLoss, held_out_losses, read_held_out
from slimpajama.study.evaluation.multiple_choice import ChoiceScores, score_questions
from slimpajama.study.evaluation.question_sets import read_question_sets
from slimpajama.study.model.files import CONFIGURATION_FILE, WEIGHTS_FILE, save_decoder
from slimpajama.study.model.presets import preset_configuration
from slimpajama.study.training.processes import place
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.trainer import TrainedModel, forget_checkpoint, train

__all__ = ["LossPoint", "RunResult", "RunSpec", "finished_result", "loss_points", "run_once"]

VERSION = 2
"""Of what a run measures; raised when results change."""

CURVE_POINTS = 60


@dataclass(frozen=True, slots=True)
class RunSpec:
    """All that a run depends on. ``choices``: names of sets of questions; ``asked``: the fingerprint of these;
    ``held_out``: of the text to measure on; ``made_of``: of the mixture."""

    mixture: str
    mixture_folder: str
    model: str
    seed: int
    vocabulary: int
    settings: TrainingSettings
    holdout_folder: str
    tokenizer: str
    split: str
    held_out_tokens: int
    choices: tuple[str, ...]
    asked: str | None
    held_out: str
    device: str
    made_of: str

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.mixture}-{self.model}-seed{self.seed}"

    @property
    def fingerprint(self) -> str:
        """Changes with whatever changes the result; not with where files lie."""
        values = asdict(self)
        for location in ("mixture_folder", "holdout_folder", "tokenizer"):
            del values[location]
        values["choices"] = values.pop("asked")
        for free in ("checkpoint_steps",):
            del values["settings"][free]
        return fingerprint(VERSION, values)


@dataclass(frozen=True, slots=True)
class LossPoint:
    """Mean training loss in nats a token up to ``tokens``, since the point before."""

    tokens: int
    loss: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run found. ``tokens_per_second``: trained on by all processes, a second of the steps;
    ``tokens_per_cpu_second``: by this process, of its processor time; evaluation left out."""

    fingerprint: str
    mixture: str
    model: str
    seed: int
    parameters: int
    tokens: int
    curve: tuple[LossPoint, ...]
    held_out: tuple[HeldOutLoss, ...]
    choices: tuple[ChoiceScores, ...]
    tokens_per_second: float
    tokens_per_cpu_second: float

    @property
    def last_loss(self) -> float:
        """The mean training loss of the last tenth of the curve; one step of a small batch says little."""
        points = self.curve[-max(1, len(self.curve) // 10) :]
        return sum(point.loss for point in points) / len(points)


def loss_points(losses: NDArray[np.float32], batch_tokens: int) -> tuple[LossPoint, ...]:
    """At most ``CURVE_POINTS`` points, each the mean of the steps since the one before."""
    ends = np.unique(np.linspace(0, losses.size, min(CURVE_POINTS, losses.size) + 1).round().astype(int))
    return tuple(
        LossPoint(int(end) * batch_tokens, float(losses[begin:end].mean(dtype=np.float64)))
        for begin, end in itertools.pairwise(ends)
    )


def finished_result(spec: RunSpec, folder: Path) -> RunResult | None:
    """The result that lies in ``folder``, if it is that of ``spec`` and whole, and its model lies there, too."""
    if not (folder / WEIGHTS_FILE).is_file() or not (folder / CONFIGURATION_FILE).is_file():
        return None
    try:
        found = msgspec.json.decode((folder / "result.json").read_bytes(), type=RunResult)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if found.fingerprint == spec.fingerprint else None


def _refuse_divergence(spec: RunSpec, trained: TrainedModel) -> None:
    lost = np.flatnonzero(~np.isfinite(trained.losses))
    if lost.size or not all(bool(weight.isfinite().all()) for weight in trained.model.parameters()):
        when = (
            f"the loss of step {lost[0] + 1:,} is {trained.losses[lost[0]]}" if lost.size else "weights are not finite"
        )
        raise ConfigError(
            f"the run {spec.name} diverged: {when}; give a learning_rate below {spec.settings.learning_rate:g}. "
            "Finished runs are kept"
        )


def run_once(spec: RunSpec, folder: Path) -> RunResult:
    """Do the run of ``spec``, or what is left of it, in ``folder``."""
    earlier = finished_result(spec, folder)
    if earlier is not None:
        return earlier
    texts = read_held_out(
        Path(spec.holdout_folder),
        Path(spec.tokenizer),
        split=spec.split,
        window=spec.settings.window,
        most_tokens=spec.held_out_tokens,
    )
    asked = read_question_sets(spec.choices)
    configuration = preset_configuration(spec.model, spec.vocabulary, spec.settings.window)
    rank, ranks = place()
    trained = train(configuration, spec.settings, Path(spec.mixture_folder), folder, spec.device)
    _refuse_divergence(spec, trained)
    result = RunResult(
        fingerprint=spec.fingerprint,
        mixture=spec.mixture,
        model=spec.model,
        seed=spec.seed,
        parameters=trained.model.parameter_count,
        tokens=spec.settings.steps * spec.settings.batch_tokens,
        curve=loss_points(trained.losses, spec.settings.batch_tokens),
        held_out=held_out_losses(trained.model, texts, spec.device),
        choices=tuple(
            scores
            for one in asked
            for scores in score_questions(trained.model, one.questions, Path(spec.tokenizer), spec.device, one.name)
        ),
        tokens_per_second=ranks * trained.timed_tokens / max(trained.seconds, 1e-9),
        tokens_per_cpu_second=trained.timed_tokens / max(trained.cpu_seconds, 1e-9),
    )
    if rank == 0:
        save_decoder(trained.model, folder)
        with atomic_file(folder / "result.json") as file:
            file.write(msgspec.json.format(msgspec.json.encode(result)))
        forget_checkpoint(folder)
    return result
