"""What of a run is done, what is not, and what is stale and why; nothing is written.

The run's own request is gone through again with stages that only look (see :mod:`slimpajama.stages.runner`), as far as
that can be known: what follows a stage that is not done depends on what it will write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slimpajama.config.dedup import Config, without_preset
from slimpajama.config.loading import assigned, checked, put_at
from slimpajama.config.recipe import Recipe
from slimpajama.config.run import RunConfig
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.local import LocalEngine
from slimpajama.engine.resources import task_bytes, worker_count
from slimpajama.errors import SlimpajamaError
from slimpajama.evidence.request import REQUEST, DedupRequest, MixRequest, RunRequest, command_of, read_request
from slimpajama.mixture.finished import mixture_states
from slimpajama.mixture.stages.build import BUILDS
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.pipeline.mix import make_mixtures
from slimpajama.pipeline.report import report_state
from slimpajama.pipeline.run import recipes_of, source_of
from slimpajama.stages.runner import StageRecord, Stages, Unfinished
from slimpajama.storage.paths import path_of

__all__ = ["RunStatus", "run_status", "status", "status_lines"]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """``stages``: those looked at, in order. ``problem``: why no more could be looked at, if so. ``finished``: all is
    done and holds. ``report``: ``"current"``, ``"stale"`` if it was made of what is there no more, or ``"none"``.
    ``mixtures``: finished ones of other commands by name, ``"current"``, or ``"stale"`` if they are of a token store
    that is there no more."""

    command: str
    stages: dict[str, StageRecord]
    problem: str
    report: str = "none"
    mixtures: dict[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether running it again would do nothing."""
        return not self.problem and all(record.reused == record.items for record in self.stages.values())


def status(output: str | Path, *, settings: Mapping[str, object] | None = None) -> RunStatus:
    """Find out which stages of the run in ``output`` are done, and which are stale and why. Changes nothing.

    ``settings``: what would be with these settings instead; for the output of :func:`run` a name begins with its
    section, as in ``{"dedup.seed": 2}``. Raises :class:`~slimpajama.InputNotFound` where nothing was run.
    """
    return _status(path_of(output), dict(settings or {}))


def run_status(output: Path, assignments: Sequence[str] = ()) -> RunStatus:
    """The state of what was last asked of ``output``, with ``key=value`` ``assignments`` over its settings.

    For the output of ``slimpajama run`` a key begins with its section, as in ``dedup.seed=2``. Raises
    :class:`InputNotFound` where nothing was asked for, and :class:`ConfigError` for settings that are none.
    """
    return _status(output, dict(map(assigned, assignments)))


def _status(output: Path, changes: dict[str, object]) -> RunStatus:
    request = read_request(output)
    stages = Stages(LocalEngine(1), inspecting=True)
    problem = ""
    try:
        match request:
            case DedupRequest():
                _dedup(request, output, changes, stages)
            case MixRequest():
                _mix(request, output, changes, stages)
            case RunRequest():
                _run(request, output, changes, stages)
    except Unfinished as stage:
        problem = f"what comes after '{stage}' depends on what that will write"
    except SlimpajamaError as fault:
        if not stages.records:
            raise
        problem = str(fault)
    folder = output / "mixtures" if isinstance(request, RunRequest) else output
    others = {} if isinstance(request, DedupRequest) else mixture_states(folder)
    looked_at = {name.removeprefix(BUILDS) for name in stages.records if name.startswith(BUILDS)}
    mixtures = {name: state for name, state in others.items() if name not in looked_at}
    return RunStatus(command_of(request), stages.records, problem, report_state(output), mixtures)


def _dedup(request: DedupRequest, output: Path, changes: Mapping[str, object], stages: Stages) -> None:
    before = without_preset(request.settings) if "preset" in changes else request.settings
    settings = checked(Config, {**before, **changes}, "--set")
    _with_workers(stages, settings)
    deduplicate_on(stages, path_of(request.input), output, settings)


def _mix(request: MixRequest, output: Path, changes: Mapping[str, object], stages: Stages) -> None:
    recipes = [checked(Recipe, recipe, REQUEST) for recipe in request.recipes]
    settings = checked(TokenConfig, {**request.settings, **changes}, "--set")
    source = path_of(request.input)
    make_mixtures(source, recipes, settings, output, stages=stages, memory=1 << 30, format=request.format)


def _run(request: RunRequest, output: Path, changes: Mapping[str, object], stages: Stages) -> None:
    section = request.config.get("dedup")
    if "dedup.preset" in changes and isinstance(section, Mapping):
        request.config["dedup"] = without_preset(section)
    for key, value in changes.items():
        put_at(request.config, key, value, f"--set {key}", "the config")
    config = checked(RunConfig, request.config, "--set")
    folder = Path(request.folder)
    _with_workers(stages, config.dedup)
    source = source_of(config, folder, output)
    deduplicate_on(stages, source, output / "dedup", config.dedup)
    recipes = recipes_of(config.mixtures, folder)
    if recipes:
        make_mixtures(
            output / "dedup",
            recipes,
            config.tokens,
            output / "mixtures",
            stages=stages,
            memory=task_bytes(config.dedup),
            format=config.mixtures.format,
        )


def _with_workers(stages: Stages, config: Config) -> None:
    """How the keys are cut into ranges depends on the number of workers, which are never started."""
    stages.engine = LocalEngine(worker_count(config))


MIXTURE_WORDS = {
    "current": "finished earlier",
    "stale": "finished, of a token store that is there no more; run slimpajama mix with its recipe again",
}

REPORT_WORDS = {"current": "made", "stale": "made of an earlier state; slimpajama report makes it again"}

SHOWN = 5
"""Reasons that are given for a stage."""


def status_lines(status: RunStatus) -> list[str]:
    """The state, for a terminal: a line for each stage, and one for each reason why items of it are stale."""
    lines = []
    others = {f"{BUILDS}{name}": MIXTURE_WORDS[state] for name, state in status.mixtures.items()}
    width = max((len(name) for name in (*status.stages, *others)), default=0)
    for name, record in status.stages.items():
        missing = record.items - record.reused - len(record.stale)
        parts = [f"{record.reused:,} of {record.items:,} done"]
        parts += [f"{len(record.stale):,} stale"] if record.stale else []
        parts += [f"{missing:,} to do"] if missing else []
        lines.append(f"{name.ljust(width)}  {', '.join(parts)}")
        by_reason: dict[str, list[str]] = {}
        for item, reason in record.stale.items():
            by_reason.setdefault(reason, []).append(item)
        for reason, items in list(by_reason.items())[:SHOWN]:
            who = items[0] if len(items) == 1 else f"{len(items):,} items, e.g. {items[0]}"
            lines.append(f"{'':{width}}    {who}: {reason}")
        if len(by_reason) > SHOWN:
            lines.append(f"{'':{width}}    and for {len(by_reason) - SHOWN:,} other reasons")
    lines += [f"{name.ljust(width)}  {words}" for name, words in others.items()]
    if status.report != "none":
        lines.append(f"{'report'.ljust(width)}  {REPORT_WORDS[status.report]}")
    if status.problem:
        lines.append(status.problem)
    lines.append("everything is done" if status.finished else "run the same command again to go on")
    return lines
