"""Presets are found by name from any folder, and a file of that name comes first."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from slimpajama.cli.main import app
from slimpajama.cli.options import PresetChoice
from slimpajama.config.dedup import Config, load_config
from slimpajama.config.dedup_presets import DEDUP_PRESETS
from slimpajama.config.presets import config_file, preset, presets, recipe_file
from slimpajama.config.recipe import load_recipe
from slimpajama.config.run import load_run_config
from slimpajama.errors import ConfigError
from slimpajama.pipeline.run import recipes_of

RECIPES = [f"dc-{number}" for number in range(1, 8)]


def test_the_presets_are_those_of_the_setting_and_the_files_of_configs() -> None:
    assert [(one.name, one.kind) for one in presets()] == [
        *((name, "dedup") for name in DEDUP_PRESETS),
        ("redpajama", "config"),
        ("sample", "config"),
        *((name, "recipe") for name in RECIPES),
    ]
    assert all(one.title for one in presets())


def test_every_preset_is_valid() -> None:
    assert [load_recipe(recipe_file(Path(name))).name for name in RECIPES] == RECIPES
    for name in ("sample", "redpajama"):
        given = None if name == "sample" else "in"
        file = config_file(Path(name))
        config = load_run_config(file, input=given)
        assert [recipe.name for recipe in recipes_of(config.mixtures, file.parent)] == RECIPES[:6]


def test_a_file_comes_before_the_preset_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert recipe_file(Path("dc-6")) == preset("dc-6").path
    Path("dc-6").write_text("name: own")
    assert recipe_file(Path("dc-6")) == Path("dc-6")


def test_a_config_may_name_recipes_that_are_presets(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("sample: {}\nmixtures: {recipes: [dc-6, own.yaml]}\n")
    (tmp_path / "own.yaml").write_text("name: own\nweights: {c4: 100}\ntokens: 1M\n")
    config = load_run_config(tmp_path / "run.yaml")
    assert [recipe.name for recipe in recipes_of(config.mixtures, tmp_path)] == ["dc-6", "own"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dc-9", "the recipe dc-9 does not exist; give a YAML file or one of the presets dc-1, dc-2, dc-3, dc-4, dc-5"),
        ("sample", "the recipe sample does not exist; give a YAML file or one of the presets dc-1"),
        ("dc-6.yaml", "the recipe dc-6.yaml does not exist; give a YAML file or one of the presets dc-1"),
    ],
)
def test_what_is_no_file_and_no_preset_is_refused(
    given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refused:
        recipe_file(Path(given))
    assert str(refused.value).startswith(message)


def test_the_command_lists_presets_and_prints_one() -> None:
    listed = CliRunner().invoke(app, ["presets"])
    assert listed.exit_code == 0
    assert [line.split()[:2] for line in listed.stdout.splitlines()][:3] == [
        ["slimpajama", "dedup"],
        ["verified", "dedup"],
        ["quick", "dedup"],
    ]
    assert ["sample", "config"] in [line.split()[:2] for line in listed.stdout.splitlines()]
    printed = CliRunner().invoke(app, ["presets", "dc-6"])
    assert printed.stdout == preset("dc-6").content == recipe_file(Path("dc-6")).read_text(encoding="utf-8")
    unknown = CliRunner().invoke(app, ["presets", "dc-99"])
    assert unknown.exit_code == 2
    assert unknown.stderr.startswith("error: there is no preset 'dc-99'; the presets are slimpajama, verified, quick")


@pytest.mark.parametrize("name", DEDUP_PRESETS)
def test_the_settings_of_a_preset_are_printed_as_yaml_that_gives_them(name: str, tmp_path: Path) -> None:
    (tmp_path / "dedup.yaml").write_text(CliRunner().invoke(app, ["presets", name]).stdout)
    config = load_config(tmp_path / "dedup.yaml")
    assert config == Config.model_validate({"preset": name})
    # What it only mentions is what it sets.
    mentioned = [line[2:] for line in preset(name).content.splitlines()[3:]]
    (tmp_path / "dedup.yaml").write_text("\n".join(mentioned))
    assert load_config(tmp_path / "dedup.yaml").model_dump(exclude={"preset"}) == config.model_dump(exclude={"preset"})


def test_a_preset_of_settings_that_is_given_as_a_config_is_refused_with_the_way_to_ask_for_it() -> None:
    with pytest.raises(ConfigError) as refused:
        config_file(Path("verified"))
    assert str(refused.value) == (
        "verified is a preset of single settings, not a config: ask for it by --preset verified"
    )


def test_the_command_line_knows_the_same_presets() -> None:
    assert [choice.value for choice in PresetChoice] == list(DEDUP_PRESETS)
