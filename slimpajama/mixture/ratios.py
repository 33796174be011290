"""``ratios.csv``: the finished mixtures of an output, one a row, as regressions on mixtures read them.

The columns are those of Olmix: ``run``, ``name``, ``index``, and one for each source with the fraction of the sequences
that a mixture has of it, as it was built and not only as it was asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from slimpajama.mixture.manifest import MixtureManifest

__all__ = ["RATIOS_FILE", "ratios_table"]

RATIOS_FILE = "ratios.csv"


def ratios_table(mixtures: Mapping[str, MixtureManifest], sources: Sequence[str]) -> str:
    """The text of the file. ``mixtures``: by name; ``sources``: in the order of their columns."""
    fractions = {
        name: {source.source: source.sequences / manifest.plan.sequences for source in manifest.plan.sources}
        for name, manifest in mixtures.items()
    }
    there = dict.fromkeys([*sources, *(part for own in fractions.values() for part in own)])
    columns = [source for source in there if any(own.get(source) for own in fractions.values())]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["run", "name", "index", *columns])
    for number, (name, own) in enumerate(fractions.items()):
        rows.writerow([name, name, number, *(repr(own.get(source, 0.0)) for source in columns)])
    return text.getvalue()
