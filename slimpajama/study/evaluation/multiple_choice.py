"""Multiple choice by likelihood: the answer that the model finds most likely after the question.

Answers are compared in two ways, as longer ones are less likely: by the loss a token, and by the loss a byte. Questions
are lines of JSON with the fields ``question``, ``choices``, ``answer`` (a number, from 0) and ``group`` (such as a
subject of MMLU; by default the name of the file). A choice is scored as it would be read: after the question and a
space. One forward pass is made for each choice; the shared question is not cached, as questions are short here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from slimpajama.engine.heartbeat import beat
from slimpajama.errors import InputError
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.training.token_losses import token_losses

__all__ = ["ChoiceScores", "Question", "continuation_loss", "read_questions", "refusal_of", "score_questions"]


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question; ``answer``: the number of the right one of ``choices``."""

    question: str
    choices: tuple[str, ...]
    answer: int
    group: str = ""


@dataclass(frozen=True, slots=True)
class ChoiceScores:
    """Of a group of questions: how many there are, and how many were answered right by the loss a token and a byte.

    ``task``: the set that the group is a part of; ``chance``: how many would be right by guessing, on average."""

    task: str
    group: str
    questions: int
    right_per_token: int
    right_per_byte: int
    chance: float


def refusal_of(one: Question) -> str | None:
    """Why a question cannot be asked, if it cannot."""
    if 0 <= one.answer < len(one.choices) and len(one.choices) >= 2 and all((one.question, *one.choices)):
        return None
    return (
        f"answer {one.answer} of {len(one.choices)} choices; a question has two choices or more, no text of it is "
        "empty, and its answer is the number of a choice, from 0"
    )


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a JSONL file, or of all ``*.jsonl`` files of a folder.

    Raises :class:`~slimpajama.InputError` naming the file and the line.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    found: list[Question] = []
    for file in files:
        try:
            lines = file.read_bytes().splitlines()
        except OSError as fault:
            raise InputError(f"cannot read the questions {file}: {fault.strerror}") from fault
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                one = msgspec.json.decode(line, type=Question)
            except msgspec.MsgspecError as fault:
                raise InputError(
                    f"{file}, line {number}, is no question: {fault}; write question, choices, answer and group"
                ) from fault
            refusal = refusal_of(one)
            if refusal is not None:
                raise InputError(f"{file}, line {number}: {refusal}")
            found.append(one if one.group else msgspec.structs.replace(one, group=file.stem))
    if not found:
        raise InputError(f"there is no question in {path}; give a JSONL file, or a folder with *.jsonl files")
    return tuple(found)


def continuation_loss(
    model: Decoder, context: Sequence[int], continuation: Sequence[int], device: torch.device | str = "cpu"
) -> tuple[float, bool]:
    """The summed loss in nats of the tokens ``continuation`` after ``context``, which has at least one token, and
    whether each of them is the likeliest."""
    row = torch.tensor([[*context, *continuation]], device=device)
    labels = row[0, 1:].clone()
    labels[: len(context) - 1] = -1
    with torch.no_grad():
        hidden = model.hidden(row[:, :-1])[0]
        losses = token_losses(hidden, model.embedding.weight, labels, model.configuration.output_scale)
        likeliest = model.logits(hidden[len(context) - 1 :]).argmax(-1)
    return float(losses.double().sum()), bool((likeliest == labels[len(context) - 1 :]).all())


def score_questions(
    model: Decoder, questions: Sequence[Question], tokenizer: Path, device: torch.device | str = "cpu", task: str = ""
) -> tuple[ChoiceScores, ...]:
    """The scores of each group of ``task``, in the order in which groups first occur."""
    if not questions:
        return ()
    from tokenizers import Tokenizer

    tokens = Tokenizer.from_file(str(tokenizer))
    groups: dict[str, list[tuple[bool, bool, float]]] = {}
    for one in questions:
        context = tokens.encode(one.question, add_special_tokens=False).ids
        per_token, per_byte = [], []
        for choice in one.choices:
            text = f" {choice}"
            ids = tokens.encode(text, add_special_tokens=False).ids
            nats, _ = continuation_loss(model, context, ids, device)
            per_token.append(nats / len(ids))
            per_byte.append(nats / len(text.encode()))
        right = (
            per_token.index(min(per_token)) == one.answer,
            per_byte.index(min(per_byte)) == one.answer,
            1 / len(one.choices),
        )
        groups.setdefault(one.group, []).append(right)
        beat()
    return tuple(
        ChoiceScores(
            task=task,
            group=group,
            questions=len(rows),
            right_per_token=sum(row[0] for row in rows),
            right_per_byte=sum(row[1] for row in rows),
            chance=sum(row[2] for row in rows),
        )
        for group, rows in groups.items()
    )
