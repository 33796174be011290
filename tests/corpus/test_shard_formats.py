"""Every way to store JSON records gives the same documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slimpajama import SourceConfig, deduplicate
from slimpajama.corpus.file_formats import endings
from tests.corpus.shards import put, records_of


def test_the_same_records_come_out_of_every_ending_and_of_an_array(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"text": " ".join(f"word{seed * number % 97}" for number in range(40)), "meta": {"n": [seed, {"m": "\n"}]}}
        for seed in range(1, 5)
    ]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    array = json.dumps(records, indent=1).encode()
    stored = {f"s{number}/a{suffix}": lines for number, suffix in enumerate(endings()) if suffix != ".parquet"}
    stored |= {"array/a.JSON": array, "packed/a.json.gz": array}
    put(tmp_path / "in", stored)
    sources = [SourceConfig(name=name.split("/")[0], paths=(name,)) for name in stored]
    deduplicate(tmp_path / "in", tmp_path / "out", workers=1, scope="local", sources=sources)
    for source in sources:
        (shard,) = (tmp_path / "out" / "local" / source.name).rglob("*.zst")
        found = records_of(shard)
        assert [record["text"] for record in found] == [record["text"] for record in records]
        assert [record["meta"]["n"] for record in found] == [record["meta"]["n"] for record in records]
