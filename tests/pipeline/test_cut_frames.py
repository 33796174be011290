"""A run over a shard of many frames decides and keeps what a run over the same lines in one frame does."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import zstandard

import slimpajama
from slimpajama.pipeline.explain import explain
from slimpajama.pipeline.verify import verify
from tests.corpus.shards import jsonl, records_of


def test_a_shard_of_many_frames_is_decided_and_written_like_one_of_one_frame(tmp_path: Path) -> None:
    random_words = random.Random(3)
    texts = [" ".join(f"{random_words.getrandbits(64):x}" for _ in range(60)) for _ in range(250)]
    copied = sorted(random_words.sample(range(250), 40))
    lines = jsonl({"text": texts[number - 9 if number in copied else number]} for number in range(250))
    lines += b'{"text": 1}\n'
    pack = zstandard.ZstdCompressor().compress
    for name, stored in (
        ("one", pack(lines)),
        ("many", b"".join(pack(lines[at : at + 30_000]) for at in range(0, len(lines), 30_000))),
    ):
        (tmp_path / name / "c4").mkdir(parents=True)
        (tmp_path / name / "c4" / "a.jsonl.zst").write_bytes(stored)
        slimpajama.deduplicate(
            tmp_path / name, tmp_path / f"{name}_out", workers=1, piece_bytes=1 << 16, max_bad_fraction=0.1
        )
    one, many = tmp_path / "one_out", tmp_path / "many_out"
    parts = [f"a-{part:05d}-of-00005" for part in range(5)]
    assert sorted(path.name for path in (many / "decisions" / "c4").iterdir()) == [f"{part}.parquet" for part in parts]
    tables = [pq.read_table(many / "decisions" / "c4" / f"{part}.parquet").to_pylist() for part in parts]
    decisions = pq.read_table(one / "decisions" / "c4" / "a.parquet").to_pylist()
    assert [row for table in tables for row in table] == decisions
    assert min(len(table) for table in tables) > 10
    for scope in ("global", "local"):
        kept = [record for part in parts for record in records_of(many / scope / "c4" / f"{part}.jsonl.zst")]
        assert kept == records_of(one / scope / "c4" / "a.jsonl.zst")
    assert verify(many).findings == []
    removed = [row for row in decisions if row["status"] == "duplicate"]
    assert len(removed) > 20
    for row in (removed[0], removed[-1], decisions[-1]):
        found = explain(many, row["id"])
        assert (found.document.position, found.document.status) == (row["position"], row["status"])
        assert found == explain(one, f"c4/a.jsonl.zst@{row['position']}")
