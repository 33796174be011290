"""What can be known before work starts is checked here: recipes against sources and scopes, names, the tokenizer.

A run reads its input for hours before a recipe or a tokenizer is needed, so a slip in one of them must not wait until
then. Costs a listing of the input, if the config does not name the sources, and a parse of the tokenizer, if one is
given. What cannot be known yet (how many tokens a source has) is left to the plan of the mixture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimpajama.config.dedup import Config
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.corpus.discovery import discover
from slimpajama.errors import ConfigError, OutputError
from slimpajama.mixture.layout import HOLDOUT_FOLDER, MixtureLayout
from slimpajama.mixture.plan import with_found_names
from slimpajama.mixture.ratios import RATIOS_FILE
from slimpajama.pipeline.report import REPORT_FOLDER
from slimpajama.storage.atomic import read_json
from slimpajama.tokens.earlier_holdout import earlier_holdout
from slimpajama.tokens.holdout import read_held_out
from slimpajama.tokens.layout import TOKENS_FOLDER, StoreLayout
from slimpajama.tokens.tokenizer import END_OF_TEXT, declared_beside, fetch_tokenizer, load_tokenizer, local_file

__all__ = [
    "check_earlier_holdout",
    "check_packing",
    "check_targets",
    "check_tokenizer",
    "checked_recipes",
    "sources_of",
]

TAKEN = {
    TOKENS_FOLDER: "the token store lies",
    HOLDOUT_FOLDER: "what is held out lies",
    RATIOS_FILE: "the ratios of all mixtures stand",
    REPORT_FOLDER: "the report lies",
}
"""Names in an output of mixtures that no recipe can have."""


def sources_of(config: Config, input: Path) -> tuple[str, ...]:
    """The names of the sources that a deduplication of ``input`` will have. Raises what :func:`discover` raises."""
    sources = config.sources or discover(input, (), config.piece_bytes, layout=config.layout).sources
    return tuple(source.name for source in sources)


def checked_recipes(
    recipes: Sequence[Recipe],
    sources: Sequence[str],
    set_names: Mapping[str, str] | None = None,
    *,
    global_only: str = "",
) -> list[Recipe]:
    """The recipes with their sources by the names they have among ``sources``.

    ``set_names``: what records call a source, by its name. ``global_only``: where only globally deduplicated shards are
    written, who says so and what to do. Raises :class:`ConfigError` for a recipe that asks for a source or a scope that
    there is not.
    """
    found = [with_found_names(recipe, sources, set_names) for recipe in recipes]
    for recipe in found:
        if recipe.scope == "local" and global_only:
            raise ConfigError(f"{recipe.name} asks for the local scope, but {global_only}")
    return found


def check_targets(recipes: Sequence[Recipe], output: Path) -> None:
    """Raise where a recipe cannot have the folder ``output/<name>`` for itself."""
    names = [recipe.name for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two recipes are named {name!r}; each needs a folder of its own")
        if name in TAKEN:
            raise ConfigError(f"a recipe cannot be named {name!r}: that is where {TAKEN[name]}; rename it")
        if MixtureLayout(output / name).is_foreign:
            raise OutputError(
                f"{output / name} is there already and is no mixture; rename the recipe {name!r}, or choose another "
                "output"
            )


def check_packing(recipes: Sequence[Recipe], config: TokenConfig) -> None:
    """Raise :class:`ConfigError` for a recipe whose documents the token store would cut although they fit."""
    for recipe in recipes:
        length = recipe.tokens_per_sequence
        if recipe.packing == "best-fit" and config.piece_tokens % length:
            raise ConfigError(
                f"{recipe.name} asks for best-fit packing of {length:,} tokens, but the token store cuts documents "
                f"into pieces of {config.piece_tokens:,}: set tokens.piece_tokens to {length} or a multiple of it, or "
                "packing to concat"
            )


def check_tokenizer(config: TokenConfig, store: Path) -> None:
    """Raise :class:`ConfigError` for a tokenizer that is not there, does not load or does not have its end of text.

    A name on the hub that the ``store`` was made with was good once, so the hub is not asked again.
    """
    if config.tokenizer is None:
        if config.end_of_text not in (None, END_OF_TEXT[0]):
            raise ConfigError(
                f"tokens.end_of_text is {config.end_of_text!r}, but a tokenizer trained on the corpus has "
                f"{END_OF_TEXT[0]} alone; leave it out, or give a tokenizer"
            )
        if config.bos or config.post_processor:
            raise ConfigError(
                f"tokens.{'bos' if config.bos else 'post_processor'} is {config.bos or config.post_processor!r}, but a "
                f"tokenizer trained on the corpus has {END_OF_TEXT[0]} alone; leave it out, or give a tokenizer"
            )
        return
    path = local_file(config.tokenizer)
    if path is not None:
        load_tokenizer(path, config.end_of_text, declared_beside(path), config.bos, config.post_processor)
        return
    summary = read_json(StoreLayout(store).summary)
    if isinstance(summary, dict) and summary.get("tokenizer", {}).get("name") == config.tokenizer:
        return
    with tempfile.TemporaryDirectory(prefix="slimpajama-tokenizer-") as scratch:
        target = Path(scratch) / "tokenizer.json"
        declared = fetch_tokenizer(config.tokenizer, target)
        load_tokenizer(target, config.end_of_text, declared, config.bos, config.post_processor)


def check_earlier_holdout(config: TokenConfig, store: Path) -> None:
    """Raise where the holdout that is to be taken over is not there, not readable, or that of ``store`` itself."""
    if config.holdout_from is not None:
        read_held_out(earlier_holdout(config.holdout_from, store))
