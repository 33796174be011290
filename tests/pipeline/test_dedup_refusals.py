"""What a deduplication refuses, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from slimpajama import ConfigError, TooManyBadRecords
from tests.corpus.shards import decompressed, files_below, jsonl, put
from tests.pipeline.small_corpora import (
    MANY,
    A,
    B,
    C,
    decisions,
    reused,
    run,
)


def test_too_many_bad_records_stop_the_run_and_a_higher_limit_goes_on_from_there(tmp_path: Path) -> None:
    lines: Sequence[bytes] = [jsonl([{"text": A}]), b"[]\n", jsonl([{"text": B}]), b"{}\n"]
    put(tmp_path / "in", {"c4/a.jsonl": b"".join(lines), "c4/b.jsonl": [C]})
    with pytest.raises(TooManyBadRecords) as caught:
        run(tmp_path / "in", tmp_path / "out", max_bad_fraction=0.25)
    assert str(caught.value) == (
        f"{tmp_path}/in/c4/a.jsonl: 2 of 4 records read are bad (50.0%, allowed are 25.0%), the first at byte "
        f"{len(lines[0])}: not an object but an array; mend or remove the shard, or raise max_bad_fraction"
    )
    quarantined = (tmp_path / "out" / "quarantine" / "c4" / "a.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["reason"] for line in quarantined] == [
        "not an object but an array",
        "no field 'text'",
    ]
    counts = reused(run(tmp_path / "in", tmp_path / "out", max_bad_fraction=0.5))
    assert counts["read and sketch"] == (2, 2)


def test_a_long_shard_that_is_mostly_broken_stops_the_run_early(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": (b"broken" + b"x" * 1000 + b"\n") * 20_000})
    with pytest.raises(TooManyBadRecords) as caught:
        run(tmp_path / "in", tmp_path / "out")
    assert " of 20,000 records" not in str(caught.value)
    assert "records read are bad (100.0%, allowed are 1.0%), the first at byte 0: not JSON (" in str(caught.value)


def test_bad_records_of_a_shard_in_pieces_are_judged_together(tmp_path: Path) -> None:
    sound = jsonl([{"text": text} for text in MANY])
    put(tmp_path / "in", {"c4/a.jsonl": b"broken\n" * 3 + sound})
    assert run(tmp_path / "in", tmp_path / "out", piece_bytes=1 << 16)["sources"]["c4"]["bad"]["documents"] == 3
    put(tmp_path / "in", {"c4/a.jsonl": b"broken\n" * 5 + sound})
    with pytest.raises(
        TooManyBadRecords, match=r"a\.jsonl: 5 of 405 records read are bad \(1\.2%, allowed are 1\.0%\)"
    ):
        run(tmp_path / "in", tmp_path / "out", piece_bytes=1 << 16)


@pytest.mark.parametrize("place", [".", "out", "c4/out"])
def test_an_output_inside_the_input_is_refused(tmp_path: Path, place: str) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A]})
    out = tmp_path / "in" / place
    with pytest.raises(ConfigError) as caught:
        run(tmp_path / "in", out)
    assert str(caught.value) == f"the output {out} lies inside the input {tmp_path}/in; choose another place"
    assert sorted(files_below(tmp_path / "in")) == ["c4/a.jsonl"]


def test_an_output_inside_the_input_through_a_link_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A]})
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(ConfigError, match="lies inside the input"):
        run(tmp_path / "in", tmp_path / "link" / "out")


def test_an_input_inside_the_output_is_refused_and_not_touched(tmp_path: Path) -> None:
    put(tmp_path / "data" / "in", {"c4/a.jsonl": [A]})
    (tmp_path / "data" / "in" / "c4" / "b.jsonl.tmp").write_bytes(b"still being copied")
    before = files_below(tmp_path / "data")
    with pytest.raises(ConfigError, match="lies inside the output"):
        run(tmp_path / "data" / "in", tmp_path / "data")
    assert files_below(tmp_path / "data") == before


def test_a_source_may_not_be_called_as_the_summary_calls_all_of_them(tmp_path: Path) -> None:
    put(tmp_path / "in", {"total/a.jsonl": [A], "web/a.jsonl": [B, C]})
    with pytest.raises(ConfigError, match="total"):
        run(tmp_path / "in", tmp_path / "out")


def test_a_corpus_of_empty_shards_gives_empty_shards(tmp_path: Path) -> None:
    names = ["c4/a.jsonl", "c4/b.jsonl.zst", "c4/c.jsonl.gz", "arxiv/blank.jsonl"]
    put(tmp_path / "in", {**dict.fromkeys(names, b""), "arxiv/blank.jsonl": b"\n\n", "arxiv/d.parquet": []})
    (tmp_path / "in" / "c4" / "e.jsonl.gz").touch()
    summary = run(tmp_path / "in", tmp_path / "out")
    assert summary["sources"]["total"]["read"] == {"documents": 0, "bytes": 0}
    assert decisions(tmp_path / "out") == []
    shards = sorted((tmp_path / "out" / "global").rglob("*.zst"))
    assert len(shards) == 6
    assert [decompressed(path) for path in shards] == [b""] * 6
