"""From the built-in sample through deduplication to mixtures, as a user would: the command, the files, the messages."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

from slimpajama import deduplicate
from slimpajama.cli.main import app
from slimpajama.config.recipe import load_recipe
from slimpajama.engine.local import LocalEngine
from slimpajama.mixture.sharing import apportion
from slimpajama.sample import write_sample
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store
from tests.conftest import REPOSITORY

LENGTH = 64
WEIGHTS = {"common_crawl": 52.2, "c4": 26.7, "github": 5.2, "wikipedia": 15.9, "books": 0}
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    with LocalEngine(1) as engine:
        write_sample(folder / "in", docs=400, seed=2, engine=engine, progress=lambda size: None)
    deduplicate(folder / "in", folder / "out", workers=1)
    return folder / "out"


def write_recipe(folder: Path, name: str, weights: dict[str, float], **settings: Any) -> Path:
    recipe = {"name": name, "weights": weights, "tokens": 150_000, "sequence_length": LENGTH, "max_epochs": 50}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**recipe, "file_tokens": 40_000, **settings}))
    return file


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("recipes")
    return {
        "mine": write_recipe(folder, "mine", WEIGHTS),
        "near": write_recipe(folder, "near", WEIGHTS, scope="local", tokens=50_000),
        "often": write_recipe(folder, "often", {"arxiv": 100}, tokens=400_000),
    }


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def mix(source: Path, out: Path, *words: object) -> Result:
    return call("mix", "--workers", 1, "--holdout", 0.08, "--input", source, "--output", out, *words)


@pytest.fixture(scope="module")
def made(output: Path, recipes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixtures")
    result = mix(output, out, *(word for file in recipes.values() for word in ("--recipe", file)))
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


def manifest_of(mixture: Path) -> dict[str, Any]:
    return dict(orjson.loads((mixture / "manifest.json").read_bytes()))


def files_of(mixture: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(mixture.glob("*.*")) if path.is_file()}


def rows_of(mixture: Path, split: str) -> list[dict[str, Any]]:
    return [row for path in sorted(mixture.glob(f"{split}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def documents_in(rows: list[dict[str, Any]]) -> Iterator[tuple[int, ...]]:
    """The documents that lie whole in a row, between two beginnings."""
    for row in rows:
        for begin, end in pairwise(row["doc_starts"]):
            yield tuple(row["input_ids"][begin:end])


# ------------------------------------------------------------------------------------------------ what is written


@pytest.mark.parametrize("name", ["mine", "near", "often"])
def test_a_mixture_is_what_its_recipe_asks(made: Path, recipes: dict[str, Path], name: str) -> None:
    recipe = load_recipe(recipes[name])
    rows = rows_of(made / name, "train")
    counts = Counter(row["source"] for row in rows)
    total = (recipe.budget or 0) // LENGTH
    assert len(rows) == total
    assert [counts[source] for source in recipe.shares()] == apportion(list(recipe.shares().values()), total)
    assert all(abs(counts[source] - share * total) < 1 for source, share in recipe.shares().items())
    assert {len(row["input_ids"]) for row in rows} == {LENGTH}
    files = [pq.read_table(path) for path in sorted((made / name).glob("train-*.parquet"))]
    assert len(files) == max(1, round(total * LENGTH / 40_000))
    for table in files:
        here = Counter(table.column("source").to_pylist())
        for source in recipe.shares():
            assert abs(here[source] - counts[source] * table.num_rows / total) <= 1 + 1e-9


@pytest.mark.parametrize("scope", ["global", "local"])
def test_held_out_documents_never_occur_in_train(output: Path, copy: Path, tmp_path: Path, scope: str) -> None:
    recipe = write_recipe(tmp_path, "long", WEIGHTS, sequence_length=8192, tokens=400_000)
    assert mix(output, copy, "--recipe", recipe, "--scope", scope).exit_code == 0
    train = set(documents_in(rows_of(copy / "long", "train")))
    store = open_store(copy / "tokens")
    held_out: list[tuple[int, ...]] = []
    for source in store.sources:
        for split in SPLITS[1:]:
            stream = store.stream(source, split, Selection("local"))
            tokens, begins = stream.read(0, stream.tokens, 0)
            ends = [*begins[1:].tolist(), stream.tokens]
            held_out += [tuple(tokens[begin:end].tolist()) for begin, end in zip(begins, ends, strict=False)]
    assert len(train) > 100
    assert len(held_out) > 20
    assert not train & set(held_out)


def test_no_id_and_no_cluster_is_in_two_splits_of_the_store(made: Path) -> None:
    found: dict[str, set[int]] = {split: set() for split in SPLITS}
    contents: dict[str, set[bytes]] = {split: set() for split in SPLITS}
    ids: list[tuple[int, int]] = []
    for path in (made / "tokens" / "sources").glob("*/*/*.documents.npy"):
        table = np.load(path)
        found[path.parent.name] |= set(table["cluster"].tolist()) | set(table["id"].tolist())
        contents[path.parent.name] |= {text.tobytes() for text in table["text"]}
        ids += zip(table["id"].tolist(), table["piece"].tolist(), strict=True)
    assert len(ids) == len(set(ids)) > 100
    for sets in (found, contents):
        assert all(sets.values())
        assert not sets["train"] & (sets["validation"] | sets["test"])
        assert not sets["validation"] & sets["test"]


def test_validation_and_test_are_their_whole_sequences_once(made: Path) -> None:
    store = open_store(made / "tokens")
    for split in SPLITS[1:]:
        rows = Counter(
            (source.name, tuple(row["input_ids"]))
            for source in (made / "holdout").iterdir()
            if source.is_dir()
            for row in rows_of(source, f"{split}-{LENGTH}")
        )
        expected = Counter(
            (source, tuple(tokens[begin : begin + LENGTH].tolist()))
            for source in store.sources
            for tokens in [whole(store, source, split)]
            for begin in range(0, tokens.size - LENGTH + 1, LENGTH)
        )
        assert rows == expected


def whole(store: TokenStore, source: str, split: str) -> np.ndarray[Any, Any]:
    stream = store.stream(source, split, Selection("global"))
    return stream.read(0, stream.tokens, 0)[0]


def test_a_source_repeated_is_its_epochs_one_after_the_other(made: Path) -> None:
    (account,) = manifest_of(made / "often")["plan"]["sources"]
    stream = open_store(made / "tokens").stream("arxiv", "train", Selection("global"), 1)
    epochs = [stream.read(0, stream.tokens, epoch)[0] for epoch in range(int(account["epochs"]) + 1)]
    joined = np.concatenate(epochs)[: account["tokens"]].reshape(-1, LENGTH)
    assert account["epochs"] == 400_000 // LENGTH * LENGTH / stream.tokens > 2
    rows = Counter(tuple(row["input_ids"]) for row in rows_of(made / "often", "train"))
    assert rows == Counter(map(tuple, joined.tolist()))


def test_the_manifest_lists_every_file_with_its_checksum_and_content(made: Path) -> None:
    manifest = manifest_of(made / "mine")
    assert {file["name"] for file in manifest["files"]} == {path.name for path in (made / "mine").glob("*.parquet")}
    for file in manifest["files"]:
        path = made / "mine" / file["name"]
        data = path.read_bytes()
        table = pq.read_table(path)
        assert file["bytes"] == len(data)
        assert file["blake2b"] == hashlib.blake2b(data, digest_size=16).hexdigest()
        assert Counter(table.column("source").to_pylist()) == +Counter(file["sequences"])
        # Those of pieces of long documents are among them.
        assert 0 < file["documents"] <= sum(map(len, table.column("doc_starts").to_pylist()))
        assert (file["name"][:6], file["format"]) == ("train-", "parquet")
    assert manifest["plan"]["sequences"] == len(rows_of(made / "mine", "train"))
    assert manifest["formats"] == ["parquet"]
    assert manifest["recipe"]["weights"] == WEIGHTS
    store = open_store(made / "tokens")
    assert manifest["store"] == {
        "fingerprint": store.fingerprint,
        "vocabulary": store.vocabulary,
        "end_of_text": store.end_of_text,
    }


def test_a_split_too_small_for_a_sequence_has_no_file_and_is_named(
    made: Path, output: Path, copy: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, "long", {"github": 100}, sequence_length=20_000, tokens=60_000)
    result = mix(output, copy, "--recipe", recipe, "--quiet")
    assert result.exit_code == 0
    manifest = manifest_of(copy / "long")
    assert manifest["plan"]["sequences"] == 3
    assert all((source["validation"], source["test"]) == (0, 0) for source in manifest["holdout"])
    assert [warning.split(";")[0] for warning in manifest["warnings"]] == [
        f"long has no {split} sequence of 20,000 tokens from 'github'" for split in ("validation", "test")
    ]
    card = (copy / "long" / "README.md").read_text()
    for warning in manifest["warnings"]:
        assert f"warning: {warning}\n" in result.stderr
        assert f"* Note: {warning}\n" in card
    assert not list((copy / "holdout").glob("*/*-20000-*"))


def test_tiny_files_are_never_empty(output: Path, copy: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, "tiny", {"github": 50, "c4": 50}, tokens=1280, file_tokens=40)
    assert mix(output, copy, "--recipe", recipe).exit_code == 0
    for file in manifest_of(copy / "tiny")["files"]:
        assert sum(file["sequences"].values()) == 1
        assert pq.read_table(copy / "tiny" / file["name"]).num_rows == 1


# ------------------------------------------------------------------------------------------------ reading it


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    for name in ("HF_HOME", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "hf"))
    return tmp_path / "cache"


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_a_mixture(made: Path, offline: Path, streaming: bool) -> None:
    import datasets

    loaded = datasets.load_dataset(str(made / "mine"), streaming=streaming, cache_dir=str(offline))
    assert list(loaded) == ["train"]
    assert list(loaded["train"]) == rows_of(made / "mine", "train")


def test_the_card_says_what_is_inside(made: Path) -> None:
    _, header, body = (made / "mine" / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(header) == {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "train-*.parquet"}],
            }
        ],
        "task_categories": ["text-generation"],
        "pretty_name": "mine",
    }
    lines = body.splitlines()
    assert lines[1] == "# mine"
    assert "* scope: global" in lines
    assert "* train: 2,343 sequences of 64 tokens" in lines
    assert "| source | asked % | got % | sequences | tokens | epochs | available | left unused |" in lines
    assert any(line.startswith("| common_crawl | 52.200 | 52.198 | 1,223 | 78,272 | ") for line in lines)
    assert "| total | 100.000 | 100.000 | 2,343 | 149,952 |  |  |  |" in lines


def test_megatron_files_hold_the_rows_of_the_parquet_ones_in_their_order(
    made: Path, output: Path, recipes: dict[str, Path], copy: Path
) -> None:
    assert mix(output, copy, "--recipe", recipes["mine"], "--format", "megatron").exit_code == 0
    names = {path.name for path in (copy / "mine").iterdir() if path.is_file()}
    for path in sorted((made / "mine").glob("*.parquet")):
        rows = np.array(pq.read_table(path).column("input_ids").to_pylist())
        index = (copy / "mine" / path.with_suffix(".idx").name).read_bytes()
        data = np.fromfile(copy / "mine" / path.with_suffix(".bin").name, dtype="<u2")
        assert int.from_bytes(index[18:26], "little") == rows.shape[0]
        assert (data.reshape(-1, LENGTH) == rows).all()
    assert {file["name"] for file in manifest_of(copy / "mine")["files"]} | {"README.md", "manifest.json"} == names
    before = files_of(made / "mine")
    assert {name: files_of(copy / "mine")[name] for name in before if name.endswith(".parquet")} == {
        name: content for name, content in before.items() if name.endswith(".parquet")
    }


# ------------------------------------------------------------------------------------------------ doing it again


def test_the_same_command_again_reuses_everything(
    made: Path, output: Path, recipes: dict[str, Path], copy: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.npy")}
    before |= {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")}
    assert mix(output, copy, "--recipe", recipes["mine"], "--recipe", recipes["near"]).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files_of(copy / "mine") == files_of(made / "mine")


def test_both_scopes_come_from_one_store(made: Path, output: Path, recipes: dict[str, Path], copy: Path) -> None:
    tokens = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (copy / "tokens").rglob("*.npy")}
    result = mix(output, copy, "--recipe", recipes["mine"], "--scope", "local")
    assert result.exit_code == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (copy / "tokens").rglob("*.npy")} == tokens
    available = {
        scope: {source["source"]: source["available"] for source in manifest_of(folder / "mine")["plan"]["sources"]}
        for scope, folder in (("global", made), ("local", copy))
    }
    assert all(available["local"][source] >= count for source, count in available["global"].items())
    assert available["local"] != available["global"]
    assert manifest_of(copy / "mine")["recipe"]["scope"] == "local"


def test_a_changed_recipe_leaves_only_its_own_files(
    output: Path, recipes: dict[str, Path], copy: Path, tmp_path: Path
) -> None:
    # As an interrupted run of yet another recipe leaves it: no manifest lists these.
    for name in (
        "train-00000-of-00009.parquet",
        "train-00001-of-00009.parquet.0123abcd.tmp",
        "test-00000-of-00003.bin",
    ):
        (copy / "mine" / name).write_bytes(b"?")
    (copy / "mine" / "notes-of-mine.txt").write_text("keep")
    changed = write_recipe(tmp_path, "mine", {"c4": 100}, file_tokens=200_000)
    assert mix(output, copy, "--recipe", changed).exit_code == 0
    assert {path.name for path in (copy / "mine").iterdir() if path.is_file()} == {
        "README.md",
        "manifest.json",
        "notes-of-mine.txt",
        "train-00000-of-00001.parquet",
    }
    assert {row["source"] for row in rows_of(copy / "mine", "train")} == {"c4"}


def test_a_lost_file_is_written_again(made: Path, output: Path, recipes: dict[str, Path], copy: Path) -> None:
    lost = sorted((copy / "mine").glob("train-*.parquet"))[1]
    lost.unlink()
    kept = sorted((copy / "mine").glob("train-*.parquet"))[0].stat().st_mtime_ns
    assert mix(output, copy, "--recipe", recipes["mine"]).exit_code == 0
    assert files_of(copy / "mine") == files_of(made / "mine")
    assert sorted((copy / "mine").glob("train-*.parquet"))[0].stat().st_mtime_ns == kept


def test_two_workers_make_the_same_files(made: Path, output: Path, recipes: dict[str, Path], tmp_path: Path) -> None:
    words = ["--holdout", 0.08, "--input", output, "--output", tmp_path, "--workers", 2]
    assert call("mix", *words, *(w for file in recipes.values() for w in ("--recipe", file))).exit_code == 0
    for name in recipes:
        assert files_of(tmp_path / name) == files_of(made / name)


# ------------------------------------------------------------------------------------------------ what is said


def test_a_dry_run_prints_the_plan_and_builds_nothing(
    made: Path, output: Path, recipes: dict[str, Path], copy: Path
) -> None:
    shutil.rmtree(copy / "mine")
    result = mix(output, copy, "--recipe", recipes["mine"], "--tokens", "10k", "--dry-run")
    assert result.exit_code == 0
    # Those of the store were said when it was made.
    assert result.stderr == "".join(f"warning: {warning}\n" for warning in manifest_of(made / "mine")["warnings"])
    table = [line.split() for line in result.stdout.splitlines()]
    assert ["mine:", "156", "sequences", "of", "64", "tokens"] in table
    rows = {line[0]: line[1:] for line in table if line}
    assert rows["source"][:4] == ["asked", "%", "got", "%"]
    assert rows["common_crawl"][:4] == ["52.200", "51.923", "81", "5,184"]
    assert rows["c4"][:4] == ["26.700", "26.923", "42", "2,688"]
    assert rows["total"][:4] == ["100.000", "100.000", "156", "9,984"]
    assert not (copy / "mine").exists()


def test_a_mixture_says_where_it_is_and_what_was_held_out(made: Path, output: Path, recipes: dict[str, Path]) -> None:
    result = mix(output, made, "--recipe", recipes["mine"])
    held_out = [source for source in manifest_of(made / "mine")["holdout"] if source["weight"]]
    validation, test = (sum(source[split] for source in held_out) for split in SPLITS[1:])
    assert result.stdout.splitlines()[0].startswith(f"token store: {made / 'tokens'}, ")
    assert result.stdout.splitlines()[-1] == (
        f"{made / 'mine'}: {len(manifest_of(made / 'mine')['files'])} files; {validation} validation, {test} test "
        f"sequences in {made / 'holdout'}"
    )


def test_json_is_the_store_and_the_manifests(made: Path, output: Path, recipes: dict[str, Path]) -> None:
    result = mix(output, made, "--recipe", recipes["mine"], "--json")
    printed = orjson.loads(result.stdout)
    assert printed["tokens"]["fingerprint"] == open_store(made / "tokens").fingerprint
    assert printed["mixtures"]["mine"]["files"] == manifest_of(made / "mine")["files"]
    assert mix(output, made, "--recipe", recipes["mine"], "--quiet").stdout == ""


def test_mistakes_are_one_sentence_and_change_nothing(
    output: Path, recipes: dict[str, Path], copy: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    own = load_recipe(REPOSITORY / "configs" / "mixtures" / "dc-7.yaml").name
    for words, code, said in [
        (["--recipe", recipes["mine"], "--recipe", recipes["mine"]], 2, "two recipes are named 'mine'; each needs a "),
        (["--recipe", write_recipe(tmp_path, "tokens", {"c4": 100})], 2, "a recipe cannot be named 'tokens'"),
        (
            ["--recipe", tmp_path / "none.yaml"],
            2,
            f"the recipe {tmp_path / 'none.yaml'} does not exist; give a YAML file or one of",
        ),
        (
            ["--recipe", recipes["mine"], "--recipe", REPOSITORY / "configs" / "mixtures" / "dc-7.yaml"],
            2,
            f"{own} asks 100 % of source 'refinedweb', but there is none; there are wikipedia, books, arxiv, ",
        ),
        (["--recipe", recipes["mine"], "--tokens", "much"], 2, f"{recipes['mine']}: tokens: 'much' is not a number"),
        (["--recipe", recipes["mine"], "--tokens", "1B"], 2, "mine asks "),
    ]:
        result = mix(output, copy, *words)
        assert (result.exit_code, result.stdout) == (code, ""), words
        *warnings, error = result.stderr.splitlines()
        assert error.startswith(f"error: {said}"), result.stderr
        assert all(line.startswith("warning: ") for line in warnings), result.stderr
    after = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.is_file()}
    assert {path for path in before if after[path] != before[path]} <= {copy / "request.json"}, (
        "what was asked for last"
    )
    assert after.keys() == before.keys()
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    result = mix(nothing, copy, "--recipe", recipes["mine"])
    assert result.exit_code == 3
    assert list(nothing.iterdir()) == []
    assert result.stderr == f"error: {nothing} holds no finished deduplication; give the output of slimpajama dedup\n"


def test_the_script_is_the_command(made: Path, output: Path, recipes: dict[str, Path], copy: Path) -> None:
    shutil.rmtree(copy / "mine")
    words = ["--input", output, "--output", copy, "--recipe", recipes["mine"], "--holdout", "0.08", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "make_mixtures.py", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert all(line.startswith(("warning: mine has no ", "warning: source ")) for line in done.stderr.splitlines()), (
        done.stderr
    )
    assert "test sequences in " in done.stdout
    assert files_of(copy / "mine") == files_of(made / "mine")
