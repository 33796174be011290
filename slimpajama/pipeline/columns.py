"""The metadata columns of a token store: those that are asked for, those that recipes split by, and those it has.

So a recipe that splits a source needs no second setting, and one that does not split it leaves the store as it is: a
store is made anew only where a column is wanted that it does not have. Who wants a store without a column removes it.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Sequence
from pathlib import Path

from slimpajama.config.column import MetadataColumn, column, columns_of
from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.config.source_names import source_named
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError, InputError
from slimpajama.tokens.store import open_store

__all__ = ["with_columns_of"]


def with_columns_of(config: TokenConfig, recipes: Sequence[Recipe], sources: Sequence[str], store: Path) -> TokenConfig:
    """``config`` with the columns that ``recipes`` need, by the names that ``sources`` have, and those of the token
    ``store``, if there is one.

    Raises :class:`ConfigError` for a column of a source that there is not.
    """
    asked = [_found(column(one), sources) for one in config.columns]
    asked += [MetadataColumn(source, path) for recipe in recipes for source, path in recipe.split_by.items()]
    with contextlib.suppress(InputError):  # there may be none yet
        there = open_store(store)
        asked += [MetadataColumn(source, path) for source in there.sources for path in there.columns(source)]
    wanted = [str(one) for one in asked]
    # The same for any order of recipes, and in a store that has some of them already.
    named = [f"{source}:{path}" for source in sources for path in sorted(columns_of(wanted, source))]
    return checked(TokenConfig, {**config.model_dump(), "columns": named}, "columns and split_by") if named else config


def _found(one: MetadataColumn, sources: Sequence[str]) -> MetadataColumn:
    if not one.source:
        return one
    source = source_named(one.source, sources)
    if source is None:
        near = difflib.get_close_matches(one.source, sources, n=1)
        raise ConfigError(
            f"tokens.columns has {str(one)!r}, but there is no source {one.source!r}; there are {', '.join(sources)}: "
            + (f"write {near[0]}:{one.path} if you mean that, or " if near else "")
            + "leave it out"
        )
    return MetadataColumn(source, one.path)
