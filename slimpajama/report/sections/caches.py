"""What was measured of caches, where ``slimpajama study`` did so in the folder ``study/`` of an output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slimpajama.report.figures.kvcache import CACHES_FILE, CacheResults, NoisePoint, mean_and_spread
from slimpajama.report.sections.study import written_by_study

__all__ = ["STUDY_CACHES", "caches", "noise_rows"]

STUDY_CACHES = Path("study") / CACHES_FILE
"""Of an output: what ``slimpajama study --output OUTPUT/study`` with ``cache: true`` writes last."""


def caches(root: Path) -> CacheResults | None:
    """The figures in the output ``root``; ``None`` where there are none.

    Raises :class:`~slimpajama.InputError` where another version of the program wrote them.
    """
    return written_by_study(root / STUDY_CACHES, CacheResults)


def noise_rows(noise: Sequence[NoisePoint]) -> list[list[str]]:
    """A kind of noise in each row, a task and budget in each column: loss above full attention, mean and spread."""
    columns = list(dict.fromkeys((point.task, point.share) for point in noise))
    rows = [["noise", *(f"{task}, {share:.0%}" for task, share in columns)]]
    for kind, fresh in dict.fromkeys((point.kind, point.fresh) for point in noise):
        row = [f"{kind}, fresh" if fresh else kind]
        for task, share in columns:
            wanted = (kind, fresh, task, share)
            found = [one for one in noise if (one.kind, one.fresh, one.task, one.share) == wanted]
            mean, spread = mean_and_spread([point.loss - point.full_loss for point in found])
            row.append(f"{mean:.4f} ± {spread:.4f}")
        rows.append(row)
    return rows
