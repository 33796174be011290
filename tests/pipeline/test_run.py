"""A whole run from one config: what it reads, what it writes, and what a second one reuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner, Result

from slimpajama.cli.main import app
from slimpajama.config.run import RunConfig, load_run_config
from slimpajama.errors import ConfigError
from slimpajama.pipeline.run import run_all
from slimpajama.registry import MIXTURE_FORMATS
from slimpajama.tokens.store import open_store
from tests.conftest import REPOSITORY

CONFIG: dict[str, Any] = {
    "sample": {"docs": 300, "seed": 4},
    "dedup": {"memory": "256MiB", "workers": 1},
    "tokens": {"holdout": 0.08},
    "mixtures": {"recipes": ["recipes/web.yaml", "recipes/both.yaml"], "tokens": "40k", "sequence_length": 64},
}
RECIPES = {
    "web": {"name": "web", "weights": {"common_crawl": 100}, "tokens": "1B"},
    "both": {"name": "both", "weights": {"c4": 75, "github": 25}, "tokens": "1B", "max_epochs": 50},
}


def written(folder: Path, config: object = CONFIG) -> Path:
    (folder / "recipes").mkdir(parents=True, exist_ok=True)
    for name, recipe in RECIPES.items():
        (folder / "recipes" / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    (folder / "run.yaml").write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return folder / "run.yaml"


def run(config: Path, out: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["run", str(config), "--output", str(out), *map(str, words)])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def done(config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("run")
    return out, run(config, out)


def refusal(folder: Path, config: object, *words: str, **flags: Any) -> str:
    file = written(folder, config)
    with pytest.raises(ConfigError) as caught:
        load_run_config(file, words, **flags)
    return str(caught.value).replace(str(file), "FILE")


def times(out: Path) -> dict[Path, int]:
    """When each file of a run was written, less the summaries."""
    return {
        path.relative_to(out): path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and path.suffix in (".parquet", ".npy", ".zst", ".arrow", ".jsonl", ".gz")
    }


# ------------------------------------------------------------------------------------------------ the config


def test_a_config_is_the_file_then_assignments_then_flags(tmp_path: Path) -> None:
    file = written(tmp_path)
    assert load_run_config(file).model_dump()["mixtures"] == {
        "recipes": ("recipes/web.yaml", "recipes/both.yaml"),
        "tokens": 40_000,
        "sequence_length": 64,
        "scope": None,
        "seed": None,
        "format": "parquet",
    }
    words = ["dedup.workers=3", "dedup.memory=1GiB", "tokens.shuffle_seed=9", "mixtures.format=megatron"]
    loaded = load_run_config(file, words, **{"dedup.workers": 2, "input": None})
    assert (loaded.dedup.workers, loaded.dedup.memory) == (2, 1 << 30)
    assert (loaded.tokens.shuffle_seed, loaded.tokens.holdout, loaded.mixtures.format) == (9, 0.08, "megatron")
    assert (loaded.input, loaded.sample and loaded.sample.docs) == (None, 300)


def test_an_input_given_as_a_flag_takes_the_place_of_the_sample(tmp_path: Path) -> None:
    loaded = load_run_config(written(tmp_path), input="/data")
    assert (loaded.input, loaded.sample) == ("/data", None)


@pytest.mark.parametrize("section", ["dedup", "tokens", "mixtures"])
def test_an_empty_section_takes_assignments(tmp_path: Path, section: str) -> None:
    file = written(tmp_path, f"input: in\n{section}:\n  # nothing yet\n")
    name = "holdout_seed" if section == "tokens" else "seed"
    loaded = load_run_config(file, [f"{section}.{name}=5"])
    assert getattr(getattr(loaded, section), name) == 5


@pytest.mark.parametrize("section", ["dedup", "tokens", "mixtures"])
def test_an_empty_section_is_its_defaults(tmp_path: Path, section: str) -> None:
    loaded = load_run_config(written(tmp_path, f"input: in\n{section}:\n"))
    assert loaded == RunConfig(input="in")


@pytest.mark.parametrize("name", ["sample", "redpajama"])
def test_the_shipped_configs_are_sound_and_ask_for_the_six_mixtures(name: str) -> None:
    file = REPOSITORY / "configs" / f"{name}.yaml"
    loaded = load_run_config(file, input="in" if name == "redpajama" else None)
    assert (loaded.sample is None) == (name == "redpajama")
    assert loaded.mixtures.recipes == tuple(f"mixtures/dc-{number}.yaml" for number in range(1, 7))
    assert all((file.parent / recipe).is_file() for recipe in loaded.mixtures.recipes)


@pytest.mark.parametrize(
    ("config", "words", "message"),
    [
        (
            {},
            [],
            "FILE: settings: give either input, a folder of shards (--input), or sample, to make the built-in one",
        ),
        (
            {"input": "a", "sample": {}},
            [],
            "FILE: settings: give either input, a folder of shards (--input), or sample, to make the built-in one",
        ),
        (
            {"input": "a", "output": "b"},
            [],
            "FILE: there is no setting 'output'; the settings are input, sample, dedup, tokens, mixtures",
        ),
        (
            {"sample": {"documents": 5}},
            [],
            "FILE: there is no setting 'sample.documents'; the settings are docs, seed",
        ),
        (
            {"sample": {"docs": 49}},
            [],
            "FILE: sample.docs: must be at least 50 (given: 49)",
        ),
        (
            {"input": "a"},
            ["mixtures.format=arrow"],
            f"FILE: mixtures.format: there is no format 'arrow'; the formats are {', '.join(MIXTURE_FORMATS.names)}",
        ),
        (
            {"input": "a"},
            ["tokens.holdout=0.6"],
            "FILE: tokens.holdout: must be at most 0.1 (given: 0.6)",
        ),
        ({"input": "a"}, ["input.deeper=1"], "--set input.deeper: 'input' is not a section of FILE"),
        ({"input": "a"}, ["dedup.memory"], "--set dedup.memory: write it as key=value, for example --set memory=8GiB"),
        ("[1, 2]", [], "FILE holds a list; it must be a mapping of settings to values"),
    ],
)
def test_each_mistake_in_a_config_is_one_sentence(
    tmp_path: Path, config: object, words: list[str], message: str
) -> None:
    assert refusal(tmp_path, config, *words) == message


def test_all_recipes_are_read_before_anything_is_started(tmp_path: Path) -> None:
    file = written(tmp_path)
    (tmp_path / "recipes" / "both.yaml").write_text("name: both\nweights: {c4: 75}\ntokens: 1B\n")
    result = run(file, tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f"error: {tmp_path / 'recipes' / 'both.yaml'}: settings: the weights sum to 75; as percent they must "
        "sum to 100 (within 0.2 for rounded tables), as fractions to 1 (within 0.002); for other numbers set "
        "weights_are to ratio or tokens"
    )
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------ the run


def test_a_run_makes_sample_deduplication_store_mixtures_and_summary(done: tuple[Path, Result]) -> None:
    out, result = done
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in out.iterdir()} == {
        "sample",
        "dedup",
        "mixtures",
        "summary.json",
        "request.json",
        "files.json",
        "report",
    }
    assert {path.name for path in (out / "mixtures").iterdir()} == {
        "tokens",
        "holdout",
        "web",
        "both",
        "ratios.csv",
        "request.json",
    }
    summary = orjson.loads((out / "summary.json").read_bytes())
    assert summary["config"]["sample"] == {"docs": 300, "seed": 4}
    assert summary["dedup"] == orjson.loads((out / "dedup" / "summary.json").read_bytes())
    assert summary["tokens"]["fingerprint"] == open_store(out / "mixtures" / "tokens").fingerprint
    assert set(summary["stages"]) == {
        "survey",
        "tokenizer",
        "tokenise",
        "holdout",
        "shuffle",
        "held-out texts",
        "shared runs",
        "near held-out",
        "holdout files 64",
        "token store",
        "mix web",
        "mix both",
    }
    for name in RECIPES:
        manifest = orjson.loads((out / "mixtures" / name / "manifest.json").read_bytes())
        assert manifest["plan"]["sequences"] == 40_000 // 64
        assert summary["mixtures"][name]["holdout"] == manifest["holdout"]
        assert summary["mixtures"][name]["plan"] == manifest["plan"]


def test_a_run_prints_the_tables_and_where_to_look(done: tuple[Path, Result]) -> None:
    out, result = done
    lines = result.stdout.splitlines()
    assert result.stderr.startswith("9 bands x 13 rows link a pair of Jaccard ")
    assert "web: 625 sequences of 64 tokens" in lines
    assert "both: 625 sequences of 64 tokens" in lines
    assert [line.split()[:5] for line in lines if line.split()[:1] in (["c4"], ["github"])][-2:] == [
        ["github", "25.000", "24.960", "156", "9,984"],
        ["c4", "75.000", "75.040", "469", "30,016"],
    ]
    assert lines[-2].endswith(f" s in all; summary: {out / 'summary.json'}")
    assert lines[-1] == f"report: {out / 'report' / 'index.html'}"


def test_a_second_run_reuses_everything(config: Path, done: tuple[Path, Result]) -> None:
    out, _ = done
    before = times(out)
    result = run(config, out, "--json")
    assert result.exit_code == 0
    assert times(out) == before
    assert len(before) > 30
    summary = orjson.loads(result.stdout)
    assert list(summary["stages"]) == ["token store", "holdout files 64", "mix web", "mix both"]
    for stages in (summary["stages"], summary["dedup"]["stages"]):
        assert all(stage["reused"] == stage["items"] for stage in stages.values())


def test_a_run_goes_on_where_one_was_cut_off(config: Path, done: tuple[Path, Result], tmp_path: Path) -> None:
    complete, _ = done
    out = tmp_path / "out"
    shutil.copytree(complete, out)
    shutil.rmtree(out / "mixtures" / "both")
    (out / "mixtures" / "web" / "manifest.json").unlink()
    (out / "summary.json").unlink()
    before = times(out)
    assert run(config, out, "--quiet", "--input", complete / "sample").stdout == ""
    assert times(out).items() >= before.items()
    for path in (complete / "mixtures").rglob("*.parquet"):
        assert (out / path.relative_to(complete)).read_bytes() == path.read_bytes()
    for name in RECIPES:
        manifests = [orjson.loads((one / "mixtures" / name / "manifest.json").read_bytes()) for one in (complete, out)]
        assert manifests[0] == manifests[1]


def test_another_budget_keeps_the_store(config: Path, done: tuple[Path, Result], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0], out)
    before = {path: at for path, at in times(out).items() if path.parts[:2] != ("mixtures", "web")}
    words = ["--set", "mixtures.tokens=20k", "--set", "mixtures.recipes=[recipes/web.yaml]"]
    words += ["--input", str(done[0] / "sample")]
    assert run(config, out, *words).exit_code == 0
    assert {path: at for path, at in times(out).items() if path in before} == before
    assert orjson.loads((out / "mixtures" / "web" / "manifest.json").read_bytes())["plan"]["sequences"] == 312


@pytest.mark.slow
def test_an_input_is_found_beside_the_config_and_another_by_the_flag(done: tuple[Path, Result], tmp_path: Path) -> None:
    shutil.copytree(done[0] / "sample", tmp_path / "here" / "in")
    settings = {**CONFIG, "input": "in"}
    del settings["sample"]
    file = written(tmp_path / "here", settings)
    summaries = [
        run_all(load_run_config(file), file.parent, tmp_path / "one").as_dict(),
        orjson.loads(
            run(written(tmp_path / "other"), tmp_path / "two", "--input", tmp_path / "here/in", "--json").stdout
        ),
    ]
    assert not (tmp_path / "two" / "sample").exists()
    first = orjson.loads((done[0] / "summary.json").read_bytes())
    for summary in summaries:
        assert summary["tokens"]["sources"] == first["tokens"]["sources"]
        assert summary["tokens"]["fingerprint"] == first["tokens"]["fingerprint"]


def test_without_recipes_a_run_only_deduplicates(done: tuple[Path, Result], tmp_path: Path) -> None:
    file = written(tmp_path, {"input": str(done[0] / "sample"), "dedup": {"workers": 1}})
    summary = run_all(load_run_config(file), file.parent, tmp_path / "out")
    assert summary.mixtures.plans == {}
    assert summary.as_dict()["mixtures"] == {}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "dedup",
        "summary.json",
        "request.json",
        "files.json",
    }
