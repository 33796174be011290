"""Mixtures for callers: recipes by name, file or object, and the machine to work on, in one function.

The command ``slimpajama mix`` and Python users call the same :func:`mix`. What it does is in
:mod:`slimpajama.pipeline.mix`; here is only what turns names and settings into what that takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slimpajama.config.dedup import load_config
from slimpajama.config.loading import read_yaml, with_settings
from slimpajama.config.presets import recipe_file
from slimpajama.config.ratios import recipes_of_ratios
from slimpajama.config.recipe import Recipe
from slimpajama.config.recipe import load_recipe as read_recipe
from slimpajama.config.refusals import kind_of
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.choice import EngineChoice
from slimpajama.engine.resources import task_bytes
from slimpajama.errors import ConfigError
from slimpajama.pipeline.mix import Mixtures, make_mixtures
from slimpajama.stages.progress import Progress, progress_for
from slimpajama.stages.runner import Stages
from slimpajama.storage.paths import path_of

__all__ = ["load_ratios", "load_recipe", "mix"]


def load_recipe(recipe: str | Path, **overrides: Any) -> Recipe:
    """The recipe of a YAML file or of a preset such as ``"dc-6"``.

    ``overrides``: fields of :class:`~slimpajama.Recipe` to use instead of the file's; ``None`` keeps the file's. Raises
    :class:`~slimpajama.ConfigError`.
    """
    return read_recipe(recipe_file(Path(recipe)), **overrides)


def load_ratios(file: str | Path, recipe: str | Path | None = None, **overrides: Any) -> list[Recipe]:
    """The recipe of each row of a CSV of ratios: ``run,name,index`` and a column of weights for each source.

    ``recipe``: a YAML file without weights, for what all rows have in common. ``overrides``: as of :func:`load_recipe`.
    Raises :class:`~slimpajama.ConfigError` with every problem there is, each with its row.
    """
    values = read_yaml(Path(recipe), "recipe") if recipe is not None else {}
    if not isinstance(values, dict):
        raise ConfigError(f"{recipe} holds {kind_of(values)}; it must be a mapping of settings to values")
    values |= {key: value for key, value in overrides.items() if value is not None}
    return recipes_of_ratios(Path(file), values, str(recipe or "options"))


def mix(
    dedup_output: str | Path,
    output: str | Path,
    recipes: Recipe | str | Path | Sequence[Recipe | str | Path],
    config: TokenConfig | None = None,
    *,
    format: str = "parquet",
    dry_run: bool = False,
    keep: bool = False,
    workers: int | None = None,
    memory: int | str | None = None,
    progress: bool | Progress = False,
    engine: EngineChoice | None = None,
    **settings: Any,
) -> Mixtures:
    """Build a mixture of a finished deduplication for each recipe: ``output/<recipe>``.

    Documents are tokenised once, into ``output/tokens``; later calls with the same settings use that store.

    ``recipes``: a recipe, a YAML file, the name of a preset, or several of them. ``settings``: fields of
    :class:`~slimpajama.TokenConfig`, over those of ``config``. ``format``: ``"parquet"``, ``"megatron"``,
    ``"olmo"``, ``"nanotron"``, ``"nanogpt"`` or ``"mds"``.
    ``dry_run``: make the token store and the plans, but no mixture. ``keep``: do not replace finished results of other
    settings, but raise :class:`~slimpajama.OutputError`. ``workers`` and ``memory`` (bytes or ``"8GiB"``): for this
    call. Raises :class:`~slimpajama.SlimpajamaError` of the kind that applies.
    """
    several = [recipes] if isinstance(recipes, (Recipe, str, Path)) else recipes
    loaded = [recipe if isinstance(recipe, Recipe) else load_recipe(recipe) for recipe in several]
    chosen = with_settings(TokenConfig, config, settings)
    machine = load_config(workers=workers, memory=memory)
    with (engine or EngineChoice()).opened(machine) as opened:
        return make_mixtures(
            path_of(dedup_output),
            loaded,
            chosen,
            path_of(output),
            stages=Stages(opened, progress_for(progress)),
            memory=task_bytes(machine),
            format=format,
            dry_run=dry_run,
            keep=keep,
        )
