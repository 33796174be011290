"""What a run says before it starts instead of hours later: recipes, folders, tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from slimpajama.cli.main import app
from slimpajama.config.dedup import Config, load_config
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.errors import ConfigError, InputNotFound, OutputError
from slimpajama.pipeline.preflight import check_targets, check_tokenizer, checked_recipes, sources_of
from tests.corpus.shards import put
from tests.tokens.token_corpus import small_tokenizer


def recipe(name: str = "mine", scope: Any = "global", **weights: float) -> Recipe:
    return Recipe(name=name, weights=weights or {"c4": 100}, tokens=1000, sequence_length=10, scope=scope)


def test_a_source_that_there_is_not_is_told_with_those_that_there_are() -> None:
    checked_recipes([recipe(), recipe(c4=50, books=50)], ["c4", "books"])
    with pytest.raises(ConfigError) as refusal:
        checked_recipes([recipe(), recipe("second", c4=75, wikipeda=25)], ["c4", "wikipedia"])
    assert str(refusal.value) == (
        "second asks 25 % of source 'wikipeda', but there is none; there are c4, wikipedia: write 'wikipedia' if you "
        "mean that, add it to the input, or leave it out of the recipe"
    )
    with pytest.raises(ConfigError, match="there are c4: add it to the input, or leave it out"):
        checked_recipes([recipe(patents=100)], ["c4"])


def test_a_source_of_weight_nothing_need_not_be_there() -> None:
    checked_recipes([recipe(c4=100, books=0)], ["c4"])


def test_a_local_recipe_needs_local_shards() -> None:
    checked_recipes([recipe(scope="local")], ["c4"])
    checked_recipes([recipe()], ["c4"], global_only="so it is")
    with pytest.raises(ConfigError, match="mine asks for the local scope, but so it is"):
        checked_recipes([recipe(scope="local")], ["c4"], global_only="so it is")


def test_sources_are_those_of_the_config_or_of_the_folders(tmp_path: Path) -> None:
    assert sources_of(load_config(sources=["web", "wiki"]), tmp_path) == ("web", "wiki")
    put(tmp_path, {"own/a.jsonl": ["text"], "c4/a.jsonl": ["text"]})
    assert sources_of(Config(), tmp_path) == ("c4", "own")
    with pytest.raises(InputNotFound):
        sources_of(Config(), tmp_path / "none")


# ------------------------------------------------------------------------------------------------ where mixtures go


def test_names_that_cannot_be_folders_of_mixtures(tmp_path: Path) -> None:
    check_targets([recipe(), recipe("other")], tmp_path / "new")
    with pytest.raises(ConfigError, match="two recipes are named 'mine'"):
        check_targets([recipe(), recipe()], tmp_path)
    with pytest.raises(ConfigError, match="cannot be named 'tokens'"):
        check_targets([recipe("tokens")], tmp_path)


@pytest.mark.parametrize("content", ["c4/a.jsonl.zst", "notes.txt", "train.parquet"])
def test_a_folder_of_something_else_is_not_written_into(content: str, tmp_path: Path) -> None:
    file = tmp_path / "global" / content
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(OutputError, match=r"global is there already and is no mixture; rename the recipe 'global'"):
        check_targets([recipe("global")], tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["train-00000-of-00002.parquet"],
        ["train-00000-of-00002.parquet.0a1b2c3d.tmp", "README.md"],
        ["manifest.json", "my-notes.txt"],
        [".done", "my-notes.txt"],
    ],
)
def test_a_mixture_that_was_begun_is_gone_on_with(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in names:
        (tmp_path / "mine" / name).touch()
    check_targets([recipe()], tmp_path)


def test_a_file_in_the_place_of_a_mixture_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(OutputError, match="mine is there already"):
        check_targets([recipe()], tmp_path)


# ------------------------------------------------------------------------------------------------ the tokenizer


def test_a_tokenizer_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    small_tokenizer(tmp_path)
    good = str(tmp_path / "tokenizer.json")
    check_tokenizer(TokenConfig(), tmp_path)
    check_tokenizer(TokenConfig(tokenizer=good), tmp_path)
    with pytest.raises(ConfigError, match="no special token <stop>"):
        check_tokenizer(TokenConfig(tokenizer=good, end_of_text="<stop>"), tmp_path)
    with pytest.raises(ConfigError, match="no tokenizer at"):
        check_tokenizer(TokenConfig(tokenizer=str(tmp_path / "none.json")), tmp_path)
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ConfigError, match="it has no model"):
        check_tokenizer(TokenConfig(tokenizer=str(tmp_path / "broken.json")), tmp_path)


def test_a_trained_tokenizer_has_one_end_of_text(tmp_path: Path) -> None:
    check_tokenizer(TokenConfig(end_of_text="<|endoftext|>"), tmp_path)
    with pytest.raises(ConfigError, match=r"tokens\.end_of_text is '</s>', but a tokenizer trained on the corpus"):
        check_tokenizer(TokenConfig(end_of_text="</s>"), tmp_path)


def test_the_hub_is_not_asked_again_for_what_a_store_was_made_with(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"tokenizer": {"name": "someone/model"}}')
    check_tokenizer(TokenConfig(tokenizer="someone/model"), tmp_path)


# ------------------------------------------------------------------------------------------------ whole commands


MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "source": (
        {},
        {"weights": {"wikipeda": 100}},
        "mine asks 100 % of source 'wikipeda', but there is none; there are",
    ),
    "scope": ({"dedup": {"scope": "global"}}, {"scope": "local"}, "mine asks for the local scope, but dedup.scope is"),
    "tokenizer": ({"tokens": {"tokenizer": "none.json"}}, {}, "there is no tokenizer at none.json; give"),
    "end": ({"tokens": {"end_of_text": "</s>"}}, {}, "tokens.end_of_text is '</s>', but a tokenizer trained"),
    "name": ({}, {"name": "tokens"}, "a recipe cannot be named 'tokens'"),
}


@pytest.mark.parametrize("origin", ["sample", "input"])
@pytest.mark.parametrize("kind", MISTAKES)
def test_a_run_tells_a_mistake_before_it_writes_anything(kind: str, origin: str, tmp_path: Path) -> None:
    settings, changes, said = MISTAKES[kind]
    put(tmp_path / "in", {"c4/a.jsonl": ["text"], "wikipedia/a.jsonl": ["text"]})
    given = {"name": "mine", "weights": {"wikipedia": 100}, "tokens": 1000, "sequence_length": 10}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**given, **changes}))
    begin: dict[str, Any] = {"sample": {}} if origin == "sample" else {"input": "in"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**begin, "mixtures": {"recipes": ["mine.yaml"]}, **settings}))
    result = CliRunner().invoke(app, ["run", str(tmp_path / "run.yaml"), "--output", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: {said}")
    assert not (tmp_path / "out").exists()
