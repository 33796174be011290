"""What a run would replace is told, and why, before anything is changed; ``keep`` refuses instead."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from slimpajama import Config, OutputError, deduplicate
from slimpajama.cli.main import app
from slimpajama.config.recipe import Recipe
from slimpajama.config.run import SampleConfig
from slimpajama.config.tokens import TokenConfig
from slimpajama.evidence.request import RunRequest, write_request
from slimpajama.pipeline.dedup import dedup_request
from slimpajama.pipeline.mix import mix_request
from slimpajama.pipeline.replacement import announce, replaced_dedup, replaced_mixtures, replaced_sample
from slimpajama.storage.atomic import write_json
from tests.corpus.shards import files_below, put
from tests.dedup.summaries import dedup_summary


def finished(out: Path, config: Config) -> None:
    """As a finished deduplication leaves its output, as far as is looked at."""
    write_request(out, dedup_request(Path("/in"), config))
    write_json(out / "summary.json", dedup_summary(settings=config.model_copy(update={"workers": 2})).as_dict())


@pytest.mark.parametrize(
    ("input", "settings", "why"),
    [
        ("/in", {}, ""),
        ("/in", {"workers": 3, "memory": "1GiB", "max_bad_fraction": 0.5, "scope": "global"}, ""),
        ("/in", {"seed": 2}, "settings.seed: 1 -> 2"),
        ("/in", {"seed": 2, "id_field": "x"}, 'settings.id_field: null -> "x"; settings.seed: 1 -> 2'),
        ("/other", {}, 'input: "/in" -> "/other"'),
        ("/in", {"against": "/old"}, 'settings.against: null -> "/old"'),
    ],
)
def test_what_other_settings_replace_in_a_deduplication(
    tmp_path: Path, input: str, settings: dict[str, Any], why: str
) -> None:
    finished(tmp_path, Config())
    found = replaced_dedup(tmp_path, dedup_request(Path(input), Config(**settings)))
    assert found == ([f"{tmp_path} holds a finished deduplication that would be replaced ({why})"] if why else [])


def test_the_finished_state_counts_not_what_was_asked_for_last(tmp_path: Path) -> None:
    finished(tmp_path, Config())
    write_request(tmp_path, dedup_request(Path("/in"), Config(seed=2)))  # interrupted
    assert replaced_dedup(tmp_path, dedup_request(Path("/in"), Config())) == []
    (tmp_path / "summary.json").write_text("{}")
    (sentence,) = replaced_dedup(tmp_path, dedup_request(Path("/in"), Config()))
    assert sentence.endswith(" that would be replaced (its summary is broken or of another version)")
    (tmp_path / "summary.json").unlink()
    assert replaced_dedup(tmp_path, dedup_request(Path("/in"), Config(seed=3))) == []


RECIPE = Recipe(name="web", weights={"c4": 100}, tokens=1000, sequence_length=64)


@pytest.mark.parametrize(
    ("recipe", "settings", "format", "expected"),
    [
        ({}, {}, "parquet", []),
        ({}, {}, "megatron", []),
        ({"seed": 2}, {}, "parquet", ["web is a finished mixture that would be replaced (recipe.seed: 1 -> 2)"]),
        (
            {},
            {"holdout": 0.1},
            "parquet",
            ["tokens is a finished token store that would be replaced (settings.holdout: 0.01 -> 0.1)"],
        ),
    ],
)
def test_what_other_settings_replace_among_mixtures(
    tmp_path: Path, recipe: dict[str, Any], settings: dict[str, Any], format: str, expected: list[str]
) -> None:
    write_request(tmp_path, mix_request(Path("/in"), [RECIPE], TokenConfig(), "parquet"))
    write_json(tmp_path / "tokens" / "store.json", {})
    write_json(tmp_path / "web" / "manifest.json", {"recipe": RECIPE.model_dump(mode="json"), "formats": ["parquet"]})
    recipes = [RECIPE.model_copy(update=recipe)]
    arguments = mix_request(Path("/in"), recipes, TokenConfig(**settings), format)
    assert replaced_mixtures(tmp_path, recipes, arguments, build=True) == [f"{tmp_path}/{one}" for one in expected]
    stores = [one for one in expected if one.startswith("tokens")]
    assert replaced_mixtures(tmp_path, recipes, arguments, build=False) == [f"{tmp_path}/{one}" for one in stores]


def test_another_sample_replaces_the_one_that_is_there(tmp_path: Path) -> None:
    write_request(tmp_path, RunRequest(config={"sample": {"docs": 100, "seed": 1}}, folder="/"))
    assert replaced_sample(tmp_path, SampleConfig(docs=200)) == []
    (tmp_path / "sample").mkdir()
    assert replaced_sample(tmp_path, SampleConfig(docs=100)) == []
    assert replaced_sample(tmp_path, None) == []
    (found,) = replaced_sample(tmp_path, SampleConfig(docs=200))
    assert found == f"{tmp_path / 'sample'} holds a sample that would be replaced (docs: 100 -> 200)"


def test_nothing_that_is_replaced_is_nothing_to_say(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "slimpajama"):
        announce([], keep=True)
        announce([], keep=False)
        announce(["a holds b that would be replaced (c)"], keep=False)
    assert caplog.messages == ["a holds b that will be replaced (c)"]


def test_a_command_with_keep_changes_nothing_and_without_it_warns(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"c4/a.jsonl": ["one text of some length " * 20]})
    deduplicate(source, tmp_path / "out", workers=1)
    before = files_below(tmp_path / "out")
    with pytest.raises(OutputError, match=r"settings\.seed: 1 -> 2"):
        deduplicate(source, tmp_path / "out", workers=1, seed=2, keep=True)
    arguments = ["dedup", "--input", str(source), "--output", str(tmp_path / "out"), "--workers", "1", "--quiet"]
    result = CliRunner().invoke(app, [*arguments, "--set", "seed=2", "--keep"])
    assert (result.exit_code, result.stderr) == (
        4,
        (
            f"error: {tmp_path / 'out'} holds a finished deduplication that would be replaced (settings.seed: 1 -> 2); "
            "choose another output, or do not ask to keep it (--keep)\n"
        ),
    )
    assert files_below(tmp_path / "out") == before
    assert CliRunner().invoke(app, [*arguments, "--keep"]).exit_code == 0, "the same settings replace nothing"
    result = CliRunner().invoke(app, [*arguments, "--set", "seed=2"])
    assert result.exit_code == 0
    assert "holds a finished deduplication that will be replaced (settings.seed: 1 -> 2)" in result.stderr
