"""Clusters that keep no member, two, or the wrong one, and those that are not as large as their survivor says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama.verification.survivors import check_survivors, survivor_items


class Row(NamedTuple):
    """A document's cluster, whether it is kept and the size of what it stands for, globally and locally."""

    id: int
    cluster_global: int | None
    cluster_local: int | None
    kept_global: bool
    kept_local: bool
    size_global: int | None
    size_local: int | None


SOUND = [
    Row(1, 1, 1, True, True, 3, 2),
    Row(2, 1, 1, False, False, None, None),
    Row(9, 1, None, False, True, None, 1),
    Row(10, 10, 10, True, True, 2, 2),
    Row(11, 10, 10, False, False, None, None),
    Row(12, None, None, True, True, 1, 1),
]

CHECKED = [
    Row(1, 1, 1, True, True, 2, 2),
    Row(2, None, 1, True, False, 1, None),
    Row(9, 1, None, False, True, None, 1),
]
"""Kept globally, but not locally: its global candidate was itself removed, and nothing else is as like it."""

TYPES = (pa.uint64(), pa.uint64(), pa.uint64(), pa.bool_(), pa.bool_(), pa.int64(), pa.int64())


def findings(folder: Path, rows: list[Row], memory: int = 1 << 20, first_id: int = 0) -> list[str]:
    """The rows lie in two tables, so that clusters have members in both."""
    paths = []
    for number, own in enumerate((rows[::2], rows[1::2])):
        columns = list(zip(*own, strict=True))
        paths.append(folder / f"{number}.parquet")
        arrays = [pa.array(column, kind) for column, kind in zip(columns, TYPES, strict=True)]
        pq.write_table(pa.table(arrays, names=list(Row._fields)), paths[-1])
    items = survivor_items(paths, [len(rows)] * 2, memory, first_id)
    return [finding for item in items for finding in check_survivors(item).findings]


@pytest.mark.parametrize("memory", [1 << 20, 50])
@pytest.mark.parametrize("rows", [SOUND, CHECKED], ids=["components", "checked"])
def test_each_cluster_keeps_its_survivor(tmp_path: Path, memory: int, rows: list[Row]) -> None:
    assert findings(tmp_path, rows, memory) == []


@pytest.mark.parametrize("memory", [1 << 20, 50])
@pytest.mark.parametrize(
    ("row", "changed", "scope", "cluster"),
    [
        (0, Row(1, 1, 1, False, True, 3, 2), "global", "0x1"),
        (0, Row(1, 1, 1, True, False, 3, 2), "local", "0x1"),
        (1, Row(2, 1, 1, True, False, None, None), "global", "0x1"),
        (4, Row(11, 10, 10, False, True, None, None), "local", "0xa"),
        (2, Row(9, 1, 9, False, False, None, 1), "local", "0x9"),
        (2, Row(9, 12, None, False, True, None, 1), "global", "0xc"),
    ],
)
def test_a_cluster_that_keeps_something_else_is_found(
    tmp_path: Path, memory: int, row: int, changed: Row, scope: str, cluster: str
) -> None:
    rows = [*SOUND[:row], changed, *SOUND[row + 1 :]]
    assert (
        f"1 {scope} clusters do not keep exactly the document that the others name, e.g. {cluster}: remove decisions/ "
        "and work/ and run the same command again, and report this"
    ) in findings(tmp_path, rows, memory)


@pytest.mark.parametrize("memory", [1 << 20, 50])
@pytest.mark.parametrize("scope", ["global", "local"])
def test_a_size_that_is_not_the_number_of_documents_is_found(tmp_path: Path, memory: int, scope: str) -> None:
    wrong = SOUND[0]._replace(size_global=7) if scope == "global" else SOUND[0]._replace(size_local=7)
    rows = [wrong, *SOUND[1:]]
    (found,) = findings(tmp_path, rows, memory)
    assert found == (
        f"1 {scope} clusters have another number of documents than size_{scope} of their survivor says, e.g. 0x1: "
        "remove decisions/ and work/ and run the same command again, and report this"
    )


def test_what_an_earlier_run_has_is_kept_by_nobody_here_and_in_nobody_s_size(tmp_path: Path) -> None:
    rows = [Row(20, 3, 3, False, False, None, None), Row(21, 3, None, False, True, None, 1)]
    assert findings(tmp_path, rows, first_id=20) == []
    assert len(findings(tmp_path, [rows[0]._replace(size_global=2), rows[1]], first_id=20)) == 1
    assert len(findings(tmp_path, rows)) == 4, "they would have to be there"


def test_ranges_follow_the_memory_in_each_scope() -> None:
    items = survivor_items([Path("x")], [1_000_000, 0], 12_000_000)
    assert [(item.scope, item.number, item.ranges) for item in items] == [
        *(("global", number, 4) for number in range(4)),
        ("local", 0, 1),
    ]
