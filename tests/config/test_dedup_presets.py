"""A preset sets what is not given, however it is given; what a config holds is what applies."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from slimpajama import Config, ConfigError, load_config, load_run_config
from slimpajama.config.dedup import without_preset
from slimpajama.config.dedup_presets import DEDUP_PRESETS, PresetName
from slimpajama.config.loading import checked, with_settings
from slimpajama.dedup.banding import banding, optimal_banding
from slimpajama.pipeline.run import run_config

Values = tuple[str, int, tuple[int, int], int, bool, float | None]

VALUES: dict[str, Values] = {
    "slimpajama": ("character", 13, (9, 13), 128, False, None),
    "verified": ("character", 13, (14, 8), 112, True, 0.8),
    "quick": ("character", 13, (16, 8), 256, True, 0.8),
    "fineweb": ("word", 5, (14, 8), 112, False, None),
    "dolma3": ("word", 5, (26, 11), 286, True, 0.8),
    "nemo": ("character", 24, (20, 13), 260, False, None),
}


def values_of(config: Config) -> Values:
    shingle = config.shingle
    return shingle.unit, shingle.length, banding(config), config.num_perm, config.checked, config.threshold


def refusal_of(values: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refusal:
        checked(Config, values, "run.yaml")
    return str(refusal.value)


@pytest.mark.parametrize("name", VALUES)
def test_each_preset_has_these_values_however_it_is_asked_for(name: str, tmp_path: Path) -> None:
    (tmp_path / "dedup.yaml").write_text(f"preset: {name}\n")
    (tmp_path / "run.yaml").write_text(f"input: in\ndedup: {{preset: {name}}}\n")
    ways = [
        Config.model_validate({"preset": name}),
        load_config(tmp_path / "dedup.yaml"),
        load_config(tmp_path / "run.yaml"),
        load_config(None, [f"preset={name}"]),
        load_config(None, preset=name),
        load_run_config(tmp_path / "run.yaml").dedup,
        load_run_config(tmp_path / "run.yaml", ["dedup.preset=nemo"], **{"dedup.preset": name}).dedup,
        with_settings(Config, Config(), {"preset": name}),
        with_settings(Config, Config(preset="nemo"), {"preset": name}),
        run_config(load_run_config(tmp_path / "run.yaml"), {"dedup.preset": name}, None)[0].dedup,
    ]
    assert [values_of(config) for config in ways] == [VALUES[name]] * len(ways)


def test_every_preset_is_listed_with_a_title() -> None:
    assert tuple(DEDUP_PRESETS) == get_args(PresetName) == tuple(VALUES)
    assert all(preset.title for preset in DEDUP_PRESETS.values())


def test_only_the_quick_preset_makes_signatures_by_one_permutation() -> None:
    methods = {name: Config(preset=name).method for name in DEDUP_PRESETS}
    assert methods == {name: "one-permutation" if name == "quick" else "minhash" for name in VALUES}
    assert Config(preset="quick", method="minhash").method == "minhash"
    assert "method" not in without_preset(Config(preset="quick").model_dump(mode="json"))
    assert without_preset(Config(method="one-permutation").model_dump(mode="json"))["method"] == "one-permutation"


def test_a_given_setting_beats_the_presets() -> None:
    config = Config(preset="verified", bands=20, rows=5)
    assert values_of(config) == ("character", 13, (20, 5), 112, True, 0.8)
    assert config.model_fields_set == {"preset", "bands", "rows"}
    assert values_of(Config(preset="verified", threshold=0.9))[2:] == ((14, 8), 112, True, 0.9)
    assert values_of(Config(preset="verified", checked=False))[2:] == ((14, 8), 112, False, None)
    assert values_of(Config(checked=True))[2:] == ((9, 13), 128, True, 0.8)


def test_a_threshold_replaces_the_bands_of_a_preset_without_check() -> None:
    config = Config(preset="fineweb", threshold=0.7)
    assert (config.bands, config.rows, banding(config)) == (None, None, optimal_banding(0.7, 112))


def test_settings_over_a_config_leave_what_it_was_given_and_nothing_else() -> None:
    given = Config(preset="verified", bands=20, rows=5, seed=3)
    config = with_settings(Config, given, {"preset": "fineweb", "workers": 2})
    assert values_of(config) == ("word", 5, (20, 5), 112, False, None)
    assert (config.seed, config.workers) == (3, 2)
    assert with_settings(Config, Config(preset="nemo"), {}) == Config(preset="nemo")


@pytest.mark.parametrize(
    "given",
    [
        *({"preset": name} for name in VALUES),
        {"threshold": 0.7},
        {"preset": "verified", "bands": 20, "rows": 5},
        {"preset": "dolma3", "checked": False},
        {"preset": "nemo", "shingle": {"length": 20}},
        {"checked": True, "threshold": 0.6, "prefer": ["longest"]},
    ],
)
def test_a_config_that_is_written_down_and_read_again_is_what_it_was(given: dict[str, Any]) -> None:
    config = checked(Config, given, "settings")
    assert checked(Config, config.model_dump(), "settings").model_dump() == config.model_dump()
    assert checked(Config, config.model_dump(mode="json"), "settings").model_dump() == config.model_dump()


def test_a_part_of_a_shingle_that_is_not_given_is_the_presets_if_its_unit_is() -> None:
    assert values_of(load_config(None, ["preset=fineweb", "shingle.length=7"]))[:2] == ("word", 7)
    assert values_of(checked(Config, {"shingle": {"length": 20}}, "settings"))[:2] == ("character", 20)
    assert values_of(checked(Config, {"shingle": {"unit": "character"}}, "settings"))[:2] == ("character", 13)
    assert refusal_of({"shingle": {"unit": "word"}}) == "run.yaml: shingle.length: must be given"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"preset": "minhash"},
            "run.yaml: preset: must be 'slimpajama', 'verified', 'quick', 'fineweb', 'dolma3' or 'nemo'",
        ),
        ({"shingle": {"length": 2}}, "run.yaml: shingle.length: must be at least 3 (given: 2)"),
        ({"shingle": {"length": 65}}, "run.yaml: shingle.length: must be at most 64 (given: 65)"),
        ({"shingle": {"unit": "byte", "length": 5}}, "run.yaml: shingle.unit: must be 'character' or 'word'"),
        (
            {"preset": "nemo", "num_perm": 128},
            "run.yaml: settings: num_perm is 128, but the 20 bands of 13 rows of preset nemo need 260: give bands",
        ),
        (
            {"preset": "verified", "bands": 26, "rows": 11},
            "run.yaml: settings: 26 bands of 11 rows need 286 permutations, but num_perm is 112",
        ),
        ({"max_removed_fraction": 0}, "run.yaml: max_removed_fraction: must be above 0 (given: 0)"),
        ({"max_removed_fraction": 1.5}, "run.yaml: max_removed_fraction: must be at most 1 (given: 1.5)"),
        ({"prefer": []}, "run.yaml: prefer: must have at least 1 entry (given: [])"),
        ({"prefer": ["longest", "longest"]}, "run.yaml: prefer: key 'longest' of prefer is named twice"),
        ({"prefer": ["shortest"]}, "run.yaml: prefer: there is no key 'shortest' of prefer; the keys are source, "),
    ],
)
def test_what_cannot_be_is_refused_with_value_and_remedy(values: dict[str, Any], message: str) -> None:
    assert refusal_of(values).startswith(message)


def test_another_preset_takes_over_all_but_what_was_given() -> None:
    dumped = Config(preset="fineweb", seed=7, bands=20, rows=5).model_dump(mode="json")
    left = without_preset(dumped)
    changed = Config.model_validate({**left, "preset": "nemo"})
    assert (changed.bands, changed.rows, changed.seed) == (20, 5, 7)
    assert (changed.shingle.unit, changed.shingle.length, changed.num_perm) == ("character", 24, 260)
