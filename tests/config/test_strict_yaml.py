"""YAML whose mappings name every key once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from slimpajama import ConfigError
from slimpajama.config.loading import assigned, read_yaml
from slimpajama.config.strict_yaml import load_yaml


def test_a_key_that_stands_twice_is_refused_with_its_line() -> None:
    with pytest.raises(yaml.YAMLError, match=r"'c4' stands twice in one mapping, again in line 4; leave one out"):
        load_yaml("weights:\n  c4: 10\n  books: 50\n  c4: 50\n")


def test_a_key_may_stand_in_several_mappings_and_merges_may_be_overridden() -> None:
    text = "a: &base {x: 1, y: 2}\nb: {<<: *base, x: 3}\nc: [{x: 1}, {x: 2}]\n"
    assert load_yaml(text) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": [{"x": 1}, {"x": 2}]}


def test_config_files_and_settings_are_read_so(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("weights: {c4: 10, books: 50, c4: 50}\n")
    with pytest.raises(ConfigError, match="'c4' stands twice"):
        read_yaml(file, "recipe")
    with pytest.raises(ConfigError, match="is not a YAML value"):
        assigned("weights={a: 1, a: 2}")
