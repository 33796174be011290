"""One validated model of a run: what it accepts, what it refuses and how it says so."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from slimpajama import Config, ConfigError
from slimpajama.config.loading import checked


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
