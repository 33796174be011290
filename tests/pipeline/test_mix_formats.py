"""Mixtures in the formats of other trainers, by the command: the same sequences in all of them, verified, and beside
them the tokenizer and what a loader wants."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from tokenizers import Tokenizer
from typer.testing import CliRunner, Result

from slimpajama import deduplicate
from slimpajama.cli.main import app
from slimpajama.engine.local import LocalEngine
from slimpajama.sample import write_sample
from slimpajama.tokens.store import open_store
from slimpajama.training.sequence_files import SequenceFiles
from tests.mixture.formats import slow_readers

LENGTH = 64


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deduplication in ``dedup``, and a recipe."""
    folder = tmp_path_factory.mktemp("formats")
    with LocalEngine(1) as engine:
        write_sample(folder / "in", docs=200, seed=2, engine=engine, progress=lambda size: None)
    deduplicate(folder / "in", folder / "dedup", workers=1)
    recipe = {"name": "web", "weights": {"c4": 60, "github": 40}, "tokens": 40_000, "sequence_length": LENGTH}
    (folder / "web.yaml").write_text(yaml.safe_dump({**recipe, "max_epochs": 50, "file_tokens": 15_000}))
    return folder


def mix(base: Path, *words: object) -> Result:
    command = [
        "mix",
        "--workers",
        1,
        "--input",
        base / "dedup",
        "--output",
        base / "out",
        "--recipe",
        base / "web.yaml",
    ]
    return CliRunner().invoke(app, [str(word) for word in (*command, *words)])


@pytest.fixture(scope="module")
def sequences(base: Path) -> list[list[int]]:
    """Those of train in Parquet."""
    assert mix(base).exit_code == 0
    files = sorted((base / "out" / "web").glob("train*.parquet"))
    assert len(files) > 1
    return [row for file in files for row in pq.read_table(file).column("input_ids").to_pylist()]


@pytest.mark.parametrize("name", ["olmo", "nanotron", "nanogpt", "mds"])
def test_every_format_has_the_same_sequences(base: Path, sequences: list[list[int]], name: str) -> None:
    result = mix(base, "--format", name)
    assert result.exit_code == 0, result.stderr
    folder = base / "out" / "web"
    if name == "mds":
        assert [sample.columns["tokens"] for sample in slow_readers.mds(folder)] == sequences
    else:
        ending = {"olmo": ".npy", "nanotron": ".ds", "nanogpt": ".nanogpt.bin"}[name]
        files = sorted(folder.glob(f"train*{ending}"))
        tokens = [token for file in files for token in slow_readers.unsigned(file.read_bytes(), 2)]
        assert tokens == [token for row in sequences for token in row]
    if name in ("olmo", "nanotron"):
        files_of_training = SequenceFiles(folder, name)
        assert (files_of_training.sequences, files_of_training.length) == (len(sequences), LENGTH)
        assert files_of_training.read(0, len(sequences)).tokens.tolist() == sequences
    verified = CliRunner().invoke(app, ["verify", str(base / "out")])
    assert verified.exit_code == 0, verified.stdout


def test_the_tokenizer_lies_beside_the_mixture(base: Path, sequences: list[list[int]]) -> None:
    folder = base / "out" / "web" / "tokenizer"
    store = open_store(base / "out" / "tokens")
    assert (folder / "tokenizer.json").read_bytes() == store.layout.tokenizer.read_bytes()
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.token_to_id(config["eos_token"]) == store.end_of_text
    assert config["model_max_length"] == LENGTH
    text = tokenizer.decode(sequences[0], skip_special_tokens=False)
    assert np.array_equal(tokenizer.encode(text).ids, sequences[0])


@pytest.mark.slow
def test_the_holdout_of_mosaicml_streaming_has_an_index_for_each_source_and_split(base: Path) -> None:
    out = base / "indexed"
    assert mix(base, "--output", out).exit_code == 0
    assert mix(base, "--output", out, "--format", "mds", "--keep").exit_code == 0
    listed = json.loads((out / "holdout" / "manifest.json").read_bytes())["files"]
    held_out = {(file["source"], file["split"]): file["name"] for file in listed if file["format"] == "parquet"}
    assert len(held_out) > 4
    for (source, split), name in held_out.items():
        samples = slow_readers.mds(out / "holdout" / source / f"{split}-{LENGTH}")
        rows = pq.read_table(out / "holdout" / name).to_pylist()
        assert [sample.columns["tokens"] for sample in samples] == [row["input_ids"] for row in rows]
        assert {sample.columns["source"] for sample in samples} == {source}
    checked = CliRunner().invoke(app, ["verify", str(out)])
    assert checked.exit_code == 0, checked.stdout
    next((out / "holdout").rglob("index.json")).unlink()
    assert CliRunner().invoke(app, ["verify", str(out)]).exit_code != 0
    assert mix(base, "--output", out, "--format", "mds").exit_code == 0
    assert CliRunner().invoke(app, ["verify", str(out)]).exit_code == 0


def test_indexes_go_with_what_they_index(base: Path) -> None:
    out = base / "outdated"
    assert mix(base, "--output", out, "--format", "mds").exit_code == 0
    assert list((out / "holdout").rglob("index.json"))
    assert mix(base, "--output", out, "--holdout", "0.02", "--set", "tokens.holdout_least=100").exit_code == 0
    assert not list((out / "holdout").rglob("index.json"))
    assert not list((out / "holdout").rglob("*.mds"))
    assert CliRunner().invoke(app, ["verify", str(out)]).exit_code == 0
