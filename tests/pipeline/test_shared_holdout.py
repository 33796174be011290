"""What mixtures of one output share and keep: the holdout, files in several formats, the table of ratios, phases."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

import slimpajama
from slimpajama.cli.main import app
from slimpajama.engine.local import LocalEngine
from slimpajama.sample import write_sample

LENGTH = 64
COMMON: dict[str, Any] = {"tokens": 30_000, "sequence_length": LENGTH, "max_epochs": 50, "file_tokens": 10_000}


@pytest.fixture(scope="module")
def deduplicated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    with LocalEngine(1) as engine:
        write_sample(folder / "in", docs=300, seed=2, engine=engine, progress=lambda size: None)
    slimpajama.deduplicate(folder / "in", folder / "out", workers=1)
    return folder / "out"


def write_recipe(folder: Path, name: str, **settings: Any) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, **COMMON, **settings}))
    return file


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def mix(source: Path, out: Path, *words: object) -> Result:
    return call("mix", "--workers", 1, "--holdout", 0.05, "--input", source, "--output", out, *words)


@pytest.fixture(scope="module")
def made(deduplicated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, out = tmp_path_factory.mktemp("recipes"), tmp_path_factory.mktemp("mixtures")
    web = write_recipe(folder, "web", weights={"CommonCrawl": 0.75, "RedPajamaC4": 0.25})
    even = write_recipe(folder, "even", rule="unimax")
    result = mix(deduplicated, out, "--recipe", web, "--recipe", even)
    assert result.exit_code == 0, result.stderr
    shutil.copytree(folder, out / "recipes")
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def manifest(folder: Path) -> dict[str, Any]:
    return dict(orjson.loads((folder / "manifest.json").read_bytes()))


def findings(out: Path) -> list[str]:
    return slimpajama.verify(out, workers=1).findings


def test_all_mixtures_are_measured_on_all_sources_of_one_holdout(made: Path) -> None:
    shared, web, even = (manifest(made / name) for name in ("holdout", "web", "even"))
    assert not list(made.glob("*/validation-*")) + list(made.glob("*/test-*"))
    counts: dict[tuple[str, str], int] = {}
    for file in shared["files"]:
        path = made / "holdout" / file["name"]
        assert path.parent.name == file["source"]
        assert path.name == f"{file['split']}-{LENGTH}-00000-of-00001.parquet"
        assert pq.read_table(path).column("source").to_pylist() == [file["source"]] * file["sequences"]
        counts[file["source"], file["split"]] = file["sequences"]
    for mixture in (web, even):
        said = {(one["source"], split): one[split] for one in mixture["holdout"] for split in ("validation", "test")}
        assert {key: count for key, count in said.items() if count} == counts
        got = {one["source"]: one["sequences"] / mixture["plan"]["sequences"] for one in mixture["plan"]["sources"]}
        assert {one["source"]: one["weight"] for one in mixture["holdout"] if one["weight"]} == got
    assert len(even["plan"]["sources"]) == 7
    assert set(web["recipe"]["weights"]) == {"common_crawl", "c4"}, "by the names they have here"
    card = (made / "web" / "README.md").read_text()
    assert f"| common_crawl | 0.750000 | {counts['common_crawl', 'validation']} | " in card


def test_datasets_opens_the_holdout_of_a_source(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loaded = datasets.load_dataset(str(made / "holdout"), f"common_crawl-{LENGTH}", cache_dir=str(tmp_path))
    assert {split: part.num_rows for split, part in loaded.items()} == {
        file["split"]: file["sequences"]
        for file in manifest(made / "holdout")["files"]
        if file["source"] == "common_crawl"
    }


def test_validation_of_a_mixture_is_the_holdout_of_its_sources(made: Path) -> None:
    rows = slimpajama.load_mixture(made / "web", "validation").to_table().column("source").to_pylist()
    assert Counter(rows) == {
        one["source"]: one["validation"] for one in manifest(made / "web")["holdout"] if one["weight"]
    }


def test_another_format_keeps_the_files_of_the_first(deduplicated: Path, copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")}
    result = mix(deduplicated, copy, "--recipe", copy / "recipes" / "web.yaml", "--format", "megatron", "--keep")
    assert result.exit_code == 0, result.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    both = manifest(copy / "web")
    assert both["formats"] == ["megatron", "parquet"]
    assert Counter(file["format"] for file in both["files"]) == {"megatron": 6, "parquet": 3}
    assert {file["format"] for file in manifest(copy / "holdout")["files"]} == {"megatron", "parquet"}
    header = yaml.safe_load((copy / "web" / "README.md").read_text().split("---\n")[1])
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "train-*.parquet"}]
    checked = slimpajama.verify(copy, workers=1)
    assert checked.findings == []
    assert checked.checked["files of web"] == 9
    broken = copy / "web" / "train-00001-of-00003.parquet"
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    (finding,) = findings(copy)
    assert finding.startswith(f"{broken} ")
    assert mix(deduplicated, copy, "--recipe", copy / "recipes" / "even.yaml").exit_code == 0
    assert manifest(copy / "web")["formats"] == ["megatron", "parquet"], "it stays as it was"


def test_another_length_has_its_own_holdout_beside_the_first(deduplicated: Path, copy: Path) -> None:
    first = {file["name"] for file in manifest(copy / "holdout")["files"]}
    recipe = write_recipe(copy / "recipes", "long", weights={"c4": 100}, sequence_length=128)
    assert mix(deduplicated, copy, "--recipe", recipe).exit_code == 0
    names = {file["name"] for file in manifest(copy / "holdout")["files"]}
    assert first < names
    assert all("-128-" in name for name in names - first)
    assert findings(copy) == []


def test_what_is_wrong_with_the_holdout_is_found(copy: Path) -> None:
    lost = next((copy / "holdout").glob("c4/*.parquet"))
    lost.unlink()
    stray = copy / "holdout" / "c4" / "notes.txt"
    stray.write_text("mine")
    said = findings(copy)
    assert len(said) == 2
    assert any(str(lost) in one for one in said)
    assert f"{stray} is not of this run, but lies among its files; move it elsewhere or remove it" in said


def test_a_mixture_of_phases_is_one_folder_in_order(deduplicated: Path, copy: Path) -> None:
    phases = [
        {"name": "stable", "weights": {"common_crawl": 90, "wikipedia": 10}, "tokens": "20k"},
        {"name": "decay", "weights": {"wikipedia": 100}, "tokens": "2k"},
    ]
    recipe = write_recipe(copy / "recipes", "annealed", phases=phases, tokens=None)
    result = mix(deduplicated, copy, "--recipe", recipe)
    assert result.exit_code == 0, result.stderr
    assert "phase decay:" in result.stdout
    plan = manifest(copy / "annealed")["plan"]
    assert [(one["phase"], one["files"], one["sequences"]) for one in plan["phases"]] == [
        ("stable", 2, 312),
        ("decay", 1, 31),
    ]
    (wikipedia,) = plan["phases"][1]["sources"]
    assert (wikipedia["first"], wikipedia["sequences"]) == (31, 31)
    rows = [tuple(row) for row in slimpajama.load_mixture(copy / "annealed").to_table().column("input_ids").to_pylist()]
    assert len(set(rows)) == len(rows) == 343, "no sequence comes twice"
    assert "Phase decay, files 2 to 2:" in (copy / "annealed" / "README.md").read_text()
    assert findings(copy) == []
    assert slimpajama.status(copy).finished


def test_a_swarm_is_built_from_its_table_and_is_a_table(deduplicated: Path, copy: Path) -> None:
    shutil.rmtree(copy / "web")
    shutil.rmtree(copy / "even")
    table = copy / "recipes" / "swarm.csv"
    table.write_text("name,index,CommonCrawl,wikipedia\na,0,0.75,0.25\nb,1,0.5,0.5\n")
    base = copy / "recipes" / "base.yaml"
    base.write_text(yaml.safe_dump(COMMON))
    planned = mix(deduplicated, copy, "--ratios", table, "--recipe", base, "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert not (copy / "a").exists()
    assert mix(deduplicated, copy, "--ratios", table, "--recipe", base).exit_code == 0
    with (copy / "ratios.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    total = COMMON["tokens"] // LENGTH
    assert [list(row) for row in rows] == [["run", "name", "index", "wikipedia", "common_crawl"]] * 2
    assert [(row["name"], row["index"], float(row["common_crawl"])) for row in rows] == [
        ("a", "0", 351 / total),
        ("b", "1", 234 / total),
    ]
    assert findings(copy) == []


def test_a_faulty_table_changes_nothing(deduplicated: Path, tmp_path: Path) -> None:
    (tmp_path / "swarm.csv").write_text("c4\n1\n0.9\n")
    result = mix(deduplicated, tmp_path / "out", "--ratios", tmp_path / "swarm.csv", "--tokens", "2M")
    assert result.exit_code == 2
    assert f"{tmp_path / 'swarm.csv'}: row 2: the weights sum to 0.9;" in result.stderr
    assert not (tmp_path / "out").exists()
    for words, said in (
        ([], "nothing says what to mix; give --recipe or --ratios"),
        (["--ratios", "x", "--recipe", "a", "--recipe", "b"], "--ratios takes one --recipe at most, for what its rows"),
    ):
        assert said in mix(deduplicated, tmp_path / "out", *words).stderr


def test_names_that_other_things_have_are_refused(deduplicated: Path, tmp_path: Path) -> None:
    for name in ("tokens", "holdout", "ratios.csv"):
        recipe = write_recipe(tmp_path, name, weights={"c4": 100})
        assert (
            f"a recipe cannot be named '{name}': that is where "
            in mix(deduplicated, tmp_path / "out", "--recipe", recipe).stderr
        )


def test_parts_by_duplicates_and_repeats_are_planned_built_and_verified(deduplicated: Path, copy: Path) -> None:
    few, many = "common_crawl[duplicates=1]", "common_crawl[duplicates>1]"
    parts = write_recipe(copy / "recipes", "parts", weights={"CommonCrawl[duplicates=1]": 60, many: 40})
    repeat = {"by": "duplicates", "buckets": {1: 1, "2-3": 3, "4-": 5}}
    often = write_recipe(copy / "recipes", "often", weights={"common_crawl": 100}, repeat=repeat)
    result = mix(deduplicated, copy, "--recipe", parts, "--recipe", often)
    assert result.exit_code == 0, result.stderr
    total = COMMON["tokens"] // LENGTH
    rows = Counter(slimpajama.load_mixture(copy / "parts").to_table().column("source").to_pylist())
    assert [rows[few], rows[many]] == [281, total - 281]
    assert [one["source"] for one in manifest(copy / "parts")["holdout"] if one["weight"]] == ["common_crawl"]
    once, again = (manifest(copy / name)["plan"]["sources"] for name in ("parts", "often"))
    assert sum(one["distinct"] for one in once) == again[0]["distinct"] < again[0]["available"]
    assert again[0]["epochs"] == again[0]["tokens"] / again[0]["distinct"]
    assert findings(copy) == []
    assert slimpajama.status(copy).finished
    both = write_recipe(copy / "recipes", "both", rule="unimax", epochs={many: 1})
    said = mix(deduplicated, copy, "--recipe", both).stderr
    assert f"both takes '{many}' and 'common_crawl', which have documents in common; give parts that do not" in said


# --------------------------------------------------------------------------------------------------- dry runs


def test_a_dry_run_leaves_what_is_known_of_finished_mixtures(deduplicated: Path, copy: Path, tmp_path: Path) -> None:
    other = write_recipe(tmp_path, "other", rule="proportional")
    asked = (copy / "request.json").read_bytes()
    result = mix(deduplicated, copy, "--recipe", other, "--dry-run")
    assert (result.exit_code, "holds out" in result.stderr) == (0, False), "said when the store was made"
    assert (copy / "request.json").read_bytes() == asked
    state = slimpajama.status(copy)
    assert state.finished
    assert {"mix web", "mix even"} < set(state.stages)
    assert findings(copy) == []


def test_a_dry_run_of_another_store_tells_what_it_leaves_stale(deduplicated: Path, copy: Path, tmp_path: Path) -> None:
    other = write_recipe(tmp_path, "other", rule="proportional")
    result = mix(deduplicated, copy, "--recipe", other, "--dry-run", "--set", "tokens.shuffle_seed=7")
    assert result.exit_code == 0, result.stderr
    assert (
        "will be replaced (settings.shuffle_seed: 1 -> 7), which leaves 2 finished mixtures stale (even, web): run "
        "slimpajama mix with their recipes again\n"
    ) in result.stderr
    state = call("status", copy)
    assert not slimpajama.status(copy).finished
    assert "mix other" not in state.stdout
    said = findings(copy)
    assert [one.partition(" is of a token store that is there no more")[0] for one in said] == [
        str(copy / name / "manifest.json") for name in ("even", "holdout", "web")
    ]
    assert "run slimpajama mix with any of the recipes again" in said[1]


def test_status_lists_the_mixtures_of_earlier_commands(deduplicated: Path, copy: Path, tmp_path: Path) -> None:
    web = copy / "recipes" / "web.yaml"
    assert mix(deduplicated, copy, "--recipe", web, "--set", "tokens.shuffle_seed=7").exit_code == 0
    state = slimpajama.status(copy)
    assert (state.mixtures, state.finished) == ({"even": "stale"}, True)
    shown = call("status", copy).stdout
    assert (
        "mix even          finished, of a token store that is there no more; run slimpajama mix with its recipe"
        in shown
    )
    assert (
        mix(deduplicated, copy, "--recipe", copy / "recipes" / "even.yaml", "--set", "tokens.shuffle_seed=7").exit_code
        == 0
    )
    assert slimpajama.status(copy).mixtures == {"web": "current"}


def test_the_card_of_the_holdout_has_the_warnings_of_its_store(made: Path) -> None:
    warnings = orjson.loads((made / "tokens" / "summary.json").read_bytes())["warnings"]
    assert warnings
    card = (made / "holdout" / "README.md").read_text()
    assert all(f"* Note: {warning}\n" in card for warning in warnings)
