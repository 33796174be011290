"""Pieces, key ranges, workers and kinds of file change nothing about a result."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from slimpajama.config.dedup import Config
from slimpajama.dedup.dedup_run import WorkSizes
from slimpajama.engine.local import LocalEngine
from slimpajama.pipeline.dedup import deduplicate_on
from slimpajama.stages.runner import Stages
from tests.corpus.shards import decompressed, put
from tests.pipeline.small_corpora import (
    COMPOSED,
    DECOMPOSED,
    MANY,
    SHORT,
    decisions,
    results,
    reused,
    run,
)

VERDICTS = ("status", "kept_global", "kept_local", "bytes", "cleaned_chars")


def test_a_file_read_in_pieces_gives_the_same_decisions(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": MANY, "arxiv/b.jsonl.gz": MANY[:90]})
    whole = run(tmp_path / "in", tmp_path / "whole")
    cut = run(tmp_path / "in", tmp_path / "cut", piece_bytes=1 << 16)
    assert (whole["shards"]["pieces"], cut["shards"]["pieces"]) == (2, 4)
    assert decisions(tmp_path / "cut") == decisions(tmp_path / "whole")
    assert cut["sources"] == whole["sources"]
    for scope in ("global", "local"):
        parts = sorted((tmp_path / "cut" / scope / "c4").iterdir())
        assert [path.name for path in parts] == [f"a-{part:05d}-of-00003.jsonl.zst" for part in range(3)]
        assert b"".join(map(decompressed, parts)) == decompressed(tmp_path / "whole" / scope / "c4" / "a.jsonl.zst")


def test_many_key_ranges_give_the_same_bytes(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": MANY, "arxiv/b.jsonl.gz": MANY[:90]})
    run(tmp_path / "in", tmp_path / "one")
    stages, config = Stages(LocalEngine(1)), Config(workers=1, memory=256 << 20, sampled_removals=0)
    sizes = WorkSizes(bytes_per_key=1 << 20, bytes_per_member=1 << 20)
    summary = deduplicate_on(stages, tmp_path / "in", tmp_path / "many", config, sizes=sizes)
    counts = reused(summary.as_dict())
    assert (counts["exact"], counts["link"]) == ((0, 8), (0, 9 * 3)), "copies need no keys"
    assert counts["group"][1] > 2 * 2
    assert results(tmp_path / "many") == results(tmp_path / "one")


def test_one_and_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    put(tmp_path / "in", {f"c4/{part}.jsonl": MANY[part::5] for part in range(5)} | {"arxiv/b.jsonl.gz": MANY[:90]})
    run(tmp_path / "in", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "two", workers=2)
    assert results(tmp_path / "two") == results(tmp_path / "one")


def test_one_and_two_workers_write_the_same_bytes_on_real_text(tmp_path: Path, real_corpus: Path) -> None:
    for source in sorted(path for path in real_corpus.iterdir() if path.is_dir()):
        shard = min(source.rglob("*.jsonl.zst"), key=lambda path: (path.stat().st_size, path))
        records = itertools.islice(_records(shard), 60)
        put(tmp_path / "in", {shard.relative_to(real_corpus).as_posix(): list(records)})
    one = run(tmp_path / "in", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "two", workers=2)
    assert one["sources"]["total"]["read"]["documents"] > 200
    assert results(tmp_path / "two") == results(tmp_path / "one")


def _records(path: Path) -> Iterator[Any]:
    return map(orjson.loads, decompressed(path).splitlines())


def test_the_same_records_get_the_same_verdicts_from_any_kind_of_file(tmp_path: Path) -> None:
    records = [{"text": text} for text in [*MANY[:90], SHORT, "", DECOMPOSED, COMPOSED]]
    found = {}
    for suffix in (".jsonl", ".jsonl.zst", ".jsonl.gz", ".parquet"):
        put(tmp_path / suffix, {f"c4/a{suffix}": records[:60], f"arxiv/a{suffix}": records[30:]})
        summary = run(tmp_path / suffix, tmp_path / f"out{suffix}")
        rows = [[row[name] for name in VERDICTS] for row in decisions(tmp_path / f"out{suffix}")]
        shards = {
            path: decompressed(tmp_path / f"out{suffix}" / path)
            for path in results(tmp_path / f"out{suffix}")
            if path.endswith(".zst")
        }
        found[suffix] = rows, shards, summary["sources"]
    assert found[".jsonl.zst"] == found[".jsonl.gz"] == found[".jsonl"]
    assert found[".parquet"][0] == found[".jsonl"][0]
    assert found[".parquet"][2] == found[".jsonl"][2]
    assert {path: list(map(orjson.loads, data.splitlines())) for path, data in found[".parquet"][1].items()} == {
        path: list(map(orjson.loads, data.splitlines())) for path, data in found[".jsonl"][1].items()
    }
