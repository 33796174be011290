"""``slimpajama verify``: a sound run has no finding; each kind of damage is found, alone, where it is."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from typer.testing import CliRunner

from slimpajama.cli.main import app
from slimpajama.config.run import load_run_config
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.run import run_all
from slimpajama.pipeline.verify import Verification, verify_run
from slimpajama.storage.atomic import content_digest, file_record, read_json, write_json
from slimpajama.storage.file_list import read_file_list, write_file_list
from slimpajama.verification.findings import REMEDY

MEMORY = 1 << 30


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    mixture = {"tokens": 60_000, "sequence_length": 64, "max_epochs": 50, "file_tokens": 30_000}
    weights = {"web": {"wikipedia": 20, "c4": 80}, "papers": {"arxiv": 100}}
    for name, own in weights.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"name": name, "weights": own, **mixture}, sort_keys=False))
    config = {
        "sample": {"docs": 300, "seed": 4},
        "dedup": {"workers": 1, "piece_bytes": "100KiB"},
        "tokens": {"holdout": 0.1},
        "mixtures": {"recipes": ["web.yaml", "papers.yaml"]},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(config))
    run_all(load_run_config(folder / "run.yaml"), folder, folder / "run")
    return folder / "run"


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def verified(run: Path, memory: int = MEMORY) -> Verification:
    with LocalEngine(1) as engine:
        return verify_run(run, engine, memory=memory)


def others(root: Path, name: str, known: tuple[str, ...]) -> int:
    """How many files the list names of which no name has a part that is ``known``."""
    listing = read_file_list(root / name)
    assert listing is not None
    names = [*listing.files, *listing.sealed]
    return len([name for name in names if not any(part in name and "done/" not in name for part in known)])


def test_a_sound_run_has_no_finding(sound: Path) -> None:
    found = verified(sound)
    assert found.findings == []
    parts = len(read_json(sound / "dedup" / "work" / "pieces.json")["parts"])
    files = len(list((sound / "mixtures" / "web").glob("*.parquet")))
    buckets = len(list((sound / "mixtures" / "tokens" / "sources").rglob("*.tokens.npy")))
    assert found.checked == {
        "parts of shards": parts,
        "ranges of clusters": 2,
        "other files of the deduplication": others(sound / "dedup", "work/files.json", (".zst", "decisions")),
        "token buckets": buckets,
        "token store": 1,
        "files of papers": len(list((sound / "mixtures" / "papers").glob("*.parquet"))),
        "files of web": files,
        "files of holdout": len(list((sound / "mixtures" / "holdout").rglob("*.parquet"))),
        "other files of the mixtures": others(sound / "mixtures", "tokens/files.json", ("parquet", "sources/")),
        "other files of the run": others(sound, "files.json", ()),
    }
    assert parts > 7
    assert files == 2


def test_parts_can_be_verified_alone(sound: Path) -> None:
    assert list(verified(sound / "dedup").checked)[:2] == ["parts of shards", "ranges of clusters"]
    assert next(iter(verified(sound / "mixtures").checked)) == "token buckets"


def test_little_memory_goes_through_the_clusters_in_many_ranges(sound: Path) -> None:
    found = verified(sound, memory=200)
    assert found.checked["ranges of clusters"] > 5
    assert found.findings == []


LISTS = (
    ("", "files.json"),
    ("dedup", "work/files.json"),
    ("mixtures", "tokens/files.json"),
    ("", "tokens/files.json"),
)


def relist(run: Path) -> None:
    """Make what lies there what was written, as far as the lists of files go."""
    for folder, name in LISTS:
        root = run / folder
        listing = read_file_list(root / name)
        if listing is not None:
            records = [file_record(root / file) for file in listing.files if (root / file).exists()]
            write_file_list(root / name, root, records, listing.sealed)


def a_shard(run: Path, scope: str = "global") -> Path:
    return max((run / "dedup" / scope).rglob("*.zst"), key=lambda path: path.stat().st_size)


def a_table(run: Path) -> Path:
    return max((run / "dedup" / "decisions").rglob("*.parquet"), key=lambda path: path.stat().st_size)


def flip(path: Path, at: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.write_bytes(content)


def manifest_of(run: Path, path: Path) -> tuple[dict[str, Any], str]:
    return read_json(run / "dedup" / "work" / "pieces.json"), path.relative_to(run / "dedup").as_posix()


def admit_shard(run: Path, path: Path) -> None:
    """Make a changed shard the one that was written, as far as its digest goes."""
    manifest, name = manifest_of(run, path)
    for shard in (shard for part in manifest["parts"] for shard in part["shards"]):
        if shard["path"] == name and shard["blake2b"] is not None:
            shard["blake2b"] = file_record(path).blake2b
    write_json(run / "dedup" / "work" / "pieces.json", manifest)


def admit_table(run: Path, path: Path) -> None:
    manifest, name = manifest_of(run, path)
    for part in manifest["parts"]:
        if part["decisions"] == name:
            part["decided"] = content_digest([file_record(path)])
    write_json(run / "dedup" / "work" / "pieces.json", manifest)


def rewrite_lines(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read().splitlines(keepends=True)
    path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(b"".join(change(lines))))


def rewrite_table(path: Path, change: Callable[[dict[str, list[Any]]], None]) -> None:
    table = pq.read_table(path)
    columns = table.to_pydict()
    change(columns)
    pq.write_table(pa.table(columns, schema=table.schema), path)


@pytest.mark.parametrize(
    "which",
    [
        lambda run: a_shard(run),
        lambda run: a_table(run),
        lambda run: next((run / "mixtures" / "tokens" / "sources").rglob("*.tokens.npy")),
        lambda run: next((run / "mixtures" / "tokens" / "sources").rglob("*.documents.npy")),
        lambda run: next((run / "mixtures" / "web").glob("train*.parquet")),
    ],
)
@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_damage_to_any_file_is_found(run: Path, which: Callable[[Path], Path], damage: str) -> None:
    path = which(run)
    if damage == "flip":
        flip(path)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    findings = verified(run).findings
    assert findings[0].startswith(str(path))
    assert findings[0].endswith("it is made anew")
    assert ("is missing" in findings[0]) == (damage == "delete")


def only(run: Path, *parts: str) -> None:
    """There is one finding, and it says this, although the lists of files say that all is as it was written."""
    relist(run)
    findings = verified(run).findings
    assert len(findings) == 1, findings
    for part in parts:
        assert part in findings[0], findings[0]


def test_a_dropped_line_is_found(run: Path) -> None:
    path = a_shard(run)
    rewrite_lines(path, lambda lines: lines[:-1])
    admit_shard(run, path)
    only(run, f"{path} holds ", " records, not ")


def test_swapped_lines_are_found(run: Path) -> None:
    path = a_shard(run)
    rewrite_lines(path, lambda lines: [lines[1], lines[0], *lines[2:]])
    admit_shard(run, path)
    only(run, f"{path}: record 0 is not the one that decisions/", REMEDY)


def test_a_line_too_many_is_found(run: Path) -> None:
    path = a_shard(run)
    rewrite_lines(path, lambda lines: [*lines, lines[0]])
    admit_shard(run, path)
    kept = len(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes())).read().splitlines()) - 1
    only(run, f"{path}: record {kept:,} is not the one")


def test_a_broken_line_is_found(run: Path) -> None:
    path = a_shard(run)
    rewrite_lines(path, lambda lines: [b"{" + lines[0], *lines[1:]])
    admit_shard(run, path)
    only(run, f"{path}: the record at byte 0 is broken: ")


def test_a_record_of_another_source_is_found(run: Path) -> None:
    path = a_shard(run)

    def rename(lines: list[bytes]) -> list[bytes]:
        record = json.loads(lines[0])
        record["meta"]["redpajama_set_name"] = "RedPajamaNothing"
        return [json.dumps(record).encode() + b"\n", *lines[1:]]

    rewrite_lines(path, rename)
    admit_shard(run, path)
    only(run, f"{path}: the record at byte 0 is broken: ", "'RedPajamaNothing'")


def test_a_document_that_is_there_twice_is_found(run: Path) -> None:
    path = a_table(run)

    def double(columns: dict[str, list[Any]]) -> None:
        for name in ("id", "position"):
            columns[name][1] = columns[name][0]

    rewrite_table(path, double)
    admit_table(run, path)
    relist(run)
    assert any("do not ascend: a document is there twice" in finding for finding in verified(run).findings)


def test_kept_globally_but_not_locally_is_found(run: Path) -> None:
    path = a_table(run)

    def change(columns: dict[str, list[Any]]) -> None:
        columns["kept_local"][columns["kept_global"].index(True)] = False

    rewrite_table(path, change)
    admit_table(run, path)
    relist(run)
    assert "verdict and flags of document" in verified(run).findings[0]


def test_figures_that_are_not_conserved_are_found(run: Path) -> None:
    path = run / "dedup" / "summary.json"
    summary = read_json(path)
    summary["sources"]["arxiv"]["global"]["duplicate"]["documents"] += 1
    write_json(path, summary)
    only(run, f"{path}: documents of source 'arxiv' are not conserved in the global scope")


def test_figures_that_are_not_those_of_the_decisions_are_found(run: Path) -> None:
    path = run / "dedup" / "summary.json"
    summary = read_json(path)
    for state in ("read", "short"):
        summary["sources"]["arxiv"][state]["documents"] += 1
    write_json(path, summary)
    read = summary["sources"]["arxiv"]["read"]
    relist(run)
    findings = verified(run).findings
    assert len(findings) == 2
    assert f"says {read['documents']:,} documents of {read['bytes']:,} bytes read of source 'arxiv'" in findings[0]


def bucket(run: Path, split: str = "train") -> tuple[Path, Path]:
    tokens = max(
        (run / "mixtures" / "tokens" / "sources").glob(f"*/{split}/*.tokens.npy"), key=lambda path: path.stat().st_size
    )
    return tokens, tokens.with_name(tokens.name.replace("tokens", "documents"))


def admit_bucket(run: Path, tokens: Path, documents: Path) -> None:
    path = run / "mixtures" / "tokens" / "store.json"
    store = read_json(path)
    source, split, number = tokens.parts[-3], tokens.parts[-2], int(tokens.name.split(".")[0])
    store["sources"][source][split][number]["digests"] = [file_record(file).blake2b for file in (tokens, documents)]
    write_json(path, store)


def test_one_changed_token_is_found_in_store_and_mixture(run: Path) -> None:
    tokens, documents = bucket(run)
    values = np.load(tokens)
    first = int(np.load(documents)["tokens"][0])
    values[first - 1] ^= 1  # where the end of text was
    np.save(tokens, values)
    admit_bucket(run, tokens, documents)
    relist(run)
    findings = verified(run).findings
    assert f"{tokens}: documents do not end where {documents.name} says; {REMEDY}" in findings


def test_documents_in_another_order_are_found(run: Path) -> None:
    tokens, documents = bucket(run)
    rows = np.load(documents)
    rows["text"][:2] = rows["text"][1::-1].copy()
    np.save(documents, rows)
    admit_bucket(run, tokens, documents)
    relist(run)
    assert f"{documents} is not in the order of the shuffle, or holds a piece twice; {REMEDY}" in verified(run).findings


def test_a_cluster_on_both_sides_of_the_split_is_found(run: Path) -> None:
    tokens, documents = bucket(run)
    held_out = np.load(bucket(run, "test")[1])
    rows = np.load(documents)
    rows["cluster"][0] = held_out["cluster"][0]
    np.save(documents, rows)
    admit_bucket(run, tokens, documents)
    only(
        run,
        f"global cluster {int(held_out['cluster'][0]):#x} has a document in ",
        "/train and one, or its text, in another split",
    )


def test_a_store_that_lost_a_document_is_found(run: Path) -> None:
    path = run / "mixtures" / "tokens" / "summary.json"
    summary = read_json(path)
    counts = summary["sources"]["c4"]["global"]["documents"]
    counts["in"] -= 1
    counts["excluded"] -= 1
    write_json(path, summary)
    only(
        run, f"{path}: {counts['in']:,} documents of c4 went in, but {counts['in'] + 1:,} are kept in the global scope"
    )


def a_file(run: Path) -> Path:
    return next((run / "mixtures" / "web").glob("train*.parquet"))


def admit_file(run: Path, path: Path) -> None:
    manifest = read_json(path.parent / "manifest.json")
    for entry in manifest["files"]:
        if entry["name"] == path.name:
            record = file_record(path)
            entry.update(bytes=record.bytes, blake2b=record.blake2b)
    write_json(path.parent / "manifest.json", manifest)


@pytest.mark.parametrize("column", ["input_ids", "source", "doc_starts"])
def test_one_changed_value_in_a_mixture_is_found(run: Path, column: str) -> None:
    path = a_file(run)
    table = pq.read_table(path)
    columns = table.to_pydict()
    if column == "source":
        columns[column][0] = "c4" if columns[column][0] != "c4" else "wikipedia"
    else:
        row = next(at for at, values in enumerate(columns[column]) if values)
        columns[column][row][0] ^= 1
    pq.write_table(pa.table(columns, schema=table.schema), path)
    admit_file(run, path)
    only(run, f"{path} differs from plan and store in column {column} of row group 0; {REMEDY}")


def test_a_missing_sequence_is_found(run: Path) -> None:
    path = a_file(run)
    table = pq.read_table(path)
    pq.write_table(table.slice(0, table.num_rows - 1), path)
    admit_file(run, path)
    only(run, f"{path} differs from plan and store in column input_ids")


def test_a_sequence_too_many_is_found(run: Path) -> None:
    path = a_file(run)
    table = pq.read_table(path)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.write_table(table.slice(0, 1))
    admit_file(run, path)
    only(run, f"{path} holds more than the {table.num_rows:,} planned sequences")


def test_a_manifest_that_says_something_else_than_the_plan_is_found(run: Path) -> None:
    path = run / "mixtures" / "web" / "manifest.json"
    manifest = read_json(path)
    manifest["plan"]["sources"][0]["sequences"] += 1
    write_json(path, manifest)
    only(run, f"{path} says ", "but the plan is ")


def test_a_file_of_no_mixture_is_found(run: Path) -> None:
    stray = run / "mixtures" / "web" / "train-00009-of-00010.parquet"
    stray.touch()
    only(run, f"{stray} is not of this run, but lies among its files; move it elsewhere or remove it")


def test_a_mixture_of_another_store_is_found(run: Path) -> None:
    path = run / "mixtures" / "papers" / "manifest.json"
    manifest = read_json(path)
    manifest["store"]["fingerprint"] = "0" * 32
    write_json(path, manifest)
    only(run, f"{path} is of a token store that is there no more")


def test_megatron_files_are_compared_too(sound: Path, tmp_path: Path) -> None:
    run = tmp_path / "mixed"
    recipe = tmp_path / "web.yaml"
    recipe.write_text(yaml.safe_dump({"name": "web", "weights": {"c4": 100}, "tokens": 20_000, "sequence_length": 64}))
    arguments = [
        "mix",
        "--input",
        str(sound / "dedup"),
        "--output",
        str(run),
        "--recipe",
        str(recipe),
        "--workers",
        "1",
    ]
    assert CliRunner().invoke(app, [*arguments, "--format", "megatron"]).exit_code == 0
    assert verified(run).findings == []
    path = next((run / "web").glob("train*.bin"))
    flip(path, 0)
    admit_file(run, path)
    only(run, f"{path} differs from plan and store after sequence 0")


def test_the_command_lists_findings_and_ends_with_its_exit_code(run: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(run), "--workers", "1"])
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "nothing is wrong")
    path = a_file(run)
    path.unlink()
    result = CliRunner().invoke(app, ["verify", str(run), "--workers", "1"])
    assert result.exit_code == 7
    assert result.stdout.splitlines()[0] == f"{path} is missing; run the same command again: it is made anew"
    assert result.stderr.splitlines()[-1] == f"error: 1 finding(s) in {run}, listed above"
    result = CliRunner().invoke(app, ["verify", str(run), "--workers", "1", "--json"])
    assert (result.exit_code, len(json.loads(result.stdout)["findings"])) == (7, 1)


def test_what_is_found_is_mended_by_the_same_command(sound: Path, run: Path) -> None:
    for path in (a_shard(run), a_file(run), bucket(run)[0]):
        path.unlink()
    assert len(verified(run).findings) >= 3
    run_all(load_run_config(sound.parent / "run.yaml"), sound.parent, run)
    assert verified(run).findings == []
    for path in (path for path in sound.rglob("*") if path.suffix in (".zst", ".parquet", ".npy")):
        assert (run / path.relative_to(sound)).read_bytes() == path.read_bytes()


def test_nothing_finished_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["verify", str(tmp_path)])
    assert result.exit_code == 3
    assert "holds nothing that is finished; give what --output of dedup, mix or run said" in result.stderr
