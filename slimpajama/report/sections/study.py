"""What a study found, where one was made into the folder ``study/`` of an output. Costs reading one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from slimpajama.errors import InputError
from slimpajama.report.figures.base import Figures
from slimpajama.report.figures.study import RESULTS_FILE, StudyFigures
from slimpajama.storage.atomic import read_json

__all__ = ["STUDY_RESULTS", "study", "written_by_study"]

Kind = TypeVar("Kind", bound=Figures)

STUDY_RESULTS = Path("study") / RESULTS_FILE
"""Of an output: what ``slimpajama study --output OUTPUT/study`` writes last."""


def study(root: Path) -> StudyFigures | None:
    """The figures of the study in the output ``root``; ``None`` where there is none.

    Raises :class:`InputError` where another version of the program wrote them.
    """
    return written_by_study(root / STUDY_RESULTS, StudyFigures)


def written_by_study(path: Path, kind: type[Kind]) -> Kind | None:
    """What a study wrote into ``path``; ``None`` and :class:`InputError` as for :func:`study`."""
    content = read_json(path)
    if content is None:
        return None
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as fault:
        raise InputError(
            f"{path} was written by another version of slimpajama or is broken ({fault}); run slimpajama study again "
            "with the same output"
        ) from fault
