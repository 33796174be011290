"""Defaults, files, assignments and flags: which of them counts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from slimpajama import Config, ConfigError, load_config


@pytest.fixture
def run_yaml(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"


def test_defaults_yield_to_the_file_the_file_to_assignments_and_these_to_flags(run_yaml: Path) -> None:
    run_yaml.write_text("seed: 2\nworkers: 2\nmemory: 1GiB\nsources: [web, {name: wiki, set_name: W}]\n")
    config = load_config(run_yaml, ["workers=3", "memory=2GiB"], memory="3GiB", scope=None)
    assert (config.num_perm, config.seed, config.workers, config.memory) == (128, 2, 3, 3 << 30)
    assert config.scope == "both"
    assert [source.set_name for source in config.sources] == ["web", "W"]


def test_the_last_assignment_of_a_setting_counts() -> None:
    assert load_config(None, ["seed=5", "seed=6"]).seed == 6


def test_values_of_assignments_are_yaml() -> None:
    config = load_config(None, ["sources=[web, wiki]", "threshold=0.7", "memory=null", "truncated=keep"])
    assert [source.name for source in config.sources] == ["web", "wiki"]
    assert (config.threshold, config.memory, config.truncated) == (0.7, None, "keep")


@pytest.mark.parametrize("content", ["", "# nothing but a comment\n", "{}"])
def test_an_empty_file_means_the_defaults(run_yaml: Path, content: str) -> None:
    run_yaml.write_text(content)
    assert load_config(run_yaml) == Config()


def test_a_file_that_is_not_there_is_named(run_yaml: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(run_yaml)
    assert str(refusal.value) == f"cannot read the config {run_yaml}: No such file or directory"


@pytest.mark.parametrize(
    "content", [b"seed: [1", b"seed: \xff\xfe", b"a: b: c", b"\x00", b"seed: 2020-13-45", b"seed: 0x_"]
)
def test_a_file_that_is_not_yaml_is_named_in_one_line(run_yaml: Path, content: bytes) -> None:
    run_yaml.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        load_config(run_yaml)
    assert str(refusal.value).startswith(f"{run_yaml} is not YAML: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("content", "kind"), [("- seed\n", "list"), ("seed", "text"), ("3", "number")])
def test_a_file_that_is_no_mapping_is_refused(run_yaml: Path, content: str, kind: str) -> None:
    run_yaml.write_text(content)
    with pytest.raises(ConfigError) as refusal:
        load_config(run_yaml)
    assert str(refusal.value) == f"{run_yaml} holds a {kind}; it must be a mapping of settings to values"


TAG = "!!python/object/apply:os.mkdir [PATH]"


def test_a_tag_that_would_run_code_is_refused_and_not_run(run_yaml: Path, tmp_path: Path) -> None:
    tag = TAG.replace("PATH", str(tmp_path / "made"))
    run_yaml.write_text(f"seed: {tag}\n")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(run_yaml)
    with pytest.raises(ConfigError, match="is not a YAML value"):
        load_config(None, [f"seed={tag}"])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("assignment", ["seed", "=3", "", "seed 3"])
def test_an_assignment_that_is_none_shows_how_to_write_one(assignment: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(None, [assignment])
    assert str(refusal.value) == f"--set {assignment}: write it as key=value, for example --set memory=8GiB"


@pytest.mark.parametrize("text", ["[1", "{", "a: b: c", "2020-13-45", "0x_", "[" * 5000])
def test_an_assignment_that_is_not_yaml_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_config(None, [f"seed={text}"])
    assert str(refusal.value) == f"--set seed={text}: {text!r} is not a YAML value"


def test_a_refusal_names_all_that_was_read(run_yaml: Path) -> None:
    run_yaml.write_text("seed: -1\n")
    with pytest.raises(ConfigError, match=rf"^{run_yaml}: seed: "):
        load_config(run_yaml)
    with pytest.raises(ConfigError, match=r"^--set: seed: "):
        load_config(None, ["seed=-1"])
    with pytest.raises(ConfigError, match=rf"^{run_yaml} and --set: seed: "):
        load_config(run_yaml, ["num_perm=256", "rows=1", "bands=1"])
    with pytest.raises(ConfigError, match=r"^settings: seed: "):
        load_config(None, [], seed=-1)


@pytest.mark.parametrize("content", ["1: 2", "null: 2", "[1, 2]: 3"])
def test_a_key_that_is_no_word_is_refused(run_yaml: Path, content: str) -> None:
    run_yaml.write_text(content)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(run_yaml)
