"""A table of mixtures, one a row: what a swarm of RegMix or Olmix is sampled as, read as recipes.

The columns ``run``, ``name`` and ``index`` say what a row is called, and every other one is a source with its weights;
all else (budget, sequence length …) is the same for all rows and comes from a recipe without weights. Every problem is
found and named with its row before any work starts. A row costs a fraction of a millisecond.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from slimpajama.config.loading import checked
from slimpajama.config.recipe import Recipe
from slimpajama.config.refusals import shown
from slimpajama.errors import ConfigError

__all__ = ["recipes_of_ratios"]

LABELS = ("run", "name", "index")
GIVES = ("weights", "rule", "sources", "epochs", "phases")
MOST_SHOWN = 10
"""Problems that a message lists."""


def recipes_of_ratios(file: Path, common: Mapping[str, object], origin: str = "options") -> list[Recipe]:
    """The recipe of each row of the CSV ``file``.

    ``common``: settings of all of them, from ``origin``; their ``name`` begins the names of rows that have none. Raises
    :class:`ConfigError` with all problems there are, each with its row.
    """
    given = [name for name in GIVES if common.get(name)]
    if given:
        raise ConfigError(
            f"{origin} has {' and '.join(given)}, and so has each row of {file}; leave {given[0]} out of {origin}"
        )
    heading, rows = _read(file)
    recipes: list[Recipe] = []
    problems: list[str] = []
    rows_of_names: dict[str, int] = {}
    for number, cells in enumerate(rows, start=1):
        try:
            recipe = _recipe(heading, cells, number, common)
        except (ConfigError, ValueError) as fault:
            problems.append(f"row {number}: {fault}")
            continue
        if recipe.name in rows_of_names:
            problems.append(f"row {number}: its name {recipe.name!r} is that of row {rows_of_names[recipe.name]}, too")
        rows_of_names.setdefault(recipe.name, number)
        recipes.append(recipe)
    if problems:
        more = f"; and {len(problems) - MOST_SHOWN:,} more rows" if len(problems) > MOST_SHOWN else ""
        raise ConfigError(f"{file}: {'; '.join(problems[:MOST_SHOWN])}{more}; correct the table")
    return recipes


def _read(file: Path) -> tuple[list[str], list[list[str]]]:
    """The heading and the rows."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in csv.reader(stream) if line]
    except OSError as fault:
        raise ConfigError(f"cannot read the ratios {file}: {fault.strerror}") from fault
    except (UnicodeDecodeError, csv.Error) as fault:
        raise ConfigError(f"{file} is not CSV: {fault}; write one mixture a row below a heading") from fault
    heading = [name.strip() for name in lines[0]] if lines else []
    columns = [name for name in heading if name not in LABELS]
    if not columns or len(lines) < 2:
        raise ConfigError(
            f"{file} has no mixture; write a heading of run, name, index and the sources, then one mixture a row"
        )
    twice = next((name for name in heading if heading.count(name) > 1), None)
    if twice is not None or "" in heading:
        what = f"two columns named {twice!r}" if twice else "a column without a name"
        raise ConfigError(f"{file} has {what}; each column needs a name of its own")
    return heading, lines[1:]


def _recipe(heading: list[str], cells: list[str], number: int, common: Mapping[str, object]) -> Recipe:
    if len(cells) != len(heading):
        raise ValueError(f"it has {len(cells)} cells, and the heading has {len(heading)}")
    row = dict(zip(heading, (cell.strip() for cell in cells), strict=True))
    labels = {name: row.pop(name, "") for name in LABELS}
    weights = {}
    for source, cell in row.items():
        try:
            weights[source] = float(cell)
        except ValueError:
            raise ValueError(f"{shown(cell)} in column {source!r} is no number; write 0 for nothing") from None
    base = str(common.get("name", "mixture"))
    name = labels["name"] or (f"{base}-{labels['index'] or f'{number - 1:04d}'}")
    values = {**common, "name": name, "weights": weights}
    try:
        return checked(Recipe, values, name)
    except ConfigError as fault:
        raise ValueError(str(fault).removeprefix(f"{name}: ").removeprefix("settings: ")) from fault
