import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional

from slimpajama.errors import ConfigError, InputError
from slimpajama.study.evaluation.multiple_choice import (
    Question,
    continuation_loss,
    read_questions,
    score_questions,
)
from slimpajama.study.evaluation.rrgs import rrgs
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder

WORDS = ["a", "b", "c", "long", "wrong", "right", "?"]
SHAPE = DecoderConfiguration(vocabulary=len(WORDS), width=8, layers=1, heads=1, feed_forward=8, base_width=8)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.25] * 4, 1.0),
        ([1.0, 1.0], 0.25),
        ([0.0, 0.0], 0.75),
        ([0.2, 0.3], 0.95),
        ([0.27, 0.22, 0.31, 0.25], 0.9725),
        ([0.5], 0.75),
        ([0.262] * 57, 0.988),
        ([0.18 + 0.0025 * at for at in range(57)], 0.9643859649122807),
    ],
)
def test_rrgs_of_the_worked_cases(scores: list[float], expected: float) -> None:
    assert rrgs(scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scores", [[], [26.5], [-0.1, 0.3]])
def test_rrgs_refuses_what_are_no_fractions(scores: list[float]) -> None:
    with pytest.raises(ConfigError):
        rrgs(scores)


def test_the_loss_of_a_continuation_is_summed_over_its_tokens() -> None:
    model = Decoder(SHAPE, seed=1)
    row = torch.tensor([0, 1, 2, 3, 4])
    with torch.no_grad():
        losses = functional.cross_entropy(model(row[None, :-1])[0], row[1:], reduction="none")
        likeliest = bool((model(row[None, :-1])[0, 2:].argmax(-1) == row[3:]).all())
    nats, greedy = continuation_loss(model, [0, 1, 2], [3, 4])
    assert nats == pytest.approx(float(losses[2:].sum()), rel=1e-5)
    assert greedy is likeliest


class Fixed(Decoder):
    """A model that gives each token the same logits everywhere."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__(SHAPE)
        with torch.no_grad():
            self.embedding.weight.zero_()
            self.embedding.weight[:, 0] = torch.tensor(logits)
            self.norm.weight.zero_()
            self.norm.bias.copy_(torch.eye(8)[0] / SHAPE.output_scale)


def test_answers_are_compared_a_token_and_a_byte(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="?"))  # noqa: S106 - a word
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    model = Fixed([0.0, 0.0, 0.0, 1.0, -1.0, 0.8, -5.0])
    questions = (
        Question("a", ("wrong", "right"), 1, "easy"),
        # A token, "a" is likelier than "wrong"; a byte, " wrong" is: its loss is shared by six bytes, not two.
        Question("b", ("wrong", "a"), 1, "bytes"),
        Question("b", ("long", "wrong", "a", "b"), 0, "easy"),
    )
    scores = score_questions(model, questions, tmp_path / "tokenizer.json")
    found = [(one.group, one.questions, one.right_per_token, one.right_per_byte, one.chance) for one in scores]
    assert found == [("easy", 2, 2, 2, 0.75), ("bytes", 1, 1, 0, 0.5)]


def test_questions_are_read_from_a_folder_and_grouped_by_file(tmp_path: Path) -> None:
    row = {"question": "1 + 1 =", "choices": ["1", "2"], "answer": 1}
    (tmp_path / "sums.jsonl").write_text(json.dumps(row) + "\n\n")
    (tmp_path / "more.jsonl").write_text(json.dumps({**row, "group": "named"}))
    assert [one.group for one in read_questions(tmp_path)] == ["named", "sums"]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "x", "choices": ["1", "2"], "answer": 2},
        {"question": "x", "choices": ["1"], "answer": 0},
        {"question": "", "choices": ["1", "2"], "answer": 0},
        {"question": "x", "choices": ["1", "2"]},
        {"question": "x", "choices": ["1", "2"], "answer": 0, "subject": "sums"},
    ],
)
def test_a_broken_question_is_named_with_its_line(tmp_path: Path, row: dict[str, object]) -> None:
    (tmp_path / "q.jsonl").write_text(
        json.dumps({"question": "x", "choices": ["1", "2"], "answer": 1}) + "\n" + json.dumps(row)
    )
    with pytest.raises(InputError, match=r"q\.jsonl, line 2"):
        read_questions(tmp_path / "q.jsonl")
