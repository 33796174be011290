"""The command: what it prints, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from slimpajama.cli.main import app
from tests.study.compression.test_measured_texts import lines
from tests.study.compression.tiny_models import save_model, save_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("measure")
    save_model("gpt2", made / "model")
    save_tokenizer(made / "model")
    lines(made / "texts" / "arxiv.jsonl", "the quick brown fox", "lazy dogs over and over", field="body")
    lines(made / "texts" / "books.jsonl", "jumps over the lazy dog", field="body")
    return made


def called(folder: Path, *options: str) -> Result:
    fixed = ("measure", str(folder / "model"), "--data", str(folder / "texts"))
    return CliRunner().invoke(app, [*fixed, *options])


def test_a_table_has_a_row_for_each_source_and_layer(folder: Path) -> None:
    result = called(folder, "--field", "body", "--diff-erank", "--seed", "1")
    assert result.exit_code == 0, result.stderr
    title, heading, _, *rows = result.stdout.splitlines()
    assert title.endswith("model: 2 layers of width 16, texts of at most 48 tokens, as many as the model takes")
    assert heading.split()[:6] == ["source", "layer", "texts", "tokens/text", "MNN", "nuclear"]
    assert heading.endswith("diff-eRank")
    assert [row.split()[:3] for row in rows] == [
        [source, str(layer), texts] for source, texts in (("arxiv", "2"), ("books", "1")) for layer in range(3)
    ]


def test_the_heading_tells_the_length_that_was_asked_for(folder: Path) -> None:
    title = called(folder, "--field", "body", "--layers", "0", "--max-tokens", "9").stdout.splitlines()[0]
    assert title.endswith("model: 2 layers of width 16, texts of at most 9 tokens")


def test_json_has_the_same_figures(folder: Path) -> None:
    result = called(folder, "--field", "body", "--layers", "-1", "--json")
    found = json.loads(result.stdout)
    assert (found["layers"], found["width"], found["max_tokens"], found["model_max_tokens"]) == (2, 16, 48, 48)
    assert [(row["source"], row["layer"], row["diff_effective_rank"]) for row in found["rows"]] == [
        ("arxiv", 2, None),
        ("books", 2, None),
    ]
    table = called(folder, "--field", "body", "--layers", "2").stdout.splitlines()[-1].split()
    row = found["rows"][1]
    assert table[4:6] == [f"{row['matrix_nuclear_norm']:.4f}", f"{row['nuclear_norm']:.4f}"]


def test_a_wrong_option_is_one_line(folder: Path) -> None:
    result = called(folder, "--field", "body", "--layers", "first")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: --layers 'first' is no list of numbers; give one such as 0,6,-1\n",
    )
    assert called(folder).exit_code == 2
    assert "has no text at 'text'; give --field, out of: id, body" in called(folder).stderr
