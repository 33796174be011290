"""A second run does again what depends on what changed, and no more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from slimpajama.dedup.stages.decide import DecideStage
from slimpajama.dedup.stages.sketch import SketchStage
from slimpajama.dedup.stages.write import WriteStage
from slimpajama.stages.stage import Stage
from tests.corpus.shards import compressed, files_below, jsonl, put
from tests.pipeline.small_corpora import (
    STAGES,
    A,
    B,
    C,
    D,
    edited,
    results,
    reused,
    run,
)
from tests.watching import Watched, interrupted_in


@pytest.fixture
def twice(tmp_path: Path) -> tuple[Path, Path]:
    """A corpus of three shards and the output of a run over it."""
    put(tmp_path / "in", {"c4/a.jsonl": [A, B], "c4/b.jsonl.zst": [edited(A), C], "arxiv/a.jsonl.gz": [C, D]})
    run(tmp_path / "in", tmp_path / "out")
    return tmp_path / "in", tmp_path / "out"


def fresh(source: Path, **chosen: Any) -> dict[str, bytes]:
    """What a first run would have written."""
    out = source.parent / "fresh"
    shutil.rmtree(out, ignore_errors=True)
    run(source, out, **chosen)
    return results(out)


def test_nothing_is_done_again_when_nothing_changed(twice: tuple[Path, Path]) -> None:
    source, out = twice
    before, summary = results(out), orjson.loads((out / "summary.json").read_bytes())
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.zst")}

    def refuse(function: Callable[[Any], Any], payload: Any) -> Any:
        raise AssertionError(f"{function} was called")

    again = run(source, out, engine=Watched(around=refuse))
    assert all(done == items for done, items in reused(again).values())
    assert results(out) == before
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.zst")} == times
    for key in ("sources", "overlap", "clusters", "lsh", "shards"):
        assert again[key] == summary[key]
    assert again["mb_per_second"] is None, "no speed is claimed for work that was not done"


@pytest.mark.parametrize(
    ("changed", "redone"),
    [
        ({"memory": "1GiB"}, []),
        ({"max_bad_fraction": 0.5}, []),
        ({"piece_bytes": "1MiB"}, []),
        ({"workers": 2}, []),
        ({"compression_level": 3}, ["write"]),
        ({"scope": "global"}, ["write"]),
        ({"min_cleaned_characters": 10_000}, STAGES),
        # Other keys that link the same: the tables are made anew, but say the same of the shards, which are not.
        ({"seed": 2}, ["read and sketch", "exact", "link", "group", "decide"]),
        ({"bands": 8, "rows": 16}, ["read and sketch", "exact", "link", "cluster", "group", "decide"]),
        # The shards are read anew, and hold what they held before.
        ({"normalisation": "none"}, ["read and sketch", "write"]),
        ({"max_document_bytes": 5000}, ["read and sketch"]),
        ({"truncated": "keep"}, ["read and sketch", "write"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_changed_setting_redoes_what_depends_on_it_and_nothing_else(
    twice: tuple[Path, Path], changed: dict[str, Any], redone: list[str]
) -> None:
    source, out = twice
    counts = reused(run(source, out, **changed))
    assert [name for name, (done, items) in counts.items() if done < items] == redone
    assert all(done in (0, items) for done, items in counts.values())
    expected = fresh(source, **changed)
    assert {path: content for path, content in results(out).items() if path in expected} == expected
    run(source, out)
    assert results(out) == fresh(source), "and back again"


def test_a_replaced_shard_is_read_again_and_the_others_are_not(twice: tuple[Path, Path]) -> None:
    source, out = twice
    shard = source / "c4" / "b.jsonl.zst"
    shard.write_bytes(compressed(shard.name, jsonl([{"text": B}, {"text": D}])))
    counts = reused(run(source, out))
    assert counts["read and sketch"] == (2, 3)
    assert results(out) == fresh(source)


def test_a_shard_replaced_by_one_of_the_same_size_is_noticed_by_its_time(twice: tuple[Path, Path]) -> None:
    source, out = twice
    shard = source / "c4" / "a.jsonl"
    status = shard.stat()
    shard.write_bytes(shard.read_bytes().replace(B.encode(), D.encode()))
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert shard.stat().st_size == status.st_size
    assert reused(run(source, out))["read and sketch"] == (2, 3)
    assert results(out) == fresh(source)


def test_a_moved_input_is_not_read_again(twice: tuple[Path, Path]) -> None:
    source, out = twice
    moved = source.rename(source.with_name("moved"))
    assert all(done == items for done, items in reused(run(moved, out)).values())


def test_outputs_of_a_removed_shard_go_and_foreign_files_stay(twice: tuple[Path, Path]) -> None:
    source, out = twice
    foreign = [out / "mine.txt", out / "global" / "c4" / "mine.jsonl.zst", out / "decisions" / "mine.parquet.bak"]
    for path in foreign:
        path.write_text("mine")
    (source / "c4" / "b.jsonl.zst").unlink()
    run(source, out)
    left = results(out)
    assert {left.pop(path.relative_to(out).as_posix()) for path in foreign[1:]} == {b"mine"}
    assert foreign[0].read_text() == "mine"
    assert left == fresh(source)


def test_a_foreign_file_that_looks_unfinished_stays(twice: tuple[Path, Path]) -> None:
    source, out = twice
    (out / "notes.tmp").write_text("mine")
    run(source, out)
    assert (out / "notes.tmp").read_text() == "mine"


def test_the_quarantine_of_a_removed_or_mended_shard_goes(tmp_path: Path) -> None:
    broken = jsonl([{"text": A}]) + b"broken\n"
    put(tmp_path / "in", {"c4/a.jsonl": broken, "c4/b.jsonl": broken, "c4/c.jsonl": broken})
    run(tmp_path / "in", tmp_path / "out", max_bad_fraction=1.0)
    assert sorted(files_below(tmp_path / "out" / "quarantine")) == ["c4/a.jsonl", "c4/b.jsonl", "c4/c.jsonl"]
    put(tmp_path / "in", {"c4/a.jsonl": [A, B]})
    (tmp_path / "in" / "c4" / "b.jsonl").unlink()
    run(tmp_path / "in", tmp_path / "out", max_bad_fraction=1.0)
    assert sorted(files_below(tmp_path / "out" / "quarantine")) == ["c4/c.jsonl"]


def test_shards_of_the_other_scope_stay_while_they_are_right(twice: tuple[Path, Path]) -> None:
    source, out = twice
    both = results(out)
    run(source, out, scope="global")
    assert results(out) == both, "nothing that still holds was removed"
    run(source, out, scope="global", min_cleaned_characters=10_000)
    assert not any(path.startswith("local/") for path in results(out)), "these would be wrong now"
    run(source, out, scope="local")
    assert not any(path.startswith("global/") for path in results(out))
    run(source, out)
    assert results(out) == both


def test_shards_of_an_interrupted_run_with_other_settings_are_not_taken_for_right_ones(
    twice: tuple[Path, Path],
) -> None:
    source, out = twice
    right = results(out)
    with pytest.raises(KeyboardInterrupt):
        run(source, out, engine=interrupted_in(WriteStage, 2), min_cleaned_characters=10_000)
    run(source, out, scope="global")
    left = results(out)
    assert {path: content for path, content in left.items() if right[path] != content} == {}


@pytest.mark.parametrize("folder", ["global", "local", "decisions", "work/rows", "work/links", "work/clusters.arrow"])
def test_what_was_deleted_from_the_output_is_made_again(twice: tuple[Path, Path], folder: str) -> None:
    source, out = twice
    before = results(out)
    if (out / folder).is_dir():
        shutil.rmtree(out / folder)
    else:
        (out / folder).unlink()
    run(source, out)
    assert results(out) == before


@pytest.mark.parametrize("stage", [SketchStage, DecideStage, WriteStage])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_that_stopped_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, stage: type[Stage[Any, Any]], after: int
) -> None:
    put(tmp_path / "in", {"c4/a.jsonl": [A, B], "c4/b.jsonl.zst": [edited(A), C], "arxiv/a.jsonl.gz": [C, D]})
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in", tmp_path / "out", engine=interrupted_in(stage, after, done=True))
    assert not (tmp_path / "out" / "summary.json").exists()
    counts = reused(run(tmp_path / "in", tmp_path / "out"))
    assert counts[stage.title] == (after, 3)
    assert results(tmp_path / "out") == fresh(tmp_path / "in")
