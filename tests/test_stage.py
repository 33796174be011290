"""A stage runs what is not done yet, and gives all results in the order of its items."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from slimpajama.engine.local import LocalEngine
from slimpajama.errors import InputChanged
from slimpajama.markers import Markers
from slimpajama.stage import Stages, Unfinished
from slimpajama.workspace import atomic_file, content_digest
from slimpajama.written_files import DamagedFile, WrittenFile, written_files


class Backwards:
    """An engine that finishes its last item first."""

    workers = 1

    def map(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        name: Callable[[Any], str] = str,
        preload: Sequence[str] = (),
        memory: int | None = None,
        retry: Any = None,
    ) -> Generator[tuple[int, Any], None, None]:
        for index in reversed(range(len(items))):
            yield index, function(items[index])

    def __enter__(self) -> Backwards:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass


class Stage:
    """A stage of the items ``a``, ``b`` … that remembers which of them were run, call by call."""

    def __init__(self, folder: Path, engine: Any = None) -> None:
        self.markers = Markers(folder, folder)
        self.stages = Stages(engine or Backwards())
        self.ran: list[str] = []

    def work(self, item: str) -> dict[str, Any]:
        self.ran.append(item)
        if item == "broken":
            raise RuntimeError(item)
        return {"upper": item.upper()}

    def run(self, items: Sequence[str], depends: Sequence[str]) -> list[str]:
        self.ran.clear()
        results = self.stages.run(
            "shout",
            items,
            self.work,
            markers=self.markers,
            keys=[f"of/{item}" for item in items],
            depends=[{"on": one} for one in depends],
            weights=[1] * len(items),
        )
        assert all(result["files"] == [] for result in results)
        return [result["upper"] for result in results]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_results_come_in_the_order_of_the_items_whatever_finishes_first(stage: Stage) -> None:
    assert stage.run("abc", ["1", "1", "1"]) == ["A", "B", "C"]
    assert stage.ran == ["c", "b", "a"]


def test_finished_items_are_not_run_again(stage: Stage) -> None:
    first = stage.run("abc", ["1", "1", "1"])
    assert stage.run("abc", ["1", "1", "1"]) == first
    assert stage.ran == []


def test_an_item_with_another_fingerprint_is_run_again_and_only_that_one(stage: Stage) -> None:
    stage.run("abc", ["1", "1", "1"])
    assert stage.run("abc", ["1", "2", "1"]) == ["A", "B", "C"]
    assert stage.ran == ["b"]
    stage.run("abc", ["1", "1", "1"])
    assert stage.ran == ["b"], "going back is a change too: the output on disk is the other one's"


def test_a_new_item_is_run_beside_the_finished_ones(stage: Stage) -> None:
    stage.run("ac", ["1", "1"])
    assert stage.run("abcd", ["1"] * 4) == ["A", "B", "C", "D"]
    assert stage.ran == ["d", "b"]


def test_what_was_finished_before_a_failure_is_kept(tmp_path: Path) -> None:
    stage = Stage(tmp_path, LocalEngine(1))
    items = ["a", "b", "broken", "d"]
    with pytest.raises(RuntimeError, match="broken"):
        stage.run(items, ["1"] * 4)
    assert stage.ran == ["a", "b", "broken"]
    with pytest.raises(RuntimeError, match="broken"):
        stage.run(items, ["1"] * 4)
    assert stage.ran == ["broken"]


def test_a_stage_of_nothing_gives_nothing(stage: Stage) -> None:
    assert stage.run("", []) == []


def test_times_say_how_much_was_run_and_how_much_was_reused(stage: Stage) -> None:
    stage.run("ab", ["1", "1"])
    assert stage.stages.times()["shout"] | {"seconds": 0} == {"seconds": 0, "items": 2, "reused": 0}
    stage.run("abc", ["1", "2", "1"])
    assert stage.stages.times()["shout"] | {"seconds": 0} == {"seconds": 0, "items": 3, "reused": 1}
    assert stage.stages.records["shout"].stale == {"of/b": 'on: "1" -> "2"'}
    assert stage.stages.times()["shout"]["seconds"] >= 0


@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
def test_what_writers_leave_is_removed_before_and_after(
    stage: Stage, tmp_path: Path, end: type[BaseException] | None
) -> None:
    (tmp_path / "old.01234567.tmp").write_bytes(b"")
    with contextlib.suppress(KeyboardInterrupt), stage.stages.cleaning([tmp_path]):
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "own.89abcdef.tmp").write_bytes(b"")
        if end:
            raise end
    assert list(tmp_path.iterdir()) == []


def test_an_inspection_runs_and_writes_nothing_and_stops_where_something_is_to_do(stage: Stage, tmp_path: Path) -> None:
    stage.run("ab", ["1", "1"])
    stage.stages.inspecting = True
    assert stage.run("ab", ["1", "1"]) == ["A", "B"]
    with pytest.raises(Unfinished, match="shout"):
        stage.run("abc", ["1", "2", "1"])
    assert stage.ran == []
    record = stage.stages.records["shout"]
    assert (record.items, record.reused, record.stale) == (3, 1, {"of/b": 'on: "1" -> "2"'})
    (tmp_path / "a.tmp").write_bytes(b"")
    stage.stages.write_json(tmp_path / "new.json", {})
    stage.stages.write(tmp_path / "new", b"")
    stage.stages.remove(tmp_path / "a.tmp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tmp", "of"]


class Reader:
    """A stage of one item that reads files another stage or run wrote, and remembers whether it ran."""

    def __init__(self, folder: Path) -> None:
        self.stages = Stages(LocalEngine(1))
        self.markers = Markers(folder / "done", folder)
        self.ran = 0

    def work(self, item: str) -> dict[str, Any]:
        self.ran += 1
        return {}

    def run(self, *reads: WrittenFile) -> None:
        self.stages.run(
            "read", ["a"], self.work, markers=self.markers, keys=["a"], depends=[{}], weights=[1], reads=[reads]
        )


def written(path: Path, content: bytes) -> dict[str, Any]:
    with atomic_file(path) as file:
        file.write(content)
    return file.record


@pytest.mark.parametrize("content", [b"axc", b"ab", b"", None])
def test_a_damaged_file_of_the_run_itself_is_removed_before_it_is_read(tmp_path: Path, content: bytes | None) -> None:
    record = written(tmp_path / "rows", b"abc")
    if content is None:
        (tmp_path / "rows").unlink()
    else:
        (tmp_path / "rows").write_bytes(content)
    reader = Reader(tmp_path)
    with pytest.raises(DamagedFile) as caught:
        reader.run(*written_files([record]))
    what = "is missing" if content is None else "is not what was written"
    assert str(caught.value) == f"{tmp_path / 'rows'} {what}; run the same command again: it is made anew"
    assert (reader.ran, (tmp_path / "rows").exists()) == (0, False)


def test_a_damaged_file_of_another_run_is_named_with_its_remedy_and_stays(tmp_path: Path) -> None:
    mine, other = written(tmp_path / "mine", b"abc"), written(tmp_path / "other", b"abc")
    for path in (tmp_path / "mine", tmp_path / "other"):
        path.write_bytes(b"axc")
    reader = Reader(tmp_path)
    with pytest.raises(InputChanged) as caught:
        reader.run(*written_files([mine]), *written_files([other], "do this"))
    assert str(caught.value) == f"{tmp_path / 'other'} is not what was written; do this"
    assert (reader.ran, sorted(path.name for path in tmp_path.iterdir())) == (0, ["mine", "other"])


def test_sound_files_are_read_and_each_is_checked_once(tmp_path: Path) -> None:
    record = written(tmp_path / "rows", b"abc")
    reader = Reader(tmp_path)
    whole = WrittenFile(tmp_path / "rows", content_digest({"files": [record]}))
    reader.run(*written_files([record]), whole)
    assert (reader.ran, reader.stages.sound) == (1, {str(tmp_path / "rows")})
    reader.run(WrittenFile(tmp_path / "absent", ""))
    assert reader.ran == 1, "what is not read is not checked"


def test_what_a_run_wrote_itself_is_not_checked_again(tmp_path: Path) -> None:
    stages = Stages(LocalEngine(1))
    markers = Markers(tmp_path / "done", tmp_path)
    arguments: dict[str, Any] = {"markers": markers, "keys": ["a"], "depends": [{}], "weights": [1]}
    stages.run("write", [tmp_path / "rows"], lambda path: {"files": [written(path, b"abc")]}, **arguments)
    assert stages.sound == {str(tmp_path / "rows")}
