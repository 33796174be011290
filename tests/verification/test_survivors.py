"""Clusters that keep no member, two, or the wrong one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slimpajama.verification.survivors import check_survivors, survivor_items

Row = tuple[int, int, "int | None", bool, bool]

SOUND: list[Row] = [
    # id, global root, local root, kept globally, kept locally
    (1, 1, 1, True, True),
    (2, 1, 1, False, False),
    (9, 1, None, False, True),
    (10, 10, 10, True, True),
    (11, 10, 10, False, False),
]


def findings(folder: Path, rows: list[Row], memory: int = 1 << 20) -> list[str]:
    """The rows lie in two tables, so that clusters have members in both."""
    paths = []
    for number, own in enumerate((rows[::2], rows[1::2])):
        columns = list(zip(*own, strict=True))
        names = ("id", "cluster_global", "cluster_local", "kept_global", "kept_local")
        types = (pa.uint64(), pa.uint64(), pa.uint64(), pa.bool_(), pa.bool_())
        paths.append(folder / f"{number}.parquet")
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
        pq.write_table(pa.table(arrays, names=list(names)), paths[-1])
    items = survivor_items(paths, len(rows), memory)
    return [finding for item in items for finding in check_survivors(item).findings]


@pytest.mark.parametrize("memory", [1 << 20, 50])
def test_each_cluster_keeps_its_root(tmp_path: Path, memory: int) -> None:
    assert findings(tmp_path, SOUND, memory) == []


@pytest.mark.parametrize("memory", [1 << 20, 50])
@pytest.mark.parametrize(
    ("row", "changed", "scope", "cluster"),
    [
        (0, (1, 1, 1, False, True), "global", "0x1"),
        (0, (1, 1, 1, True, False), "local", "0x1"),
        (1, (2, 1, 1, True, False), "global", "0x1"),
        (4, (11, 10, 10, False, True), "local", "0xa"),
        (2, (9, 1, None, False, False), "local", "0x9"),
    ],
)
def test_a_cluster_that_keeps_something_else_is_found(
    tmp_path: Path, memory: int, row: int, changed: Row, scope: str, cluster: str
) -> None:
    rows = [*SOUND[:row], changed, *SOUND[row + 1 :]]
    (found,) = findings(tmp_path, rows, memory)
    assert found == (
        f"1 {scope} clusters do not keep exactly their root, e.g. {cluster}: remove decisions/ and work/ and run the "
        "same command again, and report this"
    )


def test_ranges_follow_the_memory() -> None:
    assert len(survivor_items([Path("x")], 1_000_000, 10_000_000)) == 4
    assert len(survivor_items([Path("x")], 0, 10_000_000)) == 1
