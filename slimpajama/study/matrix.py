"""A whole study: every size on every mixture with every seed, then what was found.

All that can be wrong is looked at before the first run: names, sizes, tokens, files. On a CPU, runs are shared out to
worker processes of one thread each, as small models gain nothing from more; on a GPU they follow one another; under
``torchrun`` all processes train each run together. Finished runs are kept, so a study can be interrupted, and
mixtures, sizes or seeds added to it. A worker that is killed has its run tried once more, from its checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from slimpajama.config.study import StudyConfig
from slimpajama.engine import Death, Trial
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import ConfigError, InputError, InputNotFound, WorkerDied
from slimpajama.mixture.layout import HOLDOUT_FOLDER
from slimpajama.mixture.manifest import (
    HoldoutFile,
    MixtureFile,
    MixtureManifest,
    read_holdout_manifest,
    read_mixture_manifest,
)
from slimpajama.storage.atomic import file_record
from slimpajama.study.evaluation.held_out import held_out_fingerprint, read_held_out
from slimpajama.study.evaluation.question_sets import questions_fingerprint, read_question_sets
from slimpajama.study.model.presets import preset_configuration
from slimpajama.study.runs import RunResult, RunSpec, finished_result, run_once
from slimpajama.study.training.processes import launched, place
from slimpajama.study.training.settings import TrainingSettings
from slimpajama.study.training.windows import TrainingWindows
from slimpajama.training.sequence_files import SequenceFiles

__all__ = ["RUNS_FOLDER", "StudiedMixture", "StudyPlan", "plan_study", "run_study"]

RUNS_FOLDER = "runs"


@dataclass(frozen=True, slots=True)
class StudiedMixture:
    """A mixture of a study. ``shares``: of its sequences, by source. ``recipe``: what it has in common with the same
    mixture of another scope."""

    name: str
    scope: str
    shares: dict[str, float]
    recipe: str


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """All runs of a study, in their order."""

    specs: tuple[RunSpec, ...]
    mixtures: tuple[StudiedMixture, ...]


def plan_study(config: StudyConfig) -> StudyPlan:
    """The runs that ``config`` asks for. Raises an error for whatever would stop one of them."""
    root = _mixtures_folder(config)
    there = sorted(path.parent.name for path in root.glob("*/manifest.json") if path.parent.name != HOLDOUT_FOLDER)
    if not there:
        raise InputNotFound(f"there is no finished mixture in {root}; make some with slimpajama mix")
    for name in config.mixtures:
        if name not in there:
            raise ConfigError(f"there is no finished mixture {name!r} in {root}; there are {', '.join(there)}")
    names = config.mixtures or tuple(there)
    manifests = {name: read_mixture_manifest(root / name) for name in names}
    holdout = root / HOLDOUT_FOLDER
    held_out = read_holdout_manifest(holdout)
    stores = {manifest.store.fingerprint for manifest in manifests.values()}
    if stores != {held_out.store.fingerprint}:
        raise ConfigError(
            f"the mixtures {', '.join(names)} and the holdout in {root} are of different token stores; build them anew "
            "with one slimpajama mix"
        )
    device = _device(config)
    tokenizer = root / "tokens" / "tokenizer.json"
    for name in names:
        TrainingWindows(root / name, _settings(config, config.seeds[0]), *place())
        _refuse_damage(root / name, manifests[name].files)
    _refuse_damage(holdout, held_out.files)
    texts = read_held_out(
        holdout, tokenizer, split=config.split, window=config.window, most_tokens=config.held_out_tokens
    )
    measured_on = held_out_fingerprint(texts)
    asked = questions_fingerprint(read_question_sets(config.choices))
    specs = []
    for model in config.models:
        preset_configuration(model)
        for seed in config.seeds:
            settings = _settings(config, seed)
            for name in names:
                specs.append(
                    RunSpec(
                        mixture=name,
                        mixture_folder=str(root / name),
                        model=model,
                        seed=seed,
                        vocabulary=manifests[name].store.vocabulary,
                        settings=settings,
                        holdout_folder=str(holdout),
                        tokenizer=str(tokenizer),
                        split=config.split,
                        held_out_tokens=config.held_out_tokens,
                        choices=config.choices,
                        asked=asked,
                        held_out=measured_on,
                        device=device,
                        made_of=SequenceFiles(root / name).fingerprint,
                    )
                )
    return StudyPlan(tuple(specs), tuple(_studied(name, manifests[name]) for name in names))


def run_study(
    config: StudyConfig,
    plan: StudyPlan,
    output: Path,
    told: Callable[[RunResult, int], None] | None = None,
) -> tuple[RunResult, ...]:
    """Do all runs of ``plan`` in ``output``; ``told`` hears of each one that is done, and how many are.

    Raises :class:`~slimpajama.WorkerDied` where a process was killed twice; the next call goes on.
    """
    runs = [_PlannedRun(spec, output / RUNS_FOLDER / spec.name) for spec in plan.specs]
    results: dict[str, RunResult] = {}

    def finish(run: _PlannedRun, result: RunResult) -> None:
        results[run.spec.name] = result
        if told is not None:
            told(result, len(results))

    left = []
    for run in runs:
        earlier = finished_result(run.spec, run.folder)
        if earlier is None:
            left.append(run)
        else:
            finish(run, earlier)
    here = plan.specs[0].device != "cpu" or launched()
    processes = 1 if here else min(max(1, len(left)), config.processes or len(os.sched_getaffinity(0)))
    threads = torch.get_num_threads()
    try:
        with LocalEngine(processes) as engine:
            for index, result in engine.map(_done, left, retry=_once_more):
                finish(left[index], result)
    finally:
        torch.set_num_threads(threads)
    return tuple(results[run.spec.name] for run in runs)


@dataclass(frozen=True, slots=True)
class _PlannedRun:
    spec: RunSpec
    folder: Path

    def __str__(self) -> str:
        return f"the run {self.spec.name}"


def _done(run: _PlannedRun) -> RunResult:
    torch.set_num_threads(1)
    return run_once(run.spec, run.folder)


def _once_more(run: _PlannedRun, death: Death) -> Trial[_PlannedRun]:
    if death.may_repeat:
        return Trial(run)
    raise WorkerDied(
        f"a process that trained {run} {death.fate}, {death.tries} times, likely for lack of memory; give fewer "
        "--processes and run the same command again: finished runs are kept, and this one goes on from its checkpoint"
    )


def _refuse_damage(folder: Path, files: Sequence[MixtureFile] | Sequence[HoldoutFile]) -> None:
    """Read the Parquet files of ``folder`` once, at the speed of a digest: a damaged one would be trained on in
    silence."""
    for file in files:
        path = folder / file.name
        if file.format == "parquet" and path.exists():  # one that is gone is named where it is opened
            record = file_record(path)
            if (record.bytes, record.blake2b) != (file.bytes, file.blake2b):
                raise InputError(
                    f"{path} is not what slimpajama mix wrote: its digest is {record.blake2b} instead of "
                    f"{file.blake2b}; remove it and run slimpajama mix again, which makes it anew"
                )


def _mixtures_folder(config: StudyConfig) -> Path:
    if config.input is None:
        raise ConfigError("nothing says which mixtures to study; give --input, an output of slimpajama mix or run")
    root = Path(config.input)
    inside = root / "mixtures"
    return inside if inside.is_dir() and not (root / HOLDOUT_FOLDER).is_dir() else root


def _settings(config: StudyConfig, seed: int) -> TrainingSettings:
    return TrainingSettings(
        tokens=config.tokens,
        batch_tokens=config.batch_tokens,
        window=config.window,
        learning_rate=config.learning_rate,
        warm_up=config.warm_up,
        final_rate=config.final_rate,
        weight_decay=config.weight_decay,
        phases=config.phases,
        seed=seed,
        documents=config.documents,
        checkpoint_steps=config.checkpoint_steps,
        compile=config.compile,
    )


def _device(config: StudyConfig) -> str:
    there = torch.cuda.is_available()
    if config.device == "cuda" and not there:
        raise ConfigError("device is cuda, and PyTorch finds no GPU here; give --set device=cpu")
    return "cuda" if there and config.device != "cpu" else "cpu"


def _studied(name: str, manifest: MixtureManifest) -> StudiedMixture:
    shares = {part.source: part.sequences / manifest.plan.sequences for part in manifest.plan.sources}
    alike = {key: manifest.recipe.get(key) for key in ("weights", "weights_are", "rule", "epochs", "phases", "repeat")}
    return StudiedMixture(
        name, str(manifest.recipe.get("scope", "global")), shares, repr(sorted(alike.items(), key=lambda pair: pair[0]))
    )
