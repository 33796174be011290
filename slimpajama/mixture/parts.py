"""What a recipe takes of a source or of a part of it, and whether the token store has such a part.

A part by value is the documents that have it in the column that ``split_by`` names; ``(rest)`` those whose value no
other part of the recipe names, whatever its weight. Costs nothing until a part has to be refused: then the values that
there are come from the summary of the store.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from slimpajama.config.part import REST, part_of, ranges_of
from slimpajama.config.recipe import Recipe
from slimpajama.config.refusals import shown
from slimpajama.errors import ConfigError
from slimpajama.mixture.train_windows import TrainStream
from slimpajama.tokens.columns import LIST, LONGEST_SHOWN, NONE, OBJECT, is_whole, value_hash
from slimpajama.tokens.layout import StoreLayout
from slimpajama.tokens.selection import Selection, Where
from slimpajama.tokens.store import TokenStore
from slimpajama.tokens.summary import ColumnValue, read_token_summary

__all__ = ["check_seen", "check_split", "check_values", "selection_of", "train_stream", "values_text"]

MOST_SHOWN = 8
"""Values of a column that a line lists."""


def selection_of(recipe: Recipe, name: str) -> Selection:
    """What a recipe takes of a source or a part of one."""
    repeats = ranges_of(recipe.repeat.buckets) if recipe.repeat else ()
    part = part_of(name)
    where = None
    if part.value is not None:
        values = (part.value,) if part.value != REST else _values_named(recipe, part.source)
        where = Where(recipe.split_by[part.source], values, part.value == REST)
    return Selection(recipe.scope, part.duplicates, repeats, where)


def train_stream(recipe: Recipe, name: str) -> TrainStream:
    """What a recipe reads of a source or a part of one."""
    selection = selection_of(recipe, name)
    return TrainStream(part_of(name).source, selection, recipe.seed, recipe.tokens_per_sequence)


def _values_named(recipe: Recipe, source: str) -> tuple[str, ...]:
    values = {part.value for part in map(part_of, recipe.all_names) if part.source == source and part.value}
    return tuple(sorted(values - {REST}))


def check_split(recipe: Recipe) -> None:
    """Raise :class:`ConfigError` for a part by value whose source is not split, and a split that no part needs.

    A part of weight 0 gives nothing, so its source need not be split.
    """
    split, named = set(), set(recipe.sources_named)
    for name in recipe.all_names:
        part = part_of(name)
        if part.value is None:
            continue
        split.add(part.source)
        if part.source not in recipe.split_by and name in named:
            raise ConfigError(
                f"{recipe.name} asks for {name!r}, a part of {part.source}, and split_by does not say by which column; "
                f"add for example split_by: {{{part.source}: meta.language}}"
            )
    idle = next((source for source in recipe.split_by if source not in split), None)
    if idle is not None:
        raise ConfigError(
            f"{recipe.name} splits {idle!r} by {recipe.split_by[idle]}, and names no part of it; name some, such as "
            f"{idle}/VALUE, or leave it out of split_by"
        )


def check_values(recipe: Recipe, names: Iterable[str], store: TokenStore) -> None:
    """Raise :class:`ConfigError` for a part of a value that no document of the source has."""
    for name, source, value in _by_value(names):
        column = recipe.split_by[source]
        values = _values(store.layout, store.fingerprint).get((source, column))
        if values is None or any(one.hash == f"{value_hash(value):016x}" for one in values):
            continue
        there = values_text(values, recipe.scope) or "none"
        raise _no_part(recipe, name, value, there, [one.value for one in values])


def check_seen(recipe: Recipe, seen: Mapping[tuple[str, str], Mapping[int, str]]) -> None:
    """As :func:`check_values`, before there is a store, so that none is made for a recipe that cannot be met.

    ``seen``: by source and column, the values of all documents as they can be shown, by their hashes.
    """
    for name, source, value in _by_value(recipe.sources_named):
        values = seen.get((source, recipe.split_by[source]), {})
        if value_hash(value) not in values:
            known = sorted(values.values())
            more = f" and {len(known) - MOST_SHOWN:,} more" if len(known) > MOST_SHOWN else ""
            there = ", ".join(map(_plain, known[:MOST_SHOWN])) + more or "none"
            raise _no_part(recipe, name, value, there, known)


def _by_value(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Of names of parts by a value, the name, its source and the value."""
    for name in names:
        part = part_of(name)
        if part.value is not None and part.value != REST:
            yield name, part.source, part.value


def _no_part(recipe: Recipe, name: str, value: str, there: str, known: Sequence[str]) -> ConfigError:
    source = part_of(name).source
    column = recipe.split_by[source]
    return ConfigError(
        f"{recipe.name} asks for {name!r}, but {source} has no part {shown(value)}; its values of {column} are "
        f"{there}: {_remedy(value, column, known)}"
    )


@lru_cache(maxsize=1)
def _values(layout: StoreLayout, fingerprint: str) -> dict[tuple[str, str], tuple[ColumnValue, ...]]:
    """By source and column, the values that the summary of a store has; a swarm of recipes asks for them again."""
    summary = read_token_summary(layout)
    sources = summary.sources if summary else {}
    return {(name, column): values for name, own in sources.items() for column, values in own.columns.items()}


def _remedy(value: str, column: str, values: Iterable[str]) -> str:
    known = {one.casefold(): one for one in values}
    if known.keys() <= {NONE}:
        return "no document has this field; correct split_by"
    can_be_named = [folded for folded, one in known.items() if is_whole(one) and one != REST and one[-1:] != "]"]
    near = difflib.get_close_matches(value[:LONGEST_SHOWN].casefold(), can_be_named, n=1)
    if near:
        return f"write {shown(known[near[0]])} if you mean that, or leave it out"
    if known.keys() <= {LIST, NONE}:
        return f"name an element of the list, as {column}.0, or another column"
    if known.keys() <= {OBJECT, NONE}:
        return f"name a member of the object, as {column}.name, or another column"
    return "name one of these, or leave it out"


def values_text(values: Iterable[ColumnValue], scope: str) -> str:
    """The values of a column in a line, those with the most training tokens of a scope first, with their shares."""
    ordered = sorted(values, key=lambda one: -one.tokens.of(scope))
    total = max(1, sum(one.tokens.of(scope) for one in ordered))
    said = [f"{_plain(one.value)} ({100 * one.tokens.of(scope) / total:.3g} %)" for one in ordered[:MOST_SHOWN]]
    more = len(ordered) - len(said)
    return ", ".join(said) + (f" and {more:,} more" if more else "")


def _plain(value: str) -> str:
    """A value in a sentence: in quotes where it could be taken for more than one."""
    return value if value.isprintable() and not set(value) & set(",'\"") and len(value) < 40 else shown(value)
