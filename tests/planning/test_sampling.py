"""A sample is whole lines of the beginnings of shards, and it is known what part of each file that is."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama.corpus.discovery import discover
from slimpajama.corpus.formats.jsonl import JsonLinesFormat
from slimpajama.corpus.shard_beginnings import copied_lines
from slimpajama.errors import ShardUnreadable
from slimpajama.planning.sampling import SampledFile, draw_sample
from tests.corpus.shards import decompressed, jsonl, put

SUFFIXES = [".jsonl", ".jsonl.zst", ".jsonl.gz"]


def text(number: int, words: int = 60) -> str:
    return " ".join(f"{random.Random(f'{number} {word}').getrandbits(40):x}" for word in range(words))


TEXTS = [text(number) for number in range(2000)]


def sample(folder: Path, wanted: int, fewest_bytes: int = 1 << 16) -> list[SampledFile]:
    return draw_sample(discover(folder / "in"), wanted, folder / "sample", 1, fewest_bytes)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_small_shard_is_taken_whole(tmp_path: Path, suffix: str) -> None:
    content = jsonl({"text": one} for one in TEXTS[:50]).rstrip(b"\n")
    put(tmp_path / "in", {f"c4/a{suffix}": content})
    size = (tmp_path / "in" / f"c4/a{suffix}").stat().st_size
    assert sample(tmp_path, 10) == [SampledFile(f"c4/a{suffix}", 0, size, size)]
    assert decompressed(tmp_path / "sample" / f"c4/a{suffix}") == content


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_a_large_shard_whole_lines_are_taken_and_stand_for_their_part(tmp_path: Path, suffix: str) -> None:
    content = jsonl({"text": one} for one in TEXTS)
    put(tmp_path / "in", {f"c4/a{suffix}": content})
    (found,) = sample(tmp_path, 100_000)
    taken = decompressed(tmp_path / "sample" / found.relative)
    assert content.startswith(taken)
    assert taken.endswith(b"\n")
    assert 60_000 < found.taken < 300_000  # blocks of compression are that large
    assert found.taken / found.size == pytest.approx(len(taken) / len(content), rel=0.01)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_that_is_longer_than_the_part_is_taken_whole(tmp_path: Path, suffix: str) -> None:
    content = jsonl({"text": " ".join(TEXTS[:1000])} for _ in range(3))
    put(tmp_path / "in", {f"books/a{suffix}": content})
    (found,) = sample(tmp_path, 10)
    assert decompressed(tmp_path / "sample" / found.relative) == content[: len(content) // 3]


def test_a_shard_without_the_end_of_a_line_is_counted_as_empty(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": b"x" * (1 << 20)})
    (file,) = discover(tmp_path / "in").files
    taken = copied_lines(file, JsonLinesFormat(), 10, tmp_path / "sample", longest_line=1 << 16)
    assert taken == 0
    assert (tmp_path / "sample").read_bytes() == b""


def test_row_groups_stand_for_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "in" / "c4" / "a.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": TEXTS}), path, row_group_size=250)
    (found,) = sample(tmp_path, 100_000)
    rows = pq.read_table(tmp_path / "sample" / found.relative).column("text").to_pylist()
    assert rows == TEXTS[: len(rows)]
    assert len(rows) in (250, 500)
    assert found.taken == round(found.size * len(rows) / 2000)


def test_small_sources_get_more_than_their_part_and_the_seed_chooses_the_files(tmp_path: Path) -> None:
    shards: dict[str, Any] = {f"c4/{number:02d}.jsonl": TEXTS[:400] for number in range(40)}
    put(tmp_path / "in", {**shards, "arxiv/a.jsonl": TEXTS[:200]})
    found = sample(tmp_path, 1_000_000)
    by_stratum = {number: sum(one.taken for one in found if one.stratum == number) for number in (0, 1)}
    arxiv, c4 = 0, 1  # the order of sources
    assert 700_000 < by_stratum[c4] < 900_000
    assert by_stratum[arxiv] == (tmp_path / "in" / "arxiv" / "a.jsonl").stat().st_size
    again = draw_sample(discover(tmp_path / "in"), 1_000_000, tmp_path / "again", 1, 1 << 16)
    other = draw_sample(discover(tmp_path / "in"), 1_000_000, tmp_path / "other", 2, 1 << 16)
    assert again == found
    assert {one.relative for one in other} != {one.relative for one in found}


@pytest.mark.parametrize("suffix", [".jsonl.zst", ".jsonl.gz", ".parquet"])
def test_a_damaged_shard_is_named(tmp_path: Path, suffix: str) -> None:
    path = put(tmp_path / "in", {f"c4/a{suffix}": TEXTS}) / f"c4/a{suffix}"
    path.write_bytes(path.read_bytes()[:100_000] + bytes(1000))
    with pytest.raises(ShardUnreadable, match=rf"c4/a\{suffix} (is corrupt or breaks off|is not Parquet)"):
        sample(tmp_path, 10, 1 << 20)
