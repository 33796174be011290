"""What ``slimpajama study`` does: plan, train, summarise, write; alone, or as one of the processes of ``torchrun``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slimpajama.config.study import StudyConfig
from slimpajama.errors import ConfigError
from slimpajama.report.figures.kvcache import CACHES_FILE
from slimpajama.report.figures.study import RESULTS_FILE, StudyFigures
from slimpajama.storage.atomic import remove_stale_temporaries
from slimpajama.storage.lock import locked
from slimpajama.storage.paths import is_remote
from slimpajama.study.kvcache.of_study import finished_caches, measure_caches, measured_specs, write_caches
from slimpajama.study.matrix import RUNS_FOLDER, StudyPlan, plan_study, run_study
from slimpajama.study.results import TABLES_FILE, write_results
from slimpajama.study.runs import RunResult
from slimpajama.study.summary import study_figures
from slimpajama.study.swarm import METRICS_FILE, check_swarm, swarm_names, write_swarm
from slimpajama.study.tables import study_text
from slimpajama.study.training.processes import joined, place

__all__ = ["FinishedStudy", "do_study"]


@dataclass(frozen=True, slots=True)
class FinishedStudy:
    """What a study found: ``text`` with all tables, and ``places``, where to look further."""

    figures: StudyFigures
    text: str
    places: str


def do_study(
    config: StudyConfig, output: Path, *, ratios: Path | None = None, told: Callable[[str], None] = print
) -> FinishedStudy | None:
    """Do the whole study; ``told`` hears of each run that is done. ``None`` in all but the first of several processes.

    ``ratios``: a table of mixtures to study instead of those that ``config`` names.
    """
    if ratios is not None:
        if config.mixtures:
            raise ConfigError("--ratios names the mixtures, and so does the setting mixtures; leave mixtures out")
        config = config.model_copy(update={"mixtures": swarm_names(ratios)})
    if is_remote(output):
        raise ConfigError(f"a study cannot write to {output}; give a folder on a disk, and copy it when it is done")
    with joined():
        plan = plan_study(config)
        if ratios is not None:
            check_swarm(ratios, plan)
        first = place()[0] == 0

        def done(result: RunResult, count: int) -> None:
            if first:
                told(
                    f"{count} of {len(plan.specs)}  {result.mixture} {result.model} seed {result.seed}: training loss "
                    f"{result.last_loss:.3f}, {result.tokens_per_second:,.0f} tokens/s"
                )

        with locked(output) if first else contextlib.nullcontext():  # the first process alone writes
            if first:
                remove_stale_temporaries([output])
            results = run_study(config, plan, output, done)
            if not first:
                return None
            if config.cache:
                _compare_caches(plan, results, output, told)
            return _written(plan, results, output, swarm=ratios is not None, cache=config.cache)


def _compare_caches(plan: StudyPlan, results: tuple[RunResult, ...], output: Path, told: Callable[[str], None]) -> None:
    specs = measured_specs(plan.specs, results)
    if not finished_caches(specs, output):
        told(f"comparing caches on {len(specs)} models {specs[0].model}: up to half a minute each for tiny")
        write_caches(output, measure_caches(specs, output / RUNS_FOLDER))


def _written(
    plan: StudyPlan, results: tuple[RunResult, ...], output: Path, *, swarm: bool, cache: bool
) -> FinishedStudy:
    figures = study_figures(plan, results)
    write_results(output, figures, results)
    if not cache:
        (output / CACHES_FILE).unlink(missing_ok=True)  # of other models, perhaps
    places = [
        f"tables: {output / TABLES_FILE}",
        f"figures: {output / RESULTS_FILE}, {output}/*.svg, {output}/*.parquet",
    ]
    if cache:
        places.append(f"caches: {output / CACHES_FILE}, {output}/kvcache-*.svg")
    if swarm:
        write_swarm(output, plan, figures)
        places.append(f"swarm: {output / METRICS_FILE}")
    return FinishedStudy(figures, study_text(figures), "\n".join(places))
