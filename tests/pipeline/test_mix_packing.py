"""Best-fit packing, provenance and the extra token, by the command: what the files say is what the store holds."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner, Result

import slimpajama
from slimpajama import deduplicate
from slimpajama.cli.main import app
from slimpajama.engine.local import LocalEngine
from slimpajama.mixture.planned import PlannedMixture
from slimpajama.sample import write_sample
from slimpajama.tokens.selection import Selection
from slimpajama.tokens.store import TokenStore, open_store
from slimpajama.training.sequence_files import SequenceFiles

LENGTH = 128


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deduplication in ``dedup``."""
    folder = tmp_path_factory.mktemp("packing")
    with LocalEngine(1) as engine:
        write_sample(folder / "in", docs=200, seed=2, engine=engine, progress=lambda size: None)
    deduplicate(folder / "in", folder / "dedup", workers=1)
    return folder


def mix(base: Path, name: str, *words: object, **settings: object) -> Result:
    recipe = {"name": name, "weights": {"c4": 60, "github": 40}, "tokens": 60_000, "sequence_length": LENGTH}
    path = base / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**recipe, "max_epochs": 50, "file_tokens": 20_000, **settings}))
    command = ["mix", "--workers", 1, "--input", base / "dedup", "--output", base / "out", "--recipe", path]
    return CliRunner().invoke(app, [str(word) for word in (*command, "--set", "tokens.piece_tokens=256", *words)])


def verified(base: Path) -> str:
    result = CliRunner().invoke(app, ["verify", str(base / "out")])
    return "" if result.exit_code == 0 else result.output


def texts(store: TokenStore, source: str, seed: int) -> dict[int, list[list[int]]]:
    """The tokens of each piece of a source's training documents, by document."""
    stream = store.stream(source, "train", Selection("global"), seed)
    spans = stream.pieces(0, stream.tokens, 0)
    tokens = stream.read(0, stream.tokens, 0)[0].tolist()
    found = defaultdict(list)
    for start, length, identity in zip(spans.starts.tolist(), spans.lengths.tolist(), spans.ids.tolist(), strict=True):
        found[identity].append(tokens[start : start + length])
    return found


@pytest.mark.parametrize("packing", ["concat", "best-fit"])
def test_every_stretch_is_of_the_document_it_says(base: Path, packing: str) -> None:
    name = f"of-{packing}"
    result = mix(base, name, "--packing", packing, "--provenance")
    assert result.exit_code == 0, result.stderr
    assert verified(base) == ""
    store = open_store(base / "out" / "tokens")
    documents = {source: texts(store, source, 1) for source in ("c4", "github")}
    whole = cut = padding = 0
    for path in sorted((base / "out" / name).glob("train*.parquet")):
        for row in pq.read_table(path).to_pylist():
            filled = row.get("padding_start", LENGTH)
            assert row["input_ids"][filled:] == [store.end_of_text] * (LENGTH - filled)
            assert sum(row["document_tokens"]) == filled
            padding += LENGTH - filled
            edges = np.cumsum([0, *row["document_tokens"]]).tolist()
            assert set(row["doc_starts"]) <= set(edges[:-1])
            assert set(edges[1:-1]) <= set(row["doc_starts"])
            for begin, end, identity in zip(edges[:-1], edges[1:], row["document_ids"], strict=True):
                stretch = row["input_ids"][begin:end]
                pieces = documents[row["source"]][identity]
                assert any(
                    piece[at : at + len(stretch)] == stretch
                    for piece in pieces
                    for at in range(len(piece) - len(stretch) + 1)
                )
                whole += [stretch] == pieces
                if packing == "best-fit" and [stretch] != pieces:
                    cut += 1
                    assert max(map(len, pieces)) > LENGTH or len(pieces) > 1
    manifest = json.loads((base / "out" / name / "manifest.json").read_bytes())
    assert manifest["packed"]["padding"] == padding
    assert manifest["packed"]["documents"] - manifest["packed"]["cut"] == whole
    assert (padding > 0) == (packing == "best-fit")
    card = (base / "out" / name / "README.md").read_text()
    assert f"* packing: {packing}; " in card
    assert "documents are not whole in one sequence" in result.output


def test_both_packings_are_told_before_anything_is_built(base: Path) -> None:
    result = mix(base, "told", "--dry-run")
    assert result.exit_code == 0, result.stderr
    lines = [line for line in result.output.splitlines() if line.startswith("packing ")]
    assert [line.split(":")[0] for line in lines] == ["packing concat", "packing best-fit"]
    shares = [float(line.split()[2]) for line in lines]
    assert shares[0] > shares[1] > 0


def test_a_dry_run_prints_the_plans_for_programs(base: Path) -> None:
    printed = json.loads(mix(base, "planned", "--dry-run", "--json").stdout)
    assert printed["mixtures"] == {}
    plan = msgspec.convert(printed["plans"]["planned"], PlannedMixture)
    assert (plan.sequence_length, plan.plan.sequences) == (LENGTH, 60_000 // LENGTH)
    assert sum(source.sequences for source in plan.plan.sources) == plan.plan.sequences
    assert [source.source for source in plan.plan.sources] == ["github", "c4"]
    assert {source.source for source in plan.holdout if source.weight} == {"c4", "github"}
    assert plan.packing["concat"].padding == 0 < plan.packing["best-fit"].padding
    assert plan.packing["concat"].cut > plan.packing["best-fit"].cut
    built = json.loads(mix(base, "planned", "--json").stdout)
    assert built["plans"] == printed["plans"]
    assert built["mixtures"]["planned"]["plan"] == printed["plans"]["planned"]["plan"]


def test_pieces_that_do_not_fit_a_sequence_are_refused_before_work(base: Path) -> None:
    result = mix(base, "odd", "--packing", "best-fit", "--seq-len", 100)
    assert result.exit_code != 0
    assert "set tokens.piece_tokens to 100 or a multiple of it, or packing to concat" in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["olmo", "nanotron", "mds", "megatron"])
def test_other_formats_have_the_same_padded_sequences(base: Path, name: str) -> None:
    result = mix(base, "padded", "--packing", "best-fit", "--provenance")
    assert result.exit_code == 0, result.stderr
    rows = [
        row
        for path in sorted((base / "out" / "padded").glob("train*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    result = mix(base, "padded", "--packing", "best-fit", "--provenance", "--format", name)
    assert result.exit_code == 0, result.stderr
    assert ("do not say where" in result.stderr) == (name == "megatron")
    assert verified(base) == ""
    folder = base / "out" / "padded"
    beside = [row for path in sorted(folder.glob("train*.provenance")) for row in pq.read_table(path).to_pylist()]
    assert [one["document_ids"] for one in beside] == [row["document_ids"] for row in rows]
    assert [one["document_tokens"] for one in beside] == [row["document_tokens"] for row in rows]
    if name in ("olmo", "nanotron"):
        found = SequenceFiles(folder, name).read(0, len(rows))
        assert found.tokens.tolist() == [row["input_ids"] for row in rows]
        assert found.filled is not None
        assert found.filled.tolist() == [row["padding_start"] for row in rows]


def test_an_extra_token_is_in_every_sequence(base: Path) -> None:
    result = mix(base, "extra", extra_token=True)
    assert result.exit_code == 0, result.stderr
    assert verified(base) == ""
    (path, *_) = sorted((base / "out" / "extra").glob("train*.parquet"))
    assert pq.read_schema(path).field("input_ids").type.list_size == LENGTH + 1
    assert SequenceFiles(base / "out" / "extra").length == LENGTH + 1


def held_out_rows(base: Path, stem: str) -> list[dict[str, Any]]:
    files = sorted((base / "out" / "holdout").glob(f"*/{stem}-00000-of-00001.parquet"))
    return [row for path in files for row in pq.read_table(path).to_pylist()]


def test_recipes_of_one_length_and_other_packing_share_an_output(base: Path) -> None:
    """Each is measured on sequences like those that it is trained on."""
    for name, settings in (
        ("joined", {}),
        ("fitted", {"packing": "best-fit"}),
        ("longer", {"extra_token": True}),
        ("even", {"sequence_length": LENGTH + 1}),
    ):
        assert mix(base, name, **settings).exit_code == 0
    assert verified(base) == ""
    shapes = (f"{LENGTH}", f"best-fit-{LENGTH}", f"extra-{LENGTH}", f"{LENGTH + 1}")
    joined, fitted, longer, even = (held_out_rows(base, f"validation-{shape}") for shape in shapes)
    assert joined
    assert fitted
    assert [row["input_ids"] for row in longer] == [row["input_ids"] for row in even]
    assert {len(row["input_ids"]) for row in joined + fitted} == {LENGTH}
    assert "padding_start" not in joined[0]
    assert min(row["padding_start"] for row in fitted) < LENGTH
    for name, rows in (("joined", joined), ("fitted", fitted), ("longer", longer)):
        found = slimpajama.load_mixture(base / "out" / name, "validation").to_table().to_pylist()
        of_sources = [row for row in rows if row["source"] in ("c4", "github")]
        assert sorted(row["input_ids"] for row in found) == sorted(row["input_ids"] for row in of_sources)
    card = (base / "out" / "holdout" / "README.md").read_text()
    for words in (f"| c4 | {LENGTH} |", f"| c4 | {LENGTH}, best-fit |", f"| c4 | {LENGTH} and one more |"):
        assert words in card
    assert mix(base, "joined").exit_code == 0
    assert verified(base) == ""
    assert held_out_rows(base, f"validation-best-fit-{LENGTH}"), "the files of other shapes stay"
