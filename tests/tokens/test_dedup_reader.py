"""Deduplicated documents, joined with their decisions: the right ids beside the right texts, or an error."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from slimpajama import deduplicate
from slimpajama.config.dedup import REDPAJAMA_SET_NAMES
from slimpajama.config.recipe import Recipe
from slimpajama.config.tokens import TokenConfig
from slimpajama.engine.local import LocalEngine
from slimpajama.errors import ConfigError, InputChanged, InputNotFound
from slimpajama.pipeline.mix import make_mixtures
from slimpajama.sample import write_sample
from slimpajama.stages.runner import Stages
from slimpajama.tokens.dedup_reader import KeptShard, kept_documents, open_dedup_output
from tests.conftest import texts_of_shard

Row = tuple[str, int, bool, int, str]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    with LocalEngine(1) as engine:
        write_sample(folder, docs=200, seed=3, engine=engine, progress=lambda size: None)
    return folder


@pytest.fixture(scope="module")
def output(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("both")
    deduplicate(sample, out, workers=1)
    return out


@pytest.fixture(scope="module")
def only_global(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("global")
    deduplicate(sample, out, workers=1, scope="global")
    return out


def joined(shards: Iterable[KeptShard]) -> list[Row]:
    return [
        (shard.source, int(identity), bool(kept), int(cluster), text)
        for shard in shards
        for batch in kept_documents(shard)
        for identity, kept, cluster, text in zip(
            batch.ids, batch.kept_global, batch.clusters, batch.texts.decoded(), strict=True
        )
    ]


def expected(out: Path, sample: Path, scope: str) -> set[Row]:
    """From decisions and the *input*: every kept record, found by its place in the shard it came from."""
    rows = set()
    for decision in pq.read_table(out / "decisions").to_pylist():
        if decision[f"kept_{scope}"]:
            text = text_at(sample / decision["shard"], decision["position"])
            cluster = decision["id"] if decision["cluster_global"] is None else decision["cluster_global"]
            rows.add((decision["source"], decision["id"], decision["kept_global"], cluster, text))
    return rows


def text_at(shard: Path, position: int) -> str:
    data = shard.read_bytes()
    if shard.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    text: str = orjson.loads(data[position:].split(b"\n", 1)[0])["text"]
    return text


def test_each_kept_document_comes_with_its_id_flag_and_cluster(sample: Path, output: Path) -> None:
    opened = open_dedup_output(output)
    rows = joined(opened.shards)
    assert opened.scope == "local"
    assert len(rows) == len(set(rows)) > 100
    assert set(rows) == expected(output, sample, "local")
    assert {kept for _, _, kept, _, _ in rows} == {True, False}
    assert {source for source, *_ in rows} == set(opened.sources)


def test_globally_deduplicated_shards_serve_the_global_scope(sample: Path, only_global: Path) -> None:
    opened = open_dedup_output(only_global)
    rows = joined(opened.shards)
    assert opened.scope == "global"
    assert set(rows) == expected(only_global, sample, "global")
    assert len(rows) == len(set(rows))
    assert all(kept and identity == cluster for _, identity, kept, cluster, _ in rows)


def test_where_removals_are_checked_global_shards_are_read_for_what_local_ones_lack(
    sample: Path, output: Path, tmp_path: Path
) -> None:
    """One document is made to be kept globally, but not locally, as a check against another survivor may have it."""
    out = tmp_path / "out"
    shutil.copytree(output, out)
    shard = open_dedup_output(out).shards[0]
    table = pq.read_table(shard.decisions)
    rows = table.to_pylist()
    lines = [number for number, row in enumerate(rows) if row["kept_local"]]
    lost = next(number for number in lines if rows[number]["kept_global"])
    rows[lost] |= {"kept_local": False, "size_local": None}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), shard.decisions)
    written = list(texts_of_shard(shard.shard))
    del written[lines.index(lost)]
    shard.shard.write_bytes(zstandard.compress(b"".join(orjson.dumps({"text": text}) + b"\n" for text in written)))
    summary = orjson.loads((out / "summary.json").read_bytes())
    summary["settings"]["checked"] = True
    (out / "summary.json").write_bytes(orjson.dumps(summary))
    opened = open_dedup_output(out)
    found = joined(opened.shards)
    assert len(found) == len(set(found))
    assert set(found) == expected(out, sample, "local") | expected(out, sample, "global")
    (alone,) = (batch for one in opened.shards if one.rest for batch in kept_documents(one))
    assert alone.ids.tolist() == [rows[lost]["id"]]
    assert (alone.kept_global.tolist(), alone.kept_local.tolist()) == ([True], [False])
    assert (alone.duplicates_global.tolist(), alone.duplicates_local.tolist()) == ([rows[lost]["size_global"]], [0])


def test_the_sources_come_in_the_order_of_the_run(output: Path) -> None:
    assert open_dedup_output(output).sources == tuple(REDPAJAMA_SET_NAMES)


@pytest.mark.parametrize("change", ["a document less", "a document more", "a broken line", "empty"])
def test_a_shard_that_is_not_what_was_decided_is_refused(output: Path, tmp_path: Path, change: str) -> None:
    shutil.copytree(output, tmp_path / "copy")
    shard = open_dedup_output(tmp_path / "copy").shards[0]
    lines = [orjson.dumps({"text": text}) for text in texts_of_shard(shard.shard)]
    changed = {
        "a document less": lines[:-1],
        "a document more": [*lines, lines[0]],
        "a broken line": [b"{", *lines[1:]],
        "empty": [],
    }[change]
    shard.shard.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in changed)))
    with pytest.raises(InputChanged) as caught:
        joined([shard])
    assert str(caught.value) == (
        f"{shard.shard} does not hold the {len(lines)} documents that {shard.decisions} keeps; run slimpajama dedup "
        "again with the same output to restore it"
    )


def test_a_folder_that_holds_no_finished_deduplication_is_refused(output: Path, tmp_path: Path) -> None:
    message = f"{tmp_path} holds no finished deduplication; give the output of slimpajama dedup"
    with pytest.raises(InputNotFound) as caught:
        open_dedup_output(tmp_path)
    assert str(caught.value) == message
    (tmp_path / "work").mkdir()
    shutil.copy(output / "work" / "pieces.json", tmp_path / "work")
    with pytest.raises(InputNotFound) as caught:
        open_dedup_output(tmp_path)
    assert str(caught.value) == message


@pytest.mark.parametrize("which", ["shard", "decisions"])
def test_a_shard_or_decision_file_that_is_gone_is_named(output: Path, tmp_path: Path, which: str) -> None:
    shutil.copytree(output, tmp_path / "copy")
    path = getattr(open_dedup_output(tmp_path / "copy").shards[-1], which)
    path.unlink()
    with pytest.raises(InputNotFound) as caught:
        open_dedup_output(tmp_path / "copy")
    assert str(caught.value) == (f"{path} is missing; run slimpajama dedup again with the same output to restore it")


def test_a_local_mixture_of_globally_deduplicated_shards_is_refused(only_global: Path, tmp_path: Path) -> None:
    recipe = Recipe(name="web", weights={"common_crawl": 100}, tokens=100, sequence_length=10, scope="local")
    with LocalEngine(1) as engine, pytest.raises(ConfigError) as caught:
        make_mixtures(
            only_global,
            [recipe],
            TokenConfig(),
            tmp_path,
            stages=Stages(engine),
            memory=1 << 28,
        )
    assert str(caught.value) == (
        f"web asks for the local scope, but {only_global} holds only globally deduplicated shards; run slimpajama "
        "dedup again with --scope both"
    )
    assert list(tmp_path.iterdir()) == []


def test_shards_of_several_sources_are_told_apart(sample: Path, tmp_path: Path) -> None:
    """SlimPajama's own layout: every shard has records of all sources, named in each."""
    names = {"common_crawl": "RedPajamaCommonCrawl", "wikipedia": "RedPajamaWikipedia"}
    records = {
        source: [text for shard in sorted((sample / source).rglob("*.jsonl*")) for text in readable(shard)]
        for source in names
    }
    for chunk in (0, 1):
        folder = tmp_path / "in" / "train" / "chunk1"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            orjson.dumps({"text": text, "meta": {"redpajama_set_name": names[source]}})
            for number in range(chunk, 60, 2)
            for source in names
            for text in records[source][number : number + 1]
        ]
        (folder / f"example_train_{chunk}.jsonl.zst").write_bytes(zstandard.compress(b"\n".join(lines) + b"\n"))
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1)
    opened = open_dedup_output(tmp_path / "out")
    rows = joined(opened.shards)
    assert set(rows) == expected(tmp_path / "out", tmp_path / "in", "local")
    for source in names:
        own = {text for name, _, _, _, text in rows if name == source}
        assert own
        assert own <= set(records[source])
    assert {source for source, *_ in rows} == set(names)


def readable(shard: Path) -> list[str]:
    data = shard.read_bytes()
    if shard.suffix == ".zst":
        data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    texts = []
    for line in data.splitlines():
        try:
            texts.append(orjson.loads(line)["text"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
    return [text for text in texts if isinstance(text, str)]
