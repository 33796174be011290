"""A swarm: many small runs, one on each mixture of a table, written as regressions on mixtures read them.

``ratios.csv`` has what each mixture holds of each source, as it was built; ``metrics.csv`` what its model loses on each
source, in bits a byte. Both have the columns ``run``, ``name`` and ``index``, as the published swarms of Olmix have, so
that RegMix, Olmix and the like can be fitted to them. Where there are several seeds, metrics are means over them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimpajama.config.ratios import recipes_of_ratios
from slimpajama.config.recipe import Recipe
from slimpajama.errors import ConfigError
from slimpajama.mixture.manifest import read_mixture_manifest
from slimpajama.mixture.ratios import RATIOS_FILE, ratios_table
from slimpajama.report.figures.study import StudyFigures
from slimpajama.storage.atomic import atomic_file
from slimpajama.study.matrix import StudyPlan

__all__ = ["METRICS_FILE", "check_swarm", "swarm_names", "write_swarm"]

METRICS_FILE = "metrics.csv"

TOLERANCE = 0.002
"""Of a share; tables are rounded."""


def swarm_names(ratios: Path) -> tuple[str, ...]:
    """The mixtures that the rows of ``ratios`` describe; ``slimpajama mix --ratios`` builds them under these names."""
    return tuple(recipe.name for recipe in _recipes(ratios))


def check_swarm(ratios: Path, plan: StudyPlan) -> None:
    """Raise :class:`~slimpajama.ConfigError` where a mixture was built of other weights than its row has."""
    folders = {spec.mixture: Path(spec.mixture_folder) for spec in plan.specs}
    for recipe in _recipes(ratios):
        built = _shares(read_mixture_manifest(folders[recipe.name]).recipe.get("weights"))
        asked = _shares(recipe.weights)
        differ = [name for name in sorted({*built, *asked}) if abs(built.get(name, 0) - asked.get(name, 0)) > TOLERANCE]
        if differ:
            name = differ[0]
            raise ConfigError(
                f"{ratios} gives {asked.get(name, 0):.4g} of {name!r} to {recipe.name}, and the mixture in "
                f"{folders[recipe.name]} was built with {built.get(name, 0):.4g}; build it anew with slimpajama mix "
                "--ratios, or give the table that it was built from"
            )


def _recipes(ratios: Path) -> list[Recipe]:
    return recipes_of_ratios(ratios, {"tokens": "1M", "sequence_length": 2048})


def _shares(weights: object) -> dict[str, float]:
    """The weights of a recipe, summing to 1; none for those that have none."""
    found = {str(name): float(weight) for name, weight in weights.items()} if isinstance(weights, Mapping) else {}
    return {name: weight / sum(found.values()) for name, weight in found.items()}


def write_swarm(output: Path, plan: StudyPlan, figures: StudyFigures) -> None:
    """Write both tables into ``output``; sizes of models beyond the first have metrics in columns of their own."""
    folders = {spec.mixture: Path(spec.mixture_folder) for spec in plan.specs}
    manifests = {name: read_mixture_manifest(folders[name]) for name in figures.mixtures}
    _write(output / RATIOS_FILE, ratios_table(manifests, figures.sources))
    _write(output / METRICS_FILE, _metrics(figures))


def _metrics(figures: StudyFigures) -> str:
    bits = {(cell.mixture, cell.model, cell.source): cell.bits for cell in figures.cells}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    prefixes = ["" if model == figures.models[0] else f"{model}/" for model in figures.models]
    rows.writerow(["run", "name", "index", *_columns(prefixes, figures.sources)])
    for number, mixture in enumerate(figures.mixtures):
        values = [repr(bits[mixture, model, source]) for model in figures.models for source in figures.sources]
        rows.writerow([mixture, mixture, number, *values])
    return text.getvalue()


def _columns(prefixes: Sequence[str], sources: Sequence[str]) -> list[str]:
    return [f"{prefix}{source}_bits_per_byte" for prefix in prefixes for source in sources]


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as file:
        file.write(text.encode())
