"""The groups of a clusters file, in any number of ranges, read back for any ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from slimpajama.dedup.files.clusters import Clusters, not_computed, write_clusters_file
from slimpajama.dedup.files.groups import Groups, GroupsFiles
from slimpajama.dedup.precedence import Precedence
from slimpajama.dedup.stages.group import GroupPayload, GroupResult, GroupStage, LargeCluster
from slimpajama.storage.atomic import write_json
from tests.dedup.pairs import EVERYTHING, plain

A, B = 0, 1 << 40
IDS = [A + 1, A + 2, A + 3, B + 1, B + 2, B + 3]
GLOBAL = [A + 1, A + 1, A + 3, A + 1, A + 3, B + 3]
LOCAL = [A + 1, A + 1, A + 3, B + 1, B + 2, B + 3]
TEXTS = [5, 5, 6, 5, 7, 8]
LENGTHS = [10, 12, 30, 14, 40, 50]
SPARE = [A + 9, B + 9]
"""Documents that are linked to none."""


def uint64(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def written(folder: Path, batch: int = 1 << 20) -> None:
    clusters = Clusters(uint64(IDS), uint64(GLOBAL), uint64(LOCAL), not_computed(6), np.full(6, 0.875, np.float32))
    write_clusters_file(folder / "clusters.arrow", [clusters], batch)
    rows = pa.record_batch(
        {
            "id": uint64([*IDS, *SPARE]),
            "hash_low": uint64([*TEXTS, 0, 0]),
            "hash_high": uint64([*TEXTS, 0, 0]),
            "bytes": np.array([*LENGTHS, 1, 1]),
            "rank_0": uint64([1 << 20] * 8) - uint64([*LENGTHS, 1, 1]),
        }
    )
    with pa.ipc.new_file(str(folder / "rows.arrow"), rows.schema) as writer:
        writer.write_batch(rows)
    write_json(folder / "rows.json", ["rows.arrow"])


def payload(
    folder: Path,
    scope: str,
    number: int = 0,
    ranges: int = 1,
    prefer: tuple[str, ...] | None = ("source",),
    first_shard: int = 0,
) -> GroupPayload:
    return GroupPayload(
        scope,  # type: ignore[arg-type]
        number,
        ranges,
        folder / "clusters.arrow",
        folder / "rows.json",
        plain((0, 1)),
        None if prefer is None else Precedence(prefer, plain((0, 1)), first_shard),
        folder / f"{scope}-{number}-of-{ranges}.arrow",
    )


def in_ranges(folder: Path, scope: str, ranges: int, rows: int = 1 << 20) -> tuple[list[GroupResult], GroupsFiles]:
    payloads = [payload(folder, scope, number, ranges) for number in range(ranges)]
    results = [GroupStage.run(one, rows) for one in payloads]
    return results, GroupsFiles(tuple(one.groups_file for one in payloads), 1)


def plain_columns(groups: Groups) -> list[list[float]]:
    return [np.nan_to_num(column.astype(np.float64), nan=-1).tolist() for column in groups.columns]


def test_both_scopes_have_their_groups_and_figures(tmp_path: Path) -> None:
    written(tmp_path)
    (result,), files = in_ranges(tmp_path, "global", 1)
    groups = files.read(EVERYTHING)
    assert groups.id.tolist() == IDS[:5]
    assert groups.survivor.tolist() == GLOBAL[:5]
    assert groups.size.tolist() == [3, 0, 2, 0, 0]
    assert groups.exact.tolist() == [False, True, False, True, False]
    assert groups.exact_copies.tolist() == [3, 0, 1, 0, 0]
    assert groups.sources[:, 0].tolist() == [0b11, 0, 0b11, 0, 0]
    assert np.isnan(groups.similarity).all()
    assert (result.documents, result.clusters) == (5, 2)
    assert result.largest == (LargeCluster(A + 1, 3), LargeCluster(A + 3, 2))
    assert result.shared_clusters == ((2, 2), (2, 2))
    assert result.shared_documents == ((2, 3), (2, 0))
    assert result.shared_bytes == ((22, 52), (54, 0))
    (result,), files = in_ranges(tmp_path, "local", 1)
    groups = files.read(EVERYTHING)
    assert groups.id.tolist() == IDS[:2]
    assert groups.size.tolist() == [2, 0]
    assert groups.similarity.tolist() == [0.875] * 2
    assert (result.documents, result.clusters, result.shared_documents) == (2, 1, ())


@pytest.mark.parametrize("ranges", [2, 3, 7])
@pytest.mark.parametrize("batch", [1, 2, 1 << 20])
def test_any_ranges_and_batches_give_the_groups_of_one(tmp_path: Path, ranges: int, batch: int) -> None:
    written(tmp_path, batch)
    for scope in ("global", "local"):
        (whole,), files = in_ranges(tmp_path, scope, 1)
        results, parts = in_ranges(tmp_path, scope, ranges, batch)
        for spans in (EVERYTHING, [(A + 2, B), (B + 1, B + 2)], [(A + 4, B)], [(B + 3, B + 4)]):
            assert plain_columns(parts.read(spans)) == plain_columns(files.read(spans))
        assert sum(result.documents for result in results) == whole.documents
        summed = np.array([result.shared_bytes for result in results]).sum(axis=0)
        assert summed.tolist() == list(map(list, whole.shared_bytes))


def survivors(folder: Path, scope: str, **more: object) -> list[int]:
    one = payload(folder, scope, **more)  # type: ignore[arg-type]
    GroupStage.run(one)
    found: list[int] = GroupsFiles((one.groups_file,), 1).read(EVERYTHING).survivor.tolist()
    return found


def test_survivors_are_chosen_by_columns_of_the_rows_and_the_order_of_sources(tmp_path: Path) -> None:
    written(tmp_path)
    assert survivors(tmp_path, "global", prefer=("longest",)) == [B + 1, B + 1, B + 2, B + 1, B + 2]
    assert survivors(tmp_path, "global", prefer=("source", "longest")) == [A + 2, A + 2, A + 3, A + 2, A + 3]
    assert survivors(tmp_path, "local", prefer=("longest",)) == [A + 2, A + 2]


def test_a_document_of_an_earlier_run_stays_whatever_is_preferred(tmp_path: Path) -> None:
    written(tmp_path)
    # Source A is of an earlier run.
    assert survivors(tmp_path, "global", prefer=("longest",), first_shard=1) == [A + 1, A + 1, A + 3, A + 1, A + 3]


def test_clusters_that_name_their_survivors_keep_them(tmp_path: Path) -> None:
    written(tmp_path)
    assert survivors(tmp_path, "global", prefer=None) == GLOBAL[:5]
