"""Who stays, in each scope; and that every record is accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimpajama import ConservationError
from slimpajama.dedup.clustering.union_find import Clusters
from slimpajama.dedup.files.sketches import BAD, SHORT, SOUND, Rows, RowShape, RowsWriter
from slimpajama.dedup.run_summary import source_figures
from slimpajama.dedup.stages.decide import DecidePayload, DecideResult, DecideStage
from slimpajama.dedup.summary import Count, ScopeFigures, SourceFigures
from slimpajama.dedup.verdicts import SCHEMA, VERDICTS, Tally, Verdicts, decide
from slimpajama.storage.atomic import atomic_file
from tests.dedup.pairs import clusters_of_pairs, plain

A, B = 0, 1 << 40
"""First ids of two sources of one shard each."""
FIRST_SHARDS = (0, 1)

IDS = [A + 10, A + 20, A + 30, A + 40, A + 50, B + 10, B + 20, B + 30, B + 40]
STATUS = [SOUND, SOUND, SOUND, SHORT, BAD, SOUND, SOUND, SOUND, SOUND]
# A10 - A20 agree; B10 agrees with A20, and B20 with B10; B30 agrees with A30; B40 is alone, as are the broken ones.
LINKS = [(A + 20, A + 10), (B + 10, A + 20), (B + 20, B + 10), (B + 30, A + 30)]


def uint64(values: object) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def clusters_of(links: list[tuple[int, int]]) -> Clusters:
    pairs = uint64(links).reshape(-1, 2)
    return clusters_of_pairs([(pairs[:, 0], pairs[:, 1])], FIRST_SHARDS)


def verdicts_of(ids: list[int], status: list[int], links: list[tuple[int, int]]) -> Verdicts:
    return decide(uint64(ids), np.array(status, dtype=np.uint8), clusters_of(links))


def test_the_smallest_id_of_a_cluster_stays_in_each_scope() -> None:
    found = verdicts_of(IDS, STATUS, LINKS)
    assert [VERDICTS[code] for code in found.status] == [
        *("kept", "duplicate", "kept", "short", "bad"),
        *("duplicate", "duplicate", "duplicate", "kept"),
    ]
    assert found.kept_global.tolist() == [True, False, True, False, False, False, False, False, True]
    assert found.kept_local.tolist() == [True, False, True, False, False, True, False, True, True]
    assert found.linked.tolist() == [True, True, True, False, False, True, True, True, False]
    assert found.alone_local.tolist() == [False, False, True, True, True, False, False, True, True]
    assert found.global_roots[found.linked].tolist() == [A + 10, A + 10, A + 30, A + 10, A + 10, A + 30]
    assert found.local_roots[found.linked].tolist() == [A + 10, A + 10, A + 30, B + 10, B + 10, B + 30]


def test_without_clusters_every_sound_document_stays() -> None:
    found = verdicts_of(IDS, STATUS, [])
    sound = [status == SOUND for status in STATUS]
    assert found.kept_global.tolist() == found.kept_local.tolist() == sound
    assert not found.linked.any()


def test_no_records_need_no_decisions() -> None:
    assert verdicts_of([], [], LINKS).status.size == 0


DOCUMENTS = st.sampled_from(IDS)


@given(st.lists(st.tuples(DOCUMENTS, DOCUMENTS).filter(lambda link: link[0] != link[1])))
def test_what_is_kept_globally_is_kept_locally_and_one_of_each_cluster_is(links: list[tuple[int, int]]) -> None:
    sound = [(a, b) for a, b in links if STATUS[IDS.index(a)] == SOUND and STATUS[IDS.index(b)] == SOUND]
    found = verdicts_of(IDS, STATUS, sound)
    assert not (found.kept_global & ~found.kept_local).any()
    for roots, kept in ((found.global_roots, found.kept_global), (found.local_roots, found.kept_local)):
        members = np.array(STATUS) == SOUND
        assert sorted(uint64(IDS)[kept].tolist()) == sorted(set(roots[members].tolist()))


# ---------------------------------------------------------------------------------------------- one piece on disk


def decided(
    folder: Path, links: list[tuple[int, int]], status: list[int] = STATUS, clusters: Clusters | None = None
) -> tuple[DecideResult, pa.Table]:
    """What the stage makes of rows of this ``status`` and of the clusters of ``links``, or of other ``clusters``."""
    clusters = clusters or clusters_of(links)
    table = pa.table(
        {
            "id": clusters.ids,
            "cluster_global": clusters.global_roots,
            "cluster_local": clusters.local_roots,
            "alone_local": clusters.local_alone,
        }
    )
    with atomic_file(folder / "clusters.arrow") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    count = len(IDS)
    rows = Rows(
        ids=uint64(IDS),
        sources=np.array([document >> 40 for document in IDS], dtype=np.uint8),
        status=np.array(status, dtype=np.uint8),
        bytes=np.array([1, 2, 4, 8, 16, 32, 64, 128, 256]),
        cleaned=np.array([301, 302, 303, 4, 0, 306, 307, 308, 309]),
        rewritten=np.zeros(count, dtype=np.bool_),
        keys=np.zeros((count, 1), dtype=np.uint64),
        hashes=np.zeros((count, 2), dtype=np.uint64),
    )
    with atomic_file(folder / "rows.arrow") as file, RowsWriter(file, RowShape(1)) as writer:
        writer.append(rows)
    payload = DecidePayload(
        shard="mixed/0.jsonl.zst",
        rows_file=folder / "rows.arrow",
        clusters_file=folder / "clusters.arrow",
        decisions_file=folder / "decisions" / "0.parquet",
        source_names=("books", "c4"),
        sources=plain(FIRST_SHARDS),
        spans=((A, B), (B, B << 1)),
    )
    return DecideStage.run(payload), pq.read_table(payload.decisions_file)


def test_decisions_are_one_row_per_record_with_null_clusters_where_it_is_alone(tmp_path: Path) -> None:
    _, table = decided(tmp_path, LINKS)
    assert table.schema.equals(SCHEMA)
    assert table.to_pydict() == {
        "id": IDS,
        "source": ["books"] * 5 + ["c4"] * 4,
        "shard": ["mixed/0.jsonl.zst"] * 9,
        "position": [10, 20, 30, 40, 50, 10, 20, 30, 40],
        "status": ["kept", "duplicate", "kept", "short", "bad", "duplicate", "duplicate", "duplicate", "kept"],
        "cluster_global": [A + 10, A + 10, A + 30, None, None, A + 10, A + 10, A + 30, None],
        "cluster_local": [A + 10, A + 10, None, None, None, B + 10, B + 10, None, None],
        "kept_global": [True, False, True, False, False, False, False, False, True],
        "kept_local": [True, False, True, False, False, True, False, True, True],
        "bytes": [1, 2, 4, 8, 16, 32, 64, 128, 256],
        "cleaned_chars": [301, 302, 303, 4, None, 306, 307, 308, 309],
    }


def test_columns_are_those_that_others_build_on() -> None:
    assert [(field.name, str(field.type)) for field in SCHEMA] == [
        ("id", "uint64"),
        ("source", "string"),
        ("shard", "string"),
        ("position", "int64"),
        ("status", "string"),
        ("cluster_global", "uint64"),
        ("cluster_local", "uint64"),
        ("kept_global", "bool"),
        ("kept_local", "bool"),
        ("bytes", "int64"),
        ("cleaned_chars", "int64"),
    ]


def test_a_piece_is_counted_by_source_verdict_and_scope_in_documents_and_bytes(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = Tally(2, 2)
    tally.merge(result.counts, result.removed)
    figures = source_figures(tally, ("books", "c4"), [0, 0])
    half = ScopeFigures(kept=Count(2, 5), duplicate=Count(1, 2))
    assert figures["books"] == SourceFigures(Count(5, 31), Count(1, 8), Count(1, 16), half, half, 0)
    scopes = ScopeFigures(Count(1, 256), Count(3, 224)), ScopeFigures(Count(3, 416), Count(1, 64))
    assert figures["c4"] == SourceFigures(Count(4, 480), Count(0, 0), Count(0, 0), *scopes, 0)
    assert figures["total"].read == Count(9, 511)
    assert figures["total"].global_.duplicate == Count(4, 226)


def test_the_overlap_matrix_counts_whose_copies_were_removed_for_whose_sake(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    documents = np.array(result.removed)[:, :, 0].tolist()
    sizes = np.array(result.removed)[:, :, 1].tolist()
    assert documents == [[1, 0], [3, 0]]
    assert sizes == [[2, 0], [224, 0]]


def test_tallies_of_pieces_add_up(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = Tally(2, 2)
    for _ in range(3):
        tally.merge(result.counts, result.removed)
    assert tally.counts[:, 0].tolist() == [[15, 93], [12, 1440]]
    tally.check(("books", "c4"))


READ, SHORTER, BROKEN, KEPT, KEPT_LOCALLY, HEALTHY = range(6)


@pytest.mark.parametrize("source", [0, 1])
@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize(
    ("column", "by"),
    [
        (READ, 1),
        (READ, -1),
        (SHORTER, 1),
        (BROKEN, 1),
        (KEPT, 1),
        (KEPT, -1),
        (HEALTHY, 1),
        (KEPT_LOCALLY, -500),
        (KEPT_LOCALLY, 500),
    ],
)
def test_a_document_or_a_byte_too_many_or_too_few_is_noticed(
    tmp_path: Path, column: int, by: int, unit: int, source: int
) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = Tally(2, 2)
    tally.merge(result.counts, result.removed)
    tally.counts[source, column, unit] += by
    with pytest.raises(ConservationError, match=rf"^source '{('books', 'c4')[source]}': read \["):
        tally.check(("books", "c4"))


def test_a_removed_document_that_is_not_accounted_for_is_noticed(tmp_path: Path) -> None:
    result, _ = decided(tmp_path, LINKS)
    tally = Tally(2, 2)
    tally.merge(result.counts, result.removed)
    tally.removed[1, 0, 0] -= 1
    with pytest.raises(ConservationError, match=r"'c4': .* duplicate \[2, 224\]; nothing of this run may be used"):
        tally.check(("books", "c4"))


def test_a_row_of_a_status_that_does_not_exist_is_not_left_out_of_the_count(tmp_path: Path) -> None:
    with pytest.raises(ConservationError, match=r"^source 'books': read \["):
        decided(tmp_path, LINKS, [STATUS[0], 9, *STATUS[2:]])


def test_clusters_that_keep_a_document_globally_but_not_locally_are_noticed(tmp_path: Path) -> None:
    clusters = clusters_of(LINKS)
    clusters.local_roots[clusters.ids == B + 30] = B + 10
    clusters.global_roots[clusters.ids == B + 30] = B + 30
    with pytest.raises(ConservationError, match=r"^source 'c4': read \["):
        decided(tmp_path, LINKS, clusters=clusters)
