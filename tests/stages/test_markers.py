"""Finished work is known by what it depended on, and by the files it wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.stages.markers import Markers
from slimpajama.stages.stage import StageResult
from slimpajama.storage.atomic import atomic_file, file_record
from slimpajama.storage.file_record import FileRecord
from slimpajama.storage.sealed_json import read_sealed, sealed, write_sealed


class Counted(StageResult, frozen=True, kw_only=True):
    documents: int = 0
    written: tuple[FileRecord, ...] = ()


class Other(StageResult, frozen=True, kw_only=True):
    words: int = 0


class AnyValues(StageResult, frozen=True, kw_only=True):
    values: dict[str, int | str | None]


def markers_in(folder: Path, root: Path | None = None) -> Markers[Counted]:
    return Markers(folder, root or folder, Counted)


def test_finished_work_is_known_by_exactly_what_it_depended_on(tmp_path: Path) -> None:
    markers = markers_in(tmp_path / "done", tmp_path)
    assert markers.result("c4/0", {"seed": 1}) == (None, "")
    markers.finish("c4/0", {"seed": 1}, Counted(documents=3))
    assert markers.result("c4/0", {"seed": 1}) == (Counted(documents=3), "")
    assert markers.result("c4/0", {"seed": 2}) == (None, "seed: 1 -> 2")
    assert markers.result("c4/1", {"seed": 1}) == (None, "")
    markers.finish("c4/0", {"seed": 2}, Counted(documents=4))
    assert markers.result("c4/0", {"seed": 1}) == (None, "seed: 2 -> 1")
    assert markers.result("c4/0", {"seed": 2}) == (Counted(documents=4), "")
    assert [path.name for path in (tmp_path / "done").rglob("*.json")] == ["0.json"]


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, "a.c: 2 -> 3"),
        ({"a": 1}, {"a": 1, "b": "x"}, 'b: null -> "x"'),
        ({"a": [1, 2]}, {"a": (1, 3)}, "a changed"),
        ({"a": "x" * 50}, {"a": "y" * 50}, "a changed"),
        ({"a": {"b": 1}}, {"a": None}, 'a: {"b":1} -> null'),
        ({str(n): 0 for n in range(5)}, {str(n): 1 for n in range(5)}, "0: 0 -> 1; 1: 0 -> 1; 2: 0 -> 1 and 2 more"),
    ],
)
def test_why_finished_work_does_not_hold_is_told(
    tmp_path: Path, before: dict[str, object], now: dict[str, object], reason: str
) -> None:
    markers = markers_in(tmp_path / "done", tmp_path)
    markers.finish("item", before, Counted())
    assert markers.result("item", now) == (None, reason)


def test_a_tuple_is_the_list_it_becomes(tmp_path: Path) -> None:
    markers = markers_in(tmp_path / "done", tmp_path)
    markers.finish("item", {"a": (1, (2,))}, Counted())
    assert markers.result("item", {"a": (1, (2,))}) == (Counted(), "")


def test_a_result_holds_while_its_files_lie_there_in_their_sizes_and_moves_with_them(tmp_path: Path) -> None:
    root = tmp_path / "here"
    with atomic_file(root / "deep" / "a.bin") as file:
        file.write(b"abc")
        file.write(memoryview(b"de"))
    digest = hashlib.blake2b(b"abcde", digest_size=16).hexdigest()
    assert file.record == FileRecord(str(root / "deep" / "a.bin"), 5, digest)
    assert file.record == file_record(root / "deep" / "a.bin")
    markers_in(root / "done", root).finish("item", {}, Counted(written=(file.record,)))
    root.rename(tmp_path / "there")
    moved = tmp_path / "there" / "deep" / "a.bin"
    markers = markers_in(tmp_path / "there" / "done", tmp_path / "there")
    assert markers.result("item", {}) == (Counted(written=(FileRecord(str(moved), 5, digest),)), "")
    moved.write_bytes(b"abcdE")
    assert markers.result("item", {}) == (None, f"{moved} is not what was written")
    assert markers.result("item", {}, small=4)[0] is not None, "a large file is compared by size"
    moved.write_bytes(b"abcd")
    assert markers.result("item", {}) == (None, f"{moved} has 4 bytes instead of 5")
    moved.unlink()
    assert markers.result("item", {}) == (None, f"{moved} is missing")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"inputs": {}}', '{"inputs": {}, "result": 3}', '{"files": []}']
)
def test_a_marker_that_makes_no_sense_counts_as_absent(tmp_path: Path, content: str) -> None:
    (tmp_path / "item.json").write_text(content)
    assert markers_in(tmp_path).result("item", {}) == (None, "")


@pytest.mark.parametrize(
    "marker",
    [
        {"depends": {}, "result": {}, "files": []},
        {"inputs": {}},
        {"inputs": {}, "result": 3},
        {"inputs": {}, "result": {"documents": "three"}},
        {"inputs": {}, "result": {"documents": 3, "more": 1}},
        {"inputs": {}, "result": {"written": [{"path": "a", "bytes": 1}]}},
    ],
)
def test_a_marker_of_another_shape_was_made_by_another_version(tmp_path: Path, marker: dict[str, object]) -> None:
    write_sealed(tmp_path / "item.json", marker)
    assert markers_in(tmp_path).result("item", {}) == (None, "it was made by another version")


def test_a_result_of_another_stage_is_none_of_this_one(tmp_path: Path) -> None:
    Markers(tmp_path, tmp_path, Other).finish("item", {}, Other(words=2))
    assert markers_in(tmp_path).result("item", {}) == (None, "it was made by another version")


def test_files_of_tasks_that_are_no_more_are_known_whatever_version_wrote_the_marker(tmp_path: Path) -> None:
    record = {"path": "a.bin", "bytes": 5, "blake2b": "00"}
    write_sealed(tmp_path / "old.json", {"depends": {}, "result": {}, "files": [record]})
    markers_in(tmp_path).finish("new", {}, Counted(written=(FileRecord(str(tmp_path / "b.bin"), 1, "00"),)))
    markers_in(tmp_path).finish("kept", {}, Counted())
    assert list(markers_in(tmp_path).others(["kept"])) == [
        (tmp_path / "new.json", ["b.bin"]),
        (tmp_path / "old.json", ["a.bin"]),
    ]


@given(st.dictionaries(st.text(min_size=1), st.integers(-(2**63), 2**64 - 1) | st.text() | st.none()))
def test_results_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, result: dict[str, int | str | None]
) -> None:
    folder = tmp_path_factory.mktemp("markers")
    markers = Markers(folder, folder, AnyValues)
    markers.finish("item", {}, AnyValues(values=result))
    assert markers.result("item", {}) == (AnyValues(values=result), "")


@given(st.data())
def test_a_marker_with_any_other_byte_counts_as_absent(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("sealed") / "item.json"
    write_sealed(path, {"a": [1, 2.5, None], "b": {"é": "x y"}})
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    path.write_bytes(content)
    assert read_sealed(path) is None


def test_a_sealed_file_holds_its_members_and_the_seal(tmp_path: Path) -> None:
    assert sealed({"a": 1}) == b'{\n  "a": 1,\n  "seal": "000040b05cd78ab9407b433a1108433b"\n}\n'
    write_sealed(tmp_path / "a.json", {"a": 1})
    assert read_sealed(tmp_path / "a.json") == {"a": 1}
    (tmp_path / "a.json").write_text('{"a":1}')
    assert read_sealed(tmp_path / "a.json") is None
    assert read_sealed(tmp_path / "absent.json") is None
