"""What ``slimpajama study`` does: plan, train, summarise, write; alone, or as one of the processes of ``torchrun``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from slimpajama.config.study import StudyConfig
from slimpajama.errors import ConfigError
from slimpajama.report.figures.study import RESULTS_FILE, StudyFigures
from slimpajama.study.matrix import plan_study, run_study
from slimpajama.study.results import TABLES_FILE, write_results
from slimpajama.study.runs import RunResult
from slimpajama.study.summary import study_figures
from slimpajama.study.swarm import METRICS_FILE, swarm_names, write_swarm
from slimpajama.study.tables import study_text

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
            raise ConfigError("--ratios names the mixtures, and so does the setting mixtures; give one of them")
        config = config.model_copy(update={"mixtures": swarm_names(ratios)})
    with _processes():
        plan = plan_study(config)
        first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0

        def done(result: RunResult, count: int) -> None:
            if first:
                told(
                    f"{count} of {len(plan.specs)}  {result.mixture} {result.model} seed {result.seed}: training loss "
                    f"{result.curve[-1].loss:.3f}, {result.tokens_per_second:,.0f} tokens/s"
                )

        results = run_study(config, plan, output, done)
    if not first:
        return None
    figures = study_figures(plan, results)
    write_results(output, figures, results)
    places = [
        f"tables: {output / TABLES_FILE}",
        f"figures: {output / RESULTS_FILE}, {output}/*.svg, {output}/*.parquet",
    ]
    if ratios is not None:
        write_swarm(output, plan, figures)
        places.append(f"swarm: {output / METRICS_FILE}")
    return FinishedStudy(figures, study_text(figures), "\n".join(places))


@contextlib.contextmanager
def _processes() -> Iterator[None]:
    """Join the other processes, where ``torchrun`` started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
