"""One validated model of a run: what it accepts, what it refuses and how it says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from slimpajama import Config, ConfigError, SourceConfig, load_config
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.config.loading import checked
from slimpajama.config.sizes import parse_bytes
from slimpajama.config.tokens import load_token_config
from slimpajama.engine.resources import (
    OTHERS_BYTES,
    WORKER_BYTES,
    memory_bytes,
    task_bytes,
    whole_machine_bytes,
    worker_count,
)


def refusal_of(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refusal:
        checked(Config, values, "run.yaml")
    return str(refusal.value)


def test_the_defaults_are_the_published_ones() -> None:
    assert Config().model_dump() == {
        "preset": "slimpajama",
        "decontaminate": None,
        "sources": (),
        "layout": "auto",
        "strict_input": False,
        "scope": "both",
        "text_field": "text",
        "id_field": None,
        "normalisation": "nfc",
        "min_cleaned_characters": 200,
        "num_perm": 128,
        "seed": 1,
        "cleaning": "slimpajama",
        "shingle": {"unit": "character", "length": 13},
        "bands": 9,
        "rows": 13,
        "checked": False,
        "threshold": None,
        "prefer": ("source",),
        "duplicate_counts": True,
        "sampled_removals": 200,
        "max_removed_fraction": None,
        "max_document_bytes": 64 << 20,
        "max_bad_fraction": 0.01,
        "truncated": "stop",
        "piece_bytes": 256 << 20,
        "part_bytes": 4 << 30,
        "shard_format": "jsonl.zst",
        "method": "minhash",
        "compression_level": 1,
        "memory": None,
        "against": None,
        "workers": None,
    }


def test_every_setting_is_explained() -> None:
    assert [name for name, field in Config.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"threshold": 0.8, "bands": 9, "rows": 13},
            "run.yaml: settings: give either threshold or bands and rows, not both",
        ),
        ({"threshold": 0.8, "rows": 13}, "run.yaml: settings: give either threshold or bands and rows, not both"),
        ({"bands": 9}, "run.yaml: settings: bands and rows are given together, or neither"),
        ({"rows": 9}, "run.yaml: settings: bands and rows are given together, or neither"),
        (
            {"bands": 10, "rows": 13},
            "run.yaml: settings: 10 bands of 13 rows need 130 permutations, but num_perm is 128",
        ),
        (
            {"num_perm": 116},
            (
                "run.yaml: settings: num_perm is 116, but the 9 bands of 13 rows of preset slimpajama need 117: "
                "give bands and rows, or raise num_perm"
            ),
        ),
        ({"sources": ["web", "wiki", "web"]}, "run.yaml: settings: source 'web' is named twice"),
        (
            {"memory": "plenty"},
            "run.yaml: memory: 'plenty' is not a size; write for example 8GiB, 500MB or a number of bytes",
        ),
        (
            {"piece_bytes": "-5MB"},
            "run.yaml: piece_bytes: '-5MB' is not a size; write for example 8GiB, 500MB or a number of bytes",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_value_and_remedy(values: dict[str, Any], message: str) -> None:
    assert refusal_of(values) == message


@pytest.mark.parametrize(
    ("values", "place", "given"),
    [
        ({"scope": "everything"}, "scope", "'everything'"),
        ({"normalisation": "nfkc"}, "normalisation", "'nfkc'"),
        ({"min_cleaned_characters": -1}, "min_cleaned_characters", "-1"),
        ({"num_perm": 0}, "num_perm", "0"),
        ({"num_perm": 65_537}, "num_perm", "65537"),
        ({"num_perm": "many"}, "num_perm", "'many'"),
        ({"seed": -1}, "seed", "-1"),
        ({"seed": 2**32}, "seed", "4294967296"),
        ({"bands": 0, "rows": 1}, "bands", "0"),
        ({"bands": 1, "rows": 0}, "rows", "0"),
        ({"threshold": 0}, "threshold", "0"),
        ({"threshold": 1}, "threshold", "1"),
        ({"threshold": "nan"}, "threshold", "'nan'"),
        ({"max_document_bytes": 1023}, "max_document_bytes", "1023"),
        ({"max_bad_fraction": 1.5}, "max_bad_fraction", "1.5"),
        ({"max_bad_fraction": -0.5}, "max_bad_fraction", "-0.5"),
        ({"truncated": "ignore"}, "truncated", "'ignore'"),
        ({"piece_bytes": 65_535}, "piece_bytes", "65535"),
        ({"compression_level": 20}, "compression_level", "20"),
        ({"compression_level": -8}, "compression_level", "-8"),
        ({"memory": "63MiB"}, "memory", "'63MiB'"),
        ({"memory": None, "workers": 0}, "workers", "0"),
        ({"workers": 1.5}, "workers", "1.5"),
        ({"sources": [{"name": "../up"}]}, "sources.0.name", "'../up'"),
        ({"sources": ["fine", {"name": ".hidden"}]}, "sources.1.name", "'.hidden'"),
        ({"sources": [{"name": "a", "paths": "a/**"}]}, "sources.0.paths", "'a/**'"),
        ({"sources": 5}, "sources", "5"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_place_and_what_was_given(
    values: dict[str, Any], place: str, given: str
) -> None:
    message = refusal_of(values)
    assert message.startswith(f"run.yaml: {place}: ")
    assert message.endswith(f" (given: {given})")


def test_a_missing_value_is_named_by_its_place() -> None:
    assert refusal_of({"sources": [{"paths": ["a/**"]}]}) == "run.yaml: sources.0.name: must be given"


@pytest.mark.parametrize(
    "values",
    [
        {"num_perm": 1, "bands": 1, "rows": 1},
        {"num_perm": 117},
        {"num_perm": 65_536},
        {"seed": 2**32 - 1},
        {"max_bad_fraction": 0},
        {"max_bad_fraction": 1},
        {"compression_level": -7},
        {"compression_level": 19},
        {"memory": "256MiB"},
        {"max_document_bytes": "1KiB"},
        {"piece_bytes": 65_536},
        {"bands": 128, "rows": 1},
        {"threshold": 0.5},
        {"min_cleaned_characters": 0},
    ],
)
def test_a_value_at_its_bound_is_accepted(values: dict[str, Any]) -> None:
    assert checked(Config, values, "run.yaml")


def test_a_setting_that_does_not_exist_is_refused_with_those_that_do() -> None:
    message = refusal_of({"treshold": 0.8})
    assert message == f"run.yaml: there is no setting 'treshold'; the settings are {', '.join(Config.model_fields)}"


def test_an_unknown_key_of_a_source_is_refused_with_the_keys_of_a_source() -> None:
    message = refusal_of({"sources": [{"name": "web", "path": "web/**"}]})
    assert message.startswith("run.yaml: there is no setting 'sources.0.path'")
    assert message.endswith("name, paths, set_name")


def test_a_config_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(ValidationError):
        Config().seed = 2


# ---------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 << 30),
        ("8 GiB", 8 << 30),
        ("8gib", 8 << 30),
        ("8Gi", 8 << 30),
        ("500MB", 500_000_000),
        ("500m", 500_000_000),
        ("1.5k", 1500),
        ("0.5KiB", 512),
        ("2T", 2 * 10**12),
        ("2TiB", 2 << 40),
        (" 123456 ", 123_456),
        ("7B", 7),
        ("0", 0),
        (4096, 4096),
        (None, None),
    ],
)
def test_sizes_are_written_with_units_of_1000_or_1024(text: object, size: object) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "8 apples", "8PiB", "1,000", "-1", "1e9", "0x10", "8ib", "1.GiB", "nan", "9" * 400]
)
def test_what_is_not_a_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write for example 8GiB, 500MB or a number of bytes$"):
        parse_bytes(text)


# ---------------------------------------------------------------------------------------------- sources


@pytest.mark.parametrize(("name", "set_name"), list(REDPAJAMA_SET_NAMES.items()))
def test_a_source_of_redpajama_needs_only_its_name(name: str, set_name: str) -> None:
    source = load_config(sources=[name]).sources[0]
    folders = ("books/**", "book/**") if name == "books" else (f"{name}/**",)
    assert source == SourceConfig(name=name, paths=folders, set_name=set_name)


def test_any_other_source_is_its_folder_and_carries_its_own_name() -> None:
    assert load_config(sources=["patents"]).sources[0].model_dump() == {
        "name": "patents",
        "paths": ("patents/**",),
        "set_name": "patents",
    }


def test_what_a_source_says_is_kept() -> None:
    given = {"name": "c4", "paths": ["web/c4-*.jsonl"], "set_name": "C4"}
    assert load_config(sources=[given]).sources[0].model_dump() == {**given, "paths": ("web/c4-*.jsonl",)}


def test_the_default_order_of_sources_has_the_curated_first() -> None:
    assert list(REDPAJAMA_SET_NAMES) == ["wikipedia", "books", "arxiv", "stackexchange", "github", "c4", "common_crawl"]


# ---------------------------------------------------------------------------------------------- the machine


def test_workers_are_the_cores_this_process_may_use_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert worker_count(Config()) == 3
    assert worker_count(Config(workers=7)) == 7


@pytest.mark.parametrize(
    ("memory", "workers", "item"),
    [("256MiB", 1, 64), ("1GiB", 1, 256), ("2GiB", 2, 320), ("4GiB", 4, 416), ("1878MiB", 2, 235), ("1877MiB", 1, 981)],
)
def test_no_more_workers_than_the_memory_is_enough_for(
    monkeypatch: pytest.MonkeyPatch, memory: str, workers: int, item: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    config = load_config(memory=memory)
    assert (worker_count(config), task_bytes(config) >> 20) == (workers, item)


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
@pytest.mark.parametrize("memory", ["2GiB", "8GiB", "64GiB", "300GiB"])
def test_processes_and_all_their_items_are_within_the_memory(memory: str, cores: int) -> None:
    config = load_config(memory=memory)
    workers = worker_count(config, cores)
    assert workers <= cores
    assert OTHERS_BYTES + workers * (WORKER_BYTES + task_bytes(config, cores)) <= memory_bytes(config)
    assert OTHERS_BYTES + workers * WORKER_BYTES + whole_machine_bytes(config, cores) <= memory_bytes(config)


def test_more_workers_than_the_memory_is_enough_for_are_refused_with_both_remedies() -> None:
    with pytest.raises(ConfigError) as caught:
        worker_count(load_config(memory="1GiB", workers=2))
    assert str(caught.value) == (
        "2 workers need 1408 MiB, but three quarters of the setting memory (1024 MiB) are 768 MiB: raise memory, or "
        "set at most 1 worker(s)"
    )


def test_memory_is_half_of_the_machines_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Machine:
        total = 32 << 30

    monkeypatch.setattr("psutil.virtual_memory", Machine)
    assert memory_bytes(Config()) == 16 << 30
    assert memory_bytes(load_config(memory="3GB")) == 3 * 10**9


# ---------------------------------------------------------------------------------------------- loading


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


def test_settings_of_tokens_are_assignments_then_flags() -> None:
    assert load_token_config().vocabulary == 50_277
    settings = load_token_config(
        ["tokens.vocabulary=600", "tokens.shuffle_seed=5", "tokens.end_of_text=</s>"], shuffle_seed=6, holdout=None
    )
    assert (settings.vocabulary, settings.shuffle_seed, settings.end_of_text, settings.holdout) == (
        600,
        6,
        "</s>",
        0.01,
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seed": 2}, r"give holdout_seed \(which documents are held out\) and shuffle_seed"),
        ({"holdout": 0.2}, "holdout: must be at most 0.1"),
        ({"holdout_least": 600_000}, "holdout_least is 600,000, holdout_most 524,288: the least cannot be above the"),
        ({"piece_tokens": 8}, "piece_tokens: must be at least 16"),
    ],
)
def test_settings_of_tokens_that_cannot_be(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_token_config(**values)


@pytest.mark.parametrize("key", ["vocabulary", "dedup.seed", "tokens.", "tokens"])
def test_a_setting_of_another_section_is_refused_where_only_tokens_count(key: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_token_config([f"{key}=1"])
    assert str(refusal.value).startswith(
        f"--set {key}: here a setting is one of the section tokens, for example --set "
    )
