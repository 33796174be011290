"""Finished work is known by what it depended on, and by the files it wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama.markers import Markers
from slimpajama.sealed_json import read_sealed, sealed, write_sealed
from slimpajama.workspace import atomic_file, file_record


def result_of(markers: Markers, item: str, depends: dict[str, object]) -> object:
    return markers.result(item, depends)[0]


def test_finished_work_is_known_by_exactly_what_it_depended_on(tmp_path: Path) -> None:
    markers = Markers(tmp_path / "done", tmp_path)
    assert markers.result("c4/0", {"seed": 1}) == (None, "")
    markers.finish("c4/0", {"seed": 1}, {"documents": 3})
    assert markers.result("c4/0", {"seed": 1}) == ({"documents": 3, "files": []}, "")
    assert markers.result("c4/0", {"seed": 2}) == (None, "seed: 1 -> 2")
    assert markers.result("c4/1", {"seed": 1}) == (None, "")
    markers.finish("c4/0", {"seed": 2}, {"documents": 4})
    assert markers.result("c4/0", {"seed": 1}) == (None, "seed: 2 -> 1")
    assert markers.result("c4/0", {"seed": 2}) == ({"documents": 4, "files": []}, "")
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
    markers = Markers(tmp_path / "done", tmp_path)
    markers.finish("item", before, {})
    assert markers.result("item", now) == (None, reason)


def test_a_tuple_is_the_list_it_becomes(tmp_path: Path) -> None:
    markers = Markers(tmp_path / "done", tmp_path)
    markers.finish("item", {"a": (1, (2,))}, {})
    assert result_of(markers, "item", {"a": (1, (2,))}) == {"files": []}


def test_a_result_holds_while_its_files_lie_there_in_their_sizes_and_moves_with_them(tmp_path: Path) -> None:
    root = tmp_path / "here"
    with atomic_file(root / "deep" / "a.bin") as file:
        file.write(b"abc")
        file.write(memoryview(b"de"))
    digest = hashlib.blake2b(b"abcde", digest_size=16).hexdigest()
    assert file.record == {"path": str(root / "deep" / "a.bin"), "bytes": 5, "blake2b": digest}
    assert file.record == file_record(root / "deep" / "a.bin")
    Markers(root / "done", root).finish("item", {}, {"files": [file.record]})
    root.rename(tmp_path / "there")
    moved = tmp_path / "there" / "deep" / "a.bin"
    markers = Markers(tmp_path / "there" / "done", tmp_path / "there")
    assert markers.result("item", {}) == ({"files": [file.record | {"path": str(moved)}]}, "")
    moved.write_bytes(b"abcdE")
    assert markers.result("item", {}) == (None, f"{moved} is not what was written")
    assert markers.result("item", {}, small=4)[0] is not None, "a large file is compared by size"
    moved.write_bytes(b"abcd")
    assert markers.result("item", {}) == (None, f"{moved} has 4 bytes instead of 5")
    moved.unlink()
    assert markers.result("item", {}) == (None, f"{moved} is missing")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"depends": {}}', '{"depends": {}, "result": 3}', '{"files": []}']
)
def test_a_marker_that_makes_no_sense_counts_as_absent(tmp_path: Path, content: str) -> None:
    (tmp_path / "item.json").write_text(content)
    assert Markers(tmp_path, tmp_path).result("item", {}) == (None, "")


@given(st.dictionaries(st.text(min_size=1), st.integers(-(2**63), 2**64 - 1) | st.text() | st.none()))
def test_results_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, result: dict[str, object]) -> None:
    folder = tmp_path_factory.mktemp("markers")
    result.pop("files", None)
    Markers(folder, folder).finish("item", {}, result)
    assert result_of(Markers(folder, folder), "item", {}) == {**result, "files": []}


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
