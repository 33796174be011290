"""A rerun that fails leaves the finished result as it was, until it has results of its own; then it is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import slimpajama
from slimpajama import ShardUnreadable, deduplicate
from slimpajama.storage.atomic import read_json, write_json
from tests.corpus.shards import files_below, put

TEXTS = [" ".join(f"{number * 7919 + word * 104_729:x}" for word in range(80)) for number in range(6)]


def break_shard(source: Path, name: str) -> None:
    """Leave something there that is no gzip file, whatever its name says."""
    path = source / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"no gzip")


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Path]:
    """An input of two shards, and its deduplication."""
    source = put(tmp_path / "in", {"c4/a.jsonl.gz": TEXTS[:3], "c4/b.jsonl.gz": TEXTS[3:5]})
    deduplicate(source, tmp_path / "out", workers=1)
    return source, tmp_path / "out"


@pytest.mark.parametrize("name", ["c4/a.jsonl.gz", "c4/new.jsonl.gz"])
def test_a_shard_that_cannot_be_read_leaves_the_result_sound(finished: tuple[Path, Path], name: str) -> None:
    source, out = finished
    ours = ("decisions", "global", "local", "work/index.json", "summary.json")
    before = {path: content for path, content in files_below(out).items() if path.startswith(ours)}
    break_shard(source, name)
    with pytest.raises(ShardUnreadable, match=name):
        deduplicate(source, out, workers=1)
    after = {path: content for path, content in files_below(out).items() if path.startswith(ours)}
    assert [path for path in {**before, **after} if before.get(path) != after.get(path)] == []
    assert slimpajama.verify(out, workers=1).findings == []
    assert len(slimpajama.open_decisions(out).kept()) == 5
    (source / name).unlink()
    put(source, {"c4/a.jsonl.gz": TEXTS[:3]})
    deduplicate(source, out, workers=1)
    assert slimpajama.verify(out, workers=1).findings == []


def test_a_run_that_fails_after_its_first_new_result_is_told_of_by_verify(finished: tuple[Path, Path]) -> None:
    source, out = finished
    put(source, {"c4/a.jsonl.gz": TEXTS[5:]})
    break_shard(source, "c4/b.jsonl.gz")
    with pytest.raises(ShardUnreadable, match=r"b\.jsonl\.gz"):
        deduplicate(source, out, workers=1)
    (finding,) = slimpajama.verify(out, workers=1).findings
    assert finding == (
        f"the last run of the deduplication into {out} did not reach its end ({out / 'work' / 'index.json'} is "
        "missing), so results of two runs may lie there, and its files in work/ are not checked; mend what it stopped "
        f"at, if it named something, and run the same command again: slimpajama status {out} shows how far it came"
    )
    (source / "c4" / "b.jsonl.gz").unlink()
    deduplicate(source, out, workers=1)
    assert slimpajama.verify(out, workers=1).findings == []


def test_a_failed_run_of_other_settings_is_told_of_too(finished: tuple[Path, Path]) -> None:
    source, out = finished
    break_shard(source, "c4/a.jsonl.gz")
    with pytest.raises(ShardUnreadable):
        deduplicate(source, out, workers=1, seed=2)
    (finding,) = slimpajama.verify(out, workers=1).findings
    assert "did not reach its end" in finding


def test_the_list_of_outputs_of_an_earlier_version_is_still_read(finished: tuple[Path, Path]) -> None:
    source, out = finished
    path = out / "work" / "outputs.json"
    write_json(path, read_json(path)["outputs"])
    shutil.rmtree(source / "c4")
    put(source, {"wikipedia/a.jsonl.gz": TEXTS[:3]})
    deduplicate(source, out, workers=1)
    assert not any(path.startswith("global/c4/") for path in files_below(out))
