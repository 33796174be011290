"""What the name of a file says of what is in it."""

from __future__ import annotations

import pytest

from slimpajama.corpus.file_formats import endings, kind_of, suffix_of


@pytest.mark.parametrize(
    ("name", "suffix", "stands_for"),
    [
        ("a.jsonl", ".jsonl", ("jsonl", "none")),
        ("a.ndjson.zst", ".ndjson.zst", ("jsonl", "zst")),
        ("a.jsonl.zstd", ".jsonl.zstd", ("jsonl", "zst")),
        ("c4-train.00000-of-01024.json.gz", ".json.gz", ("json", "gz")),
        ("a.json", ".json", ("json", "none")),
        ("A.JSON.GZ", ".JSON.GZ", ("json", "gz")),
        ("a.Parquet", ".Parquet", ("parquet", "none")),
        ("en_head_0.json.gz.dedup.classifier.jsonl.zst", ".jsonl.zst", ("jsonl", "zst")),
    ],
)
def test_the_ending_of_a_shard_is_found_as_it_is_written(name: str, suffix: str, stands_for: tuple[str, str]) -> None:
    assert suffix_of(name) == suffix
    kind = kind_of(suffix)
    assert (kind.format.name, kind.codec.name) == stands_for


@pytest.mark.parametrize("name", ["a.tar", "a.jsonl.tar.gz", "a.gz", "a.zst", "a.txt", "jsonl", ".jsonl", ".json.gz"])
def test_other_files_are_no_shards(name: str) -> None:
    assert suffix_of(name) is None


def test_every_way_to_write_json_lines_may_be_compressed_in_every_way() -> None:
    json = {suffix.split(".")[1] for suffix in endings()} - {"parquet"}
    packed = {suffix.split(".")[2] for suffix in endings() if suffix.count(".") == 2}
    assert json == {"jsonl", "ndjson", "json"}
    assert len(endings()) == len(json) * (1 + len(packed)) + 1
