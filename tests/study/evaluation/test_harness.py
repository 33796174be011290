import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval")

from slimpajama.study.evaluation.harness import HarnessModel
from slimpajama.study.evaluation.multiple_choice import continuation_loss, read_questions, score_questions
from slimpajama.study.model.configuration import DecoderConfiguration
from slimpajama.study.model.decoder import Decoder
from slimpajama.study.model.files import save_decoder
from tests.study.made_mixtures import VOCABULARY

SHAPE = DecoderConfiguration(vocabulary=VOCABULARY, width=16, layers=1, heads=2, feed_forward=40, base_width=16)


def made_tokenizer(file: Path) -> Path:
    """Of capital letters and the space."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = ["<end>", *(chr(ord("A") + at) for at in range(VOCABULARY - 2)), "\u0120"]
    made = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.save(str(file))
    return file


def test_the_harness_is_answered(tmp_path: Path) -> None:
    model = Decoder(SHAPE, seed=1)
    save_decoder(model, tmp_path)
    asked = HarnessModel(tmp_path, made_tokenizer(tmp_path / "tokenizer.json"))
    [(likelihood, greedy)] = asked.loglikelihood([SimpleNamespace(args=("AB", "C"))])
    with torch.no_grad():
        found = torch.log_softmax(model(torch.tensor([[1, 2]]))[0, -1], 0)
    assert likelihood == pytest.approx(float(found[3]), abs=1e-4)
    assert greedy == (int(found.argmax()) == 3)
    [rolling] = asked.loglikelihood_rolling([SimpleNamespace(args=("AB",))])
    assert rolling < 0
    [text] = asked.generate_until([SimpleNamespace(args=("AB", {"until": ["C"], "max_gen_toks": 5}))])
    assert "C" not in text


TASK = """
task: letters
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
target_delimiter: " "
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""


def test_the_harness_finds_what_the_study_finds_of_the_same_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    drawn = random.Random(1)
    questions: list[dict[str, Any]] = [
        {
            "question": "".join(drawn.choices("ABCDEFGH", k=6)),
            "choices": ["".join(drawn.choices("IJKLMNOP", k=drawn.randint(2, 5))) for _ in range(4)],
            "answer": drawn.randrange(4),
        }
        for _ in range(20)
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(f"{json.dumps(one)}\n" for one in questions))
    (tmp_path / "task.yaml").write_text(TASK.format(file=file))
    model, tokenizer = Decoder(SHAPE, seed=1).eval(), made_tokenizer(tmp_path / "tokenizer.json")
    save_decoder(model, tmp_path)
    asked = HarnessModel(tmp_path, tokenizer)
    found = lm_eval.simple_evaluate(
        model=asked,
        tasks=["letters"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        bootstrap_iters=0,
    )
    right_per_token, tokens = 0, asked.tokens
    samples = sorted(found["samples"]["letters"], key=lambda sample: sample["doc_id"])
    for one, sample in zip(questions, samples, strict=True):
        likelihoods = [answer[0][0] for answer in sample["resps"]]
        for choice, likelihood in zip(one["choices"], likelihoods, strict=True):
            nats, _ = continuation_loss(model, tokens(one["question"]), tokens(f" {choice}"))
            assert likelihood == pytest.approx(-nats, abs=1e-5)
        lengths = [1 + len(choice) for choice in one["choices"]]
        means = [likelihood / length for likelihood, length in zip(likelihoods, lengths, strict=True)]
        right_per_token += means.index(max(means)) == one["answer"]
    [scores] = score_questions(model, read_questions(file), tokenizer)
    assert (scores.questions, scores.right_per_token) == (20, right_per_token)
