"""What a study found, where one was made into the folder ``study/`` of an output. Costs reading one JSON file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from slimpajama.errors import InputError
from slimpajama.report.figures.study import RESULTS_FILE, StudyFigures
from slimpajama.storage.atomic import read_json

__all__ = ["STUDY_RESULTS", "study"]

STUDY_RESULTS = Path("study") / RESULTS_FILE
"""Of an output: what ``slimpajama study --output OUTPUT/study`` writes last."""


def study(root: Path) -> StudyFigures | None:
    """The figures of the study in the output ``root``; ``None`` where there is none.

    Raises :class:`InputError` where another version of the program wrote them.
    """
    content = read_json(root / STUDY_RESULTS)
    if content is None:
        return None
    try:
        return msgspec.convert(content, StudyFigures)
    except msgspec.ValidationError as fault:
        raise InputError(
            f"{root / STUDY_RESULTS} was written by another version of slimpajama or is broken ({fault}); run "
            "slimpajama study again with the same output"
        ) from fault
