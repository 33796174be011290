"""A stage runs what is not done yet, and gives all results in the order of its items."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from slimpajama.engine.local import LocalEngine
from slimpajama.errors import InputChanged
from slimpajama.stages.markers import Markers
from slimpajama.stages.runner import Stages, Unfinished
from slimpajama.stages.stage import Stage, StageResult, Task
from slimpajama.stages.written_files import DamagedFile, WrittenFile, written_files
from slimpajama.storage.atomic import atomic_file, content_digest
from slimpajama.storage.file_record import FileRecord


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


class Shouted(StageResult, frozen=True, kw_only=True):
    upper: str


@dataclass(frozen=True)
class Shout(Stage[str, Shouted]):
    """A stage of the tasks ``a``, ``b`` …, which depend on what is ``on``."""

    on: dict[str, str]

    name: ClassVar[str] = "shout"
    title: ClassVar[str] = "shout out"
    version: ClassVar[int] = 1
    result_type = Shouted
    ran: ClassVar[list[str]] = []

    def tasks(self) -> list[Task[str]]:
        return [Task(f"of/{item}", item, {"on": on}, len(item)) for item, on in self.on.items()]

    @staticmethod
    def run(payload: str) -> Shouted:
        Shout.ran.append(payload)
        if payload == "broken":
            raise RuntimeError(payload)
        return Shouted(upper=payload.upper())


class Shouting:
    """Runs of the stage in one folder; remembers which tasks were run, call by call."""

    def __init__(self, folder: Path, engine: Any = None) -> None:
        self.markers = Markers(folder, folder, Shouted)
        self.stages = Stages(engine or Backwards())
        self.ran = Shout.ran

    def run(self, items: Sequence[str], depends: Sequence[str]) -> list[str]:
        self.ran.clear()
        results = self.stages.run(Shout(dict(zip(items, depends, strict=True))), self.markers)
        return [result.upper for result in results]


@pytest.fixture
def stage(tmp_path: Path) -> Shouting:
    return Shouting(tmp_path)


def test_results_come_in_the_order_of_the_items_whatever_finishes_first(stage: Shouting) -> None:
    assert stage.run("abc", ["1", "1", "1"]) == ["A", "B", "C"]
    assert stage.ran == ["c", "b", "a"]


def test_finished_items_are_not_run_again(stage: Shouting) -> None:
    first = stage.run("abc", ["1", "1", "1"])
    assert stage.run("abc", ["1", "1", "1"]) == first
    assert stage.ran == []


def test_an_item_with_another_fingerprint_is_run_again_and_only_that_one(stage: Shouting) -> None:
    stage.run("abc", ["1", "1", "1"])
    assert stage.run("abc", ["1", "2", "1"]) == ["A", "B", "C"]
    assert stage.ran == ["b"]
    stage.run("abc", ["1", "1", "1"])
    assert stage.ran == ["b"], "going back is a change too: the output on disk is the other one's"


def test_a_new_item_is_run_beside_the_finished_ones(stage: Shouting) -> None:
    stage.run("ac", ["1", "1"])
    assert stage.run("abcd", ["1"] * 4) == ["A", "B", "C", "D"]
    assert stage.ran == ["d", "b"]


def test_what_was_finished_before_a_failure_is_kept(tmp_path: Path) -> None:
    stage = Shouting(tmp_path, LocalEngine(1))
    items = ["a", "b", "broken", "d"]
    with pytest.raises(RuntimeError, match="broken"):
        stage.run(items, ["1"] * 4)
    assert stage.ran == ["a", "b", "broken"]
    with pytest.raises(RuntimeError, match="broken"):
        stage.run(items, ["1"] * 4)
    assert stage.ran == ["broken"]


class InOrder(Backwards):
    """An engine that handles its items in their order; ``workers`` is what it says it has."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], *others: Any
    ) -> Generator[tuple[int, Any], None, None]:
        for index, item in enumerate(items):
            yield index, function(item)


def test_several_workers_are_given_the_largest_items_first(tmp_path: Path) -> None:
    for workers, handled in ((1, ["b", "aaaa", "cc", "dd"]), (3, ["aaaa", "cc", "dd", "b"])):
        stage = Shouting(tmp_path / str(workers), InOrder(workers))
        assert stage.run(["b", "aaaa", "cc", "dd"], ["1"] * 4) == ["B", "AAAA", "CC", "DD"]
        assert stage.ran == handled
        assert stage.run(["b", "aaaa", "cc", "dd"], ["1", "1", "2", "1"]) == ["B", "AAAA", "CC", "DD"]
        assert stage.ran == ["cc"]


def test_a_stage_of_nothing_gives_nothing(stage: Shouting) -> None:
    assert stage.run("", []) == []


def test_records_say_how_much_was_run_and_how_much_was_reused(stage: Shouting) -> None:
    records = stage.stages.records
    stage.run("ab", ["1", "1"])
    assert (records["shout out"].items, records["shout out"].reused) == (2, 0)
    stage.run("abc", ["1", "2", "1"])
    assert (records["shout out"].items, records["shout out"].reused) == (3, 1)
    assert records["shout out"].stale == {"of/b": 'on: "1" -> "2"'}
    assert records["shout out"].seconds >= 0


@pytest.mark.parametrize("end", [None, KeyboardInterrupt])
def test_what_writers_leave_is_removed_before_and_after(
    stage: Shouting, tmp_path: Path, end: type[BaseException] | None
) -> None:
    (tmp_path / "old.01234567.tmp").write_bytes(b"")
    with contextlib.suppress(KeyboardInterrupt), stage.stages.cleaning([tmp_path]):
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "own.89abcdef.tmp").write_bytes(b"")
        if end:
            raise end
    assert list(tmp_path.iterdir()) == []


def test_an_inspection_runs_and_writes_nothing_and_stops_where_something_is_to_do(
    stage: Shouting, tmp_path: Path
) -> None:
    stage.run("ab", ["1", "1"])
    stage.stages.inspecting = True
    assert stage.run("ab", ["1", "1"]) == ["A", "B"]
    with pytest.raises(Unfinished, match="shout out"):
        stage.run("abc", ["1", "2", "1"])
    assert stage.ran == []
    record = stage.stages.records["shout out"]
    assert (record.items, record.reused, record.stale) == (3, 1, {"of/b": 'on: "1" -> "2"'})
    (tmp_path / "a.tmp").write_bytes(b"")
    stage.stages.write_json(tmp_path / "new.json", {})
    stage.stages.write(tmp_path / "new", b"")
    stage.stages.remove(tmp_path / "a.tmp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tmp", "of"]


class Nothing(StageResult, frozen=True, kw_only=True):
    pass


@dataclass(frozen=True)
class Read(Stage[list[str], Nothing]):
    """A stage of one task that reads files another stage or run wrote, and remembers in ``ran`` that it ran."""

    reads: tuple[WrittenFile, ...]
    ran: list[str]

    name: ClassVar[str] = "read"
    title: ClassVar[str] = "read"
    version: ClassVar[int] = 1
    result_type = Nothing

    def tasks(self) -> list[Task[list[str]]]:
        return [Task("a", self.ran, {}, 1, self.reads)]

    @staticmethod
    def run(payload: list[str]) -> Nothing:
        payload.append("ran")
        return Nothing()


class Reader:
    """Runs of that stage in one folder."""

    def __init__(self, folder: Path) -> None:
        self.stages = Stages(LocalEngine(1))
        self.markers = Markers(folder / "done", folder, Nothing)
        self._ran: list[str] = []

    @property
    def ran(self) -> int:
        return len(self._ran)

    def run(self, *reads: WrittenFile) -> None:
        self.stages.run(Read(reads, self._ran), self.markers)


def written(path: Path, content: bytes) -> FileRecord:
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
    whole = WrittenFile(tmp_path / "rows", content_digest([record]))
    reader.run(*written_files([record]), whole)
    assert (reader.ran, reader.stages.sound) == (1, {str(tmp_path / "rows")})
    reader.run(WrittenFile(tmp_path / "absent", ""))
    assert reader.ran == 1, "what is not read is not checked"


class Copied(StageResult, frozen=True, kw_only=True):
    copy: FileRecord
    by: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Copy(Stage[Path, Copied]):
    """A stage of one task, which writes one file; each of these stages has a label of its own."""

    folder: Path

    name: ClassVar[str] = "copy"
    title: ClassVar[str] = "copies"
    version: ClassVar[int] = 1
    result_type = Copied

    @property
    def label(self) -> str:
        return f"copy {self.folder.name}"

    def tasks(self) -> list[Task[Path]]:
        return [Task("all", self.folder / "rows", {}, 1)]

    @staticmethod
    def run(payload: Path) -> Copied:
        return Copied(copy=written(payload, b"abc"), by={"c4": (1,)})


def copied(stages: Stages, folder: Path) -> Copied:
    (result,) = stages.run(Copy(folder), Markers(folder / "done", folder, Copied))
    return result


def test_what_a_run_wrote_itself_is_not_checked_again(tmp_path: Path) -> None:
    stages = Stages(LocalEngine(1))
    result = copied(stages, tmp_path)
    assert stages.sound == {str(tmp_path / "rows")}
    assert list(stages.written.values()) == [result.copy]


def test_results_are_the_same_from_markers_and_stages_go_by_their_labels(tmp_path: Path) -> None:
    first = copied(Stages(LocalEngine(1)), tmp_path)
    again = Stages(LocalEngine(1))
    assert copied(again, tmp_path) == first
    assert again.records[f"copy {tmp_path.name}"].reused == 1


def test_one_finished_task_is_found_before_what_leads_to_it_is_looked_at(tmp_path: Path) -> None:
    markers = Markers(tmp_path / "done", tmp_path, Copied)
    stages = Stages(LocalEngine(1))
    assert stages.finished("copies", markers, "all", {}) is None
    assert stages.records == {}
    first = copied(stages, tmp_path)
    again = Stages(LocalEngine(1))
    assert again.finished("copies", markers, "all", {}) == first
    assert list(again.written.values()) == [first.copy]
    inspecting = Stages(LocalEngine(1), inspecting=True)
    assert inspecting.finished("copies", markers, "all", {"seed": 2}) is None
    assert inspecting.records["copies"].stale == {"all": "seed: null -> 2"}
