"""Results find their files at any depth, and go through JSON as what they are or not at all."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from slimpajama.stages.stage import StageResult, map_files
from slimpajama.storage.file_record import FileRecord


class Part(msgspec.Struct, frozen=True):
    start: int
    shard: FileRecord | None


class Example(StageResult, frozen=True, kw_only=True):
    documents: int
    sketches: FileRecord
    quarantine: FileRecord | None
    parts: tuple[Part, ...]
    by_source: dict[str, FileRecord]


def record(name: str) -> FileRecord:
    return FileRecord(name, len(name), f"digest of {name}")


EXAMPLE = Example(
    documents=3,
    sketches=record("a"),
    quarantine=None,
    parts=(Part(0, record("b")), Part(7, None)),
    by_source={"c4": record("c")},
)


def test_files_come_in_the_order_of_fields() -> None:
    assert EXAMPLE.files == (record("a"), record("b"), record("c"))


def test_every_file_can_be_replaced() -> None:
    moved = map_files(EXAMPLE, lambda file: record(f"moved/{file.path}"))
    assert moved.files == (record("moved/a"), record("moved/b"), record("moved/c"))
    assert (moved.documents, moved.quarantine, moved.parts[1]) == (3, None, Part(7, None))
    assert EXAMPLE.files[0] == record("a")


def test_a_result_goes_through_json_and_pickle() -> None:
    assert msgspec.json.decode(msgspec.json.encode(EXAMPLE), type=Example) == EXAMPLE
    assert pickle.loads(pickle.dumps(EXAMPLE)) == EXAMPLE  # noqa: S301 - just written


@pytest.mark.parametrize(
    "change", [{"more": 1}, {"documents": "three"}, {"sketches": {"path": "a", "bytes": 1}}, {"parts": [{"start": 0}]}]
)
def test_json_of_another_shape_is_no_result(change: dict[str, object]) -> None:
    other = msgspec.to_builtins(EXAMPLE) | change
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(other, Example)
