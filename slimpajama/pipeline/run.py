"""A whole run from one config: sample or input → dedup → holdout → tokens → all mixtures → summary."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.config.loading import checked, put_at
from slimpajama.config.presets import config_file, recipe_file
from slimpajama.config.recipe import Recipe, load_recipe
from slimpajama.config.run import MixtureConfig, RunConfig, load_run_config
from slimpajama.config.tokens import TokenConfig
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.dedup.summary import DedupSummary
from slimpajama.engine import Engine
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.resources import task_bytes
from slimpajama.errors import ConfigError, SlimpajamaError
from slimpajama.evidence.request import REQUEST, RunRequest, from_anywhere, write_request
from slimpajama.logging import LOGGER
from slimpajama.pipeline.columns import with_columns_of
from slimpajama.pipeline.decontamination import refuse_missing_sets, with_places
from slimpajama.pipeline.dedup import dedup_request, deduplicate_on
from slimpajama.pipeline.mix import Mixtures, make_mixtures, mix_request
from slimpajama.pipeline.path_overlap import refuse_overlap
from slimpajama.pipeline.preflight import (
    check_earlier_holdout,
    check_packing,
    check_targets,
    check_tokenizer,
    checked_recipes,
    sources_of,
)
from slimpajama.pipeline.replacement import announce, replaced_dedup, replaced_mixtures, replaced_sample, stale_mixtures
from slimpajama.pipeline.report import report_of
from slimpajama.stages.progress import Progress, progress_for
from slimpajama.stages.runner import StageRecord, Stages
from slimpajama.storage.atomic import write_json
from slimpajama.storage.file_list import FILE_LIST, files_in, write_file_list
from slimpajama.storage.file_names import SUMMARY_FILE
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.lock import locked
from slimpajama.storage.paths import is_remote, path_of, relative_name
from slimpajama.storage.reading import own_record
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout

__all__ = ["RunSummary", "recipes_of", "run", "run_all", "run_config", "source_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a whole run did: its deduplication, its token store and mixtures.

    ``stages``: those of the token store and the mixtures; ``dedup`` has its own. ``seconds``: of everything.
    """

    config: RunConfig
    dedup: DedupSummary
    mixtures: Mixtures
    stages: Mapping[str, StageRecord]
    peak_memory_bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The content of ``summary.json`` as plain values."""
        return {
            "config": self.config.model_dump(mode="json"),
            "dedup": self.dedup.as_dict(),
            "tokens": self.mixtures.store.as_dict() if self.mixtures.store else {},
            "mixtures": {
                name: {key: value for key, value in mixture.as_dict().items() if key != "files"}
                for name, mixture in self.mixtures.manifests.items()
            },
            "stages": {
                name: {"seconds": record.seconds, "items": record.items, "reused": record.reused}
                for name, record in self.stages.items()
            },
            "peak_memory_bytes": self.peak_memory_bytes,
            "seconds": self.seconds,
        }


def run(
    config: RunConfig | str | Path,
    output: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    progress: bool | Progress = False,
    engine: EngineChoice | None = None,
    keep: bool = False,
    report: bool = True,
) -> RunSummary:
    """Do everything a config asks for: sample or input, deduplication, token store, mixtures, summary.

    ``config``: a YAML file, the name of a preset such as ``"sample"``, or a :class:`~slimpajama.RunConfig`.
    ``settings``: values to use instead of the config's, by dotted names such as ``{"dedup.workers": 2}``. ``folder``:
    where relative paths in the config start, by default the folder of its file, or the current one. ``keep``: do not
    replace finished results of other settings, but raise :class:`~slimpajama.OutputError`. ``report``: make the page of
    the run in ``report/``, unless the one there still holds. Raises :class:`~slimpajama.SlimpajamaError` of the kind
    that applies.
    """
    chosen, beside = run_config(config, settings, folder)
    return run_all(chosen, beside, path_of(output), progress=progress, engine=engine, keep=keep, report=report)


def run_config(
    config: RunConfig | str | Path, settings: Mapping[str, Any] | None, folder: str | Path | None
) -> tuple[RunConfig, Path]:
    """A config with ``settings`` by dotted names, and the folder where its paths start. Raises :class:`ConfigError`."""
    if not isinstance(config, RunConfig):
        file = config_file(Path(config))
        given = dict(settings or {})
        if isinstance(given.get("input"), str):  # what the caller says is relative to where the caller is
            given["input"] = from_anywhere(given["input"])
        return load_run_config(file, **given), Path(folder) if folder is not None else file.parent
    values = config.model_dump(exclude_unset=True)
    for name, value in (settings or {}).items():
        put_at(values, name, value, name, "the config")
    return checked(RunConfig, values, "settings"), Path(folder) if folder is not None else Path()


def run_all(
    config: RunConfig,
    folder: Path,
    output: Path,
    *,
    progress: bool | Progress = False,
    engine: EngineChoice | None = None,
    keep: bool = False,
    report: bool = False,
) -> RunSummary:
    """Run everything ``config`` asks for into ``output``; paths in it are relative to ``folder``.

    ``engine``: this machine, if not another is chosen. Writes ``sample/`` (if asked for), ``dedup/``, ``mixtures/`` and
    ``summary.json``, which is returned. What is done and still holds is not done again. All
    recipes are read and checked, and the tokenizer is loaded, before anything is started. With ``keep``, finished
    results of other settings are not replaced but refused with :class:`~slimpajama.errors.OutputError`. With
    ``report``, the page of the run is made, too; where that fails, all else is done, and a warning says why.
    """
    began = time.perf_counter()
    if config.sample is not None and is_remote(output):
        raise ConfigError(
            f"the sample cannot be made in {output}: make it on a disk, by slimpajama sample, as the input"
        )
    config = located(config, folder)
    recipes = recipes_of(config.mixtures, folder)
    source = source_of(config, folder, output)
    if config.sample is None:
        refuse_overlap(source, output)
    if recipes:
        recipes, tokens = _checked(config, recipes, source, output)
        config = config.model_copy(update={"tokens": tokens})
    mixtures = Mixtures(None, {}, {}, {}, {})
    with (engine or EngineChoice()).opened(config.dedup) as opened, locked(output):
        if keep:
            announce(_replaced(config, recipes, source, output), keep)
        announce(replaced_sample(output, config.sample), keep)
        write_request(output, RunRequest(config=config.model_dump(mode="json"), folder=str(folder.resolve())))
        _make_sample(config, source, opened)
        deduplicated = deduplicate_on(
            Stages(opened, progress_for(progress)),
            source,
            output / "dedup",
            config.dedup,
            mixed=[recipe.budget or 0 for recipe in recipes] if recipes else None,
            keep=keep,
        )
        stages = Stages(opened, progress_for(progress))
        if recipes:
            mixtures = make_mixtures(
                output / "dedup",
                recipes,
                config.tokens,
                output / "mixtures",
                stages=stages,
                memory=task_bytes(config.dedup),
                format=config.mixtures.format,
                keep=keep,
            )
    summary = RunSummary(
        config=config,
        dedup=deduplicated,
        mixtures=mixtures,
        stages=stages.records,
        peak_memory_bytes=max(deduplicated.peak_memory_bytes, mixtures.peak_memory_bytes),
        seconds=round(time.perf_counter() - began, 3),
    )
    _list_files(output, write_json(output / SUMMARY_FILE, summary.as_dict()), bool(recipes))
    if report:
        try:
            report_of(output)
        except SlimpajamaError as fault:
            LOGGER.warning("the run is done, but its report could not be made: %s", fault)
    return summary


def _replaced(config: RunConfig, recipes: Sequence[Recipe], source: Path, output: Path) -> list[str]:
    """What the deduplication and the mixtures would replace, before either is begun."""
    mixed = mix_request(output / "dedup", recipes, config.tokens, config.mixtures.format)
    return [
        *replaced_dedup(output / "dedup", dedup_request(source, config.dedup)),
        *replaced_mixtures(
            output / "mixtures", recipes, mixed, build=True, stale=stale_mixtures(output / "mixtures", recipes)
        ),
    ]


def _checked(
    config: RunConfig, recipes: Sequence[Recipe], source: Path, output: Path
) -> tuple[list[Recipe], TokenConfig]:
    """The recipes with their sources by the names they will have, if they and the tokenizer can be used after hours of
    deduplication, and the settings of the token store with the columns that they need."""
    refuse_missing_sets(config.dedup)
    check_targets(recipes, output / "mixtures")
    check_packing(recipes, config.tokens)
    of_sample = config.sample is not None and not config.dedup.sources
    names = tuple(REDPAJAMA_SET_NAMES) if of_sample else sources_of(config.dedup, source)
    global_only = "dedup.scope is global, so only globally deduplicated shards are written; set it to both"
    set_names = {one.name: one.set_name for one in config.dedup.sources}
    check_tokenizer(config.tokens, output / "mixtures" / TOKENS_FOLDER)
    check_earlier_holdout(config.tokens, output / "mixtures" / TOKENS_FOLDER)
    global_only = global_only if config.dedup.scope == "global" else ""
    found = checked_recipes(recipes, names, set_names, global_only=global_only)
    return found, with_columns_of(config.tokens, found, names, output / "mixtures" / TOKENS_FOLDER)


def _list_files(output: Path, summary: FileRecord, mixed: bool) -> None:
    """List what lies beside ``dedup`` and ``mixtures``, which have lists of their own."""
    records = [summary, *(own_record(output / name) for name in files_in(output, "sample"))]
    lists = [DedupLayout(output / "dedup").file_list]
    if mixed:
        lists.append(StoreLayout(output / "mixtures" / TOKENS_FOLDER).file_list)
    sealed = [REQUEST, *(relative_name(path, output) for path in lists)]
    write_file_list(output / FILE_LIST, output, records, sealed)


def located(config: RunConfig, folder: Path) -> RunConfig:
    """With earlier runs, evaluation sets and a tokenizer that lie below ``folder``, or here, by absolute paths."""
    dedup = with_places(config.dedup, folder)
    tokens = config.tokens.model_copy(
        update={
            "tokenizer": from_anywhere(config.tokens.tokenizer, folder),
            "holdout_from": from_anywhere(config.tokens.holdout_from, folder),
        }
    )
    return config.model_copy(update={"dedup": dedup, "tokens": tokens})


def source_of(config: RunConfig, folder: Path, output: Path) -> Path:
    """Where the shards are: the input, or the sample in the output."""
    if config.input is None:
        return output / "sample"
    given = path_of(config.input)
    return folder / given if "://" not in config.input else given


def _make_sample(config: RunConfig, folder: Path, engine: Engine) -> None:
    sample = config.sample
    if sample is None:
        return
    from slimpajama.sample import sample_is_there, write_sample

    if not sample_is_there(folder, docs=sample.docs, seed=sample.seed):
        write_sample(folder, docs=sample.docs, seed=sample.seed, engine=engine, progress=_ignore)


def recipes_of(config: MixtureConfig, folder: Path) -> list[Recipe]:
    """The recipes a config names by paths relative to its ``folder``, or as presets. Raises :class:`ConfigError`."""
    overrides = config.model_dump(exclude={"recipes", "format"})
    return [load_recipe(_recipe(folder, path), **overrides) for path in config.recipes]


def _recipe(folder: Path, given: str) -> Path:
    beside = folder / given
    return beside if beside.exists() else recipe_file(Path(given))


def _ignore(size: int) -> None:
    pass
