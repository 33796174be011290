"""Names of outputs at the limit of file systems, and times of shards that a calendar does not know."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slimpajama import ConfigError, deduplicate
from slimpajama.config.dedup import Config
from slimpajama.corpus.discovery import discover
from slimpajama.dedup.dedup_run import moment_text
from slimpajama.dedup.files.layout import DedupLayout
from slimpajama.pipeline.output_names import refuse_long_names
from tests.corpus.shards import put

TEXT = " ".join(f"word{number}" for number in range(100))


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1_700_000_000_123_456_789, "2023-11-14T22:13:20.123456789Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (253_402_300_799 * 10**9, "9999-12-31T23:59:59.000000000Z"),
        (253_402_300_800 * 10**9, "253402300800000000000 ns since 1970"),
        (-(10**20), "-100000000000000000000 ns since 1970"),
        (1 << 80, "1208925819614629174706176 ns since 1970"),
    ],
)
def test_any_time_of_a_file_has_a_text(nanoseconds: int, expected: str) -> None:
    assert moment_text(nanoseconds) == expected


def check(folder: Path, part_bytes: int = 1 << 30, output: Path | None = None) -> None:
    corpus = discover(folder / "in")
    layout = DedupLayout(output or folder / "out", tuple(source.name for source in corpus.sources))
    refuse_long_names(layout, corpus.bundles, part_bytes)


@pytest.mark.parametrize(
    ("name", "bytes_over"),
    [
        ("a" * 245 + ".jsonl", 0),
        ("a" * 246 + ".jsonl", 1),
        ("é" * 123 + ".jsonl", 1),
        ("a" * 245 + ".jsonl.gz", 0),
        ("a" * 247 + ".parquet", 2),
    ],
)
def test_a_shard_whose_outputs_would_have_too_long_a_name_is_refused(
    tmp_path: Path, name: str, bytes_over: int
) -> None:
    put(tmp_path / "in" / "c4", {name: b""})
    if not bytes_over:
        check(tmp_path)
        return
    with pytest.raises(ConfigError) as caught:
        check(tmp_path)
    stem = name.split(".")[0]
    assert str(caught.value) == (
        f"the output {stem}.jsonl.zst of {tmp_path}/in/c4/{name} would have a name of {255 + bytes_over} bytes, but a "
        f"file system allows 255: rename the shard, {bytes_over} bytes shorter"
    )


def test_numbers_of_parts_count(tmp_path: Path) -> None:
    put(tmp_path / "in" / "c4", {"a" * 240 + ".jsonl.gz": b"x" * 100})
    check(tmp_path)
    with pytest.raises(ConfigError, match=r"-00000-of-00002\.jsonl\.zst .* of 265 bytes"):
        check(tmp_path, part_bytes=10)


def test_a_path_that_is_too_long_as_a_whole_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in" / "c4", {"a.jsonl": b""})
    with pytest.raises(ConfigError, match=r"would have paths of up to 4,\d\d\d bytes, but 4,095 are allowed"):
        check(tmp_path, output=Path("/" + "/".join(["x" * 200] * 20 + ["y" * 55])))


def test_a_run_goes_through_with_the_longest_name_and_the_oddest_time(tmp_path: Path) -> None:
    name = "a" * 245 + ".jsonl"
    shard = put(tmp_path / "in" / "c4", {name: [TEXT]}) / name
    os.utime(shard, ns=(-(10**18), -(10**18)))
    summary = deduplicate(tmp_path / "in", tmp_path / "out", Config(workers=1))
    assert summary.sources["c4"].global_.kept.documents == 1
    assert (tmp_path / "out" / "global" / "c4" / ("a" * 245 + ".jsonl.zst")).exists()
