"""slimpajama plan: what it says of a small corpus is what a run then takes, and it leaves nothing behind."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import slimpajama
from slimpajama import ConfigError
from slimpajama.cli.main import app
from slimpajama.engine.local import LocalEngine
from slimpajama.sample import write_sample
from slimpajama.stages.runner import step_of

RECIPE = "{name: small, weights: {c4: 60, common_crawl: 40}, tokens: 60k, sequence_length: 128}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    with LocalEngine(1) as engine:
        write_sample(folder, docs=200, seed=3, engine=engine, progress=lambda size: None)
    return folder


@pytest.fixture
def config(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    (tmp_path / "small.yaml").write_text(RECIPE)
    file = tmp_path / "run.yaml"
    file.write_text(
        f"input: {corpus}\ndedup: {{workers: 1}}\ntokens: {{vocabulary: 512}}\nmixtures: {{recipes: [small.yaml]}}\n"
    )
    return file


def said(*words: str) -> Any:
    result = CliRunner().invoke(app, ["plan", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_a_corpus_that_is_sampled_whole_is_planned_as_it_runs(tmp_path: Path, config: Path) -> None:
    plan = json.loads(said(str(config), "--json"))
    assert not list((tmp_path / "scratch").iterdir())
    result = CliRunner().invoke(app, ["run", str(config), "--output", str(tmp_path / "out"), "--json"])
    summary = json.loads(result.stdout)
    for name, figures in summary["dedup"]["sources"].items():
        for unit, key in (("documents", "documents"), ("text", "bytes")):
            count = figures["read"][key]
            assert plan["sources"][name][unit] == {"estimate": count, "low": count, "high": count}
    shares = [summary["dedup"]["sources"]["total"][scope]["kept"]["bytes"] for scope in ("global", "local")]
    assert plan["kept"] == max(shares) / summary["dedup"]["sources"]["total"]["read"]["bytes"]
    train = sum(account["local"]["tokens"]["train"] for account in summary["tokens"]["sources"].values())
    assert plan["tokens"] == train
    written = {
        name: sum(path.stat().st_size for path in (tmp_path / "out").glob(pattern) if path.is_file())
        for name, pattern in (
            ("band keys", "dedup/work/rows/**/*"),
            ("decisions", "dedup/decisions/**/*"),
            ("shards, global", "dedup/global/**/*"),
            ("shards, local", "dedup/local/**/*"),
            ("token store", "mixtures/tokens/sources/**/*"),
            ("mixtures", "mixtures/small/train-*"),
        )
    }
    for name, size in written.items():
        assert plan["disk"][name] == pytest.approx(size, rel=0.05 if name == "mixtures" else 0.02), name
    steps = map(step_of, summary["dedup"]["stages"])
    stages = {*steps, *summary["stages"]} - {"mix small", "holdout files 128"} | {"mixtures", "holdout files"}
    assert {stage["stage"] for stage in plan["stages"]} == stages


@pytest.mark.slow
def test_of_a_part_of_the_input_the_whole_can_be_planned(config: Path) -> None:
    words = ("--json", "--set", "mixtures.recipes=[]")
    plan = json.loads(said(str(config), *words))
    whole = json.loads(said(str(config), *words, "--text", "1TB", "--documents", "123456", "--nodes", "2"))
    assert whole["sources"]["total"]["text"]["estimate"] == pytest.approx(10**12, rel=1e-6)
    assert whole["sources"]["total"]["documents"]["estimate"] == pytest.approx(123_456, abs=10)
    assert whole["nodes"] == 2
    assert whole["core_hours"] > 1000 * plan["core_hours"]
    assert "tokens" in plan
    assert plan["tokens"] is None


def test_the_plan_is_a_table_and_says_what_was_assumed(config: Path) -> None:
    lines = said(str(config), "--set", "mixtures.recipes=[]", "--kept", "0.5").splitlines()
    assert lines[0].startswith("from ")
    assert "50.0 % of the text kept, as said" in lines
    assert lines[-2].startswith("memory of a node, set to ")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--text", "much"], 2, "error: --text: 'much' is not a size; write for example 8GiB, 500MB or a number of"),
        (["--set", "dedup.bands=3"], 2, "bands and rows are given together, or neither"),
        (["--input", "nowhere"], 3, "nowhere"),
    ],
)
def test_mistakes_are_told(config: Path, words: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(app, ["plan", str(config), *words])
    assert result.exit_code == code
    assert message in result.stderr


def test_a_recipe_of_a_source_that_is_not_there_is_told_before_anything_is_spent(config: Path) -> None:
    (config.parent / "small.yaml").write_text(RECIPE.replace("common_crawl", "recipes"))
    result = CliRunner().invoke(app, ["plan", str(config)])
    assert result.exit_code == 2
    assert "recipes" in result.stderr


def test_what_may_not_be_meant_is_noted(config: Path) -> None:
    lines = said(str(config), "--set", "mixtures.recipes=[]", "--quiet", "--text", "1TB", "--cores", "8").splitlines()
    assert [line for line in lines if line.startswith("note: ")] == [
        "note: text and documents in all are as said, and divided among the sources as what lies here is",
        "note: the config sets workers to 1, so the other cores of 8 are idle",
        "note: the config sets no memory, so that of this machine is assumed",
    ]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"cores": 0}, "cores is 0; it must be at least 1"),
        ({"nodes": 0}, "nodes is 0; it must be at least 1"),
        ({"documents": -1}, "documents is -1; it must be at least 1"),
        ({"kept": -1.0}, "kept is -1.0; it is a share of the text, from 0 to 1"),
        ({"kept": 1.5}, "kept is 1.5; it is a share of the text, from 0 to 1"),
    ],
)
def test_a_plan_for_no_machine_or_no_share_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        slimpajama.plan("sample", **wrong)
    assert str(caught.value) == why
